// SPDX-License-Identifier: Apache-2.0
// attention_op through the fused kernels, for every backend that can launch blocks:
//   launch_blocks(backend, blocks, body, what, view)   body() on every thread, shared_bytes of shared memory
#pragma once

#include <cstdint>

#include <fathom/cuda/kernels/attention_backward.cuh>
#include <fathom/cuda/kernels/tiled_copy.cuh>
#include <fathom/op/attention.hpp>

namespace fathom::cuda::kernels {

/// Base of kernel<attention_op, B>, B's numbers being floats. More than 64 channels a head, and empty inputs, take the
/// portable way.
template <class B, class Math>
struct attention_on : attention_op {
  static auto forward(const tensor<B, 3>& q, const tensor<B, 3>& k, const tensor<B, 3>& v,
                      const optional_tensor2<B>& key_bias, const optional_tensor3<B>& pair_bias,
                      const optional_tensor3<B>& gate, index_t heads) {
    check(q, k, v, key_bias, pair_bias, gate, heads);
    if (!fits(q, k, heads)) return attention_op::forward<B>(q, k, v, key_bias, pair_bias, gate, heads);
    tensor<B, 3> o(q.backend(), q.shape());
    tensor<B, 3> statistics(q.backend(), {q.extent(0), heads, 2 * q.extent(1)});
    const residuals_t<B> r{packed(q),    packed(k), packed(v), key_bias,  by_keys(pair_bias),
                           packed(gate), heads,     o,         statistics};
    auto a = arguments(r);
    a.out = {o.mutable_data(), o.stride(0), o.stride(1)};
    a.statistics = statistics.mutable_data();
    by_channels(a.channels,
                [&](auto channels) { run<attention_forward<Math, decltype(channels)::value>>(q.backend(), {a}, o); });
    return op_result{o, r};
  }

  static auto vjp(const residuals_t<B>& r, const tensor<B, 3>& d_result) {
    if (r.statistics.empty()) return attention_op::vjp<B>(r, d_result);
    const B& b = r.q.backend();
    const auto d_out = contiguous(d_result);
    tensor<B, 3> dq(b, r.q.shape()), dk(b, r.k.shape()), dv(b, r.v.shape()), d_o;
    optional_tensor3<B> d_pair_bias, d_gate;
    attention_slopes_args g;
    g.a = arguments(r);
    g.a.out = {const_cast<float*>(r.o.data()), r.o.stride(0), r.o.stride(1)};  // read only, as are the statistics
    g.a.statistics = const_cast<float*>(r.statistics.data());
    g.d_out = rows(d_out);
    g.dq = rows(&dq);
    g.dk = rows(&dk);
    g.dv = rows(&dv);
    if (r.gate) {
      d_o = tensor<B, 3>(b, d_out.shape());
      g.d_o = rows(&d_o);
      g.d_gate = rows(&d_gate.emplace(b, d_out.shape()));
    }
    g.a.aligned = g.a.aligned && fours(r.gate ? d_o : d_out);
    tensor<B, 3> dot(b, {r.q.extent(0), r.heads, r.q.extent(1)});
    g.dot = dot.mutable_data();
    run<attention_ungate>(b, {g}, d_out);

    tensor<B, 3> per_head;
    if (r.key_bias) {
      per_head = tensor<B, 3>(b, {r.q.extent(0), r.heads, r.k.extent(1)});
      g.d_key_bias = per_head.mutable_data();
    }
    by_channels(g.a.channels, [&](auto channels) {
      constexpr int c = decltype(channels)::value;
      run<attention_key_slopes<Math, c>>(b, {g}, d_out);
      run<attention_query_slopes<Math, c>>(b, {g}, d_out);
      if (!r.pair_bias) return;
      using pair_slopes = attention_pair_slopes<Math, c>;
      g.parts = pair_slopes::parts_for(g.a);
      const extents<3>& map = r.pair_bias->shape();
      tensor<B, 4> parts(b, {g.parts, map[0], map[1], map[2]});
      g.d_pair_bias = parts.mutable_data();
      run<pair_slopes>(b, {g}, d_out);
      d_pair_bias = joined(parts);
    });
    optional_tensor2<B> d_key_bias;
    if (r.key_bias) {
      const extents<3> each{per_head.extent(0), 1, per_head.extent(2)};
      const auto sum = fathom::detail::reduce_to<B, 3>(b, each, functor::identity{}, per_head.view());
      d_key_bias = fathom::detail::reshaped<2>(sum, extents<2>{each[0], each[2]});
    }
    return std::tuple(dq, dk, dv, d_key_bias, d_pair_bias, d_gate, none{});
  }

 private:
  static bool fits(const tensor<B, 3>& q, const tensor<B, 3>& k, index_t heads) {
    const index_t most = index_t{1} << 30;
    return q.extent(2) / heads <= 64 && q.size() > 0 && k.size() > 0 && q.extent(1) < most && k.extent(1) < most;
  }
  template <class Body>
  static void run(const B& b, const Body& body, const tensor<B, 3>& over) {
    launch_blocks(b, body.blocks(), body, name, over.view());
  }
  /// Calls f with the number of channels that a tile has for c of them.
  template <class F>
  static void by_channels(int c, const F& f) {
    if (c <= 16)
      f(std::integral_constant<int, 16>{});
    else if (c <= 32)
      f(std::integral_constant<int, 32>{});
    else
      f(std::integral_constant<int, 64>{});
  }
  static tensor<B, 3> packed(const tensor<B, 3>& x) { return with_rows(x); }
  static optional_tensor3<B> packed(const optional_tensor3<B>& x) { return x ? optional_tensor3<B>(packed(*x)) : x; }
  /// Every block reads the bias: its keys must lie together, or a sector would be read for each of them.
  static optional_tensor3<B> by_keys(const optional_tensor3<B>& x) {
    return x && x->stride(2) != 1 ? optional_tensor3<B>(with_rows(*x)) : x;
  }
  static tensor<B, 3> joined(const tensor<B, 4>& parts) {
    const auto& e = parts.shape();
    if (e[0] == 1) return fathom::detail::reshaped<3>(parts, extents<3>{e[1], e[2], e[3]});
    return fathom::detail::reduce_to<B, 3>(parts.backend(), {e[1], e[2], e[3]}, functor::identity{}, parts.view());
  }
  static batched_rows<const float> rows(const tensor<B, 3>& x) { return {x.data(), x.stride(0), x.stride(1)}; }
  static batched_rows<float> rows(tensor<B, 3>* x) { return {x->mutable_data(), x->stride(0), x->stride(1)}; }
  static bool fours(const tensor<B, 3>& x) {
    return reinterpret_cast<std::uintptr_t>(x.data()) % 16 == 0 && x.stride(0) % 4 == 0 && x.stride(1) % 4 == 0;
  }
  static attention_args arguments(const residuals_t<B>& r) {
    attention_args a;
    a.batch = r.q.extent(0);
    a.heads = static_cast<int>(r.heads);
    a.queries = static_cast<int>(r.q.extent(1));
    a.keys = static_cast<int>(r.k.extent(1));
    a.channels = static_cast<int>(r.q.extent(2) / r.heads);
    a.q = rows(r.q);
    a.k = rows(r.k);
    a.v = rows(r.v);
    a.aligned = a.channels % 4 == 0 && fours(r.q) && fours(r.k) && fours(r.v);
    a.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(a.channels)));
    if (r.gate) a.gate = rows(*r.gate);
    if (r.key_bias) {
      a.key_bias = r.key_bias->data();
      a.key_bias_batch = r.key_bias->stride(0);
      a.key_bias_key = r.key_bias->stride(1);
    }
    if (r.pair_bias) {
      a.pair_bias = r.pair_bias->data();
      a.pair_bias_head = r.pair_bias->stride(0);
      a.pair_bias_query = r.pair_bias->stride(1);
      a.pair_aligned = reinterpret_cast<std::uintptr_t>(a.pair_bias) % 8 == 0 && a.pair_bias_head % 2 == 0 &&
                       a.pair_bias_query % 2 == 0;
    }
    return a;
  }
};

}  // namespace fathom::cuda::kernels
