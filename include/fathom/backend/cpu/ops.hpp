// SPDX-License-Identifier: Apache-2.0
// Operations that the CPU backend computes with kernels of its own instead of compositions of map, reduce and gemm.
#pragma once

#include <fathom/backend/cpu/attention.hpp>
#include <fathom/backend/cpu/attention_backward.hpp>
#include <fathom/backend/cpu/handle.hpp>
#include <fathom/backend/cpu/layer_norm.hpp>
#include <fathom/backend/cpu/linear.hpp>
#include <fathom/op/attention.hpp>
#include <fathom/op/layer_norm.hpp>

namespace fathom {

template <class T>
struct kernel<layer_norm_op, cpu<T>> : layer_norm_op {
  template <int R>
  static auto forward(const tensor<cpu<T>, R>& x, const tensor<cpu<T>, 1>& weight, const tensor<cpu<T>, 1>& bias,
                      double eps) {
    check(x, weight, bias);
    const auto rows = detail::as_rows(x);
    const auto w = contiguous(weight), b = contiguous(bias);
    tensor<cpu<T>, R> y(x.backend(), x.shape());
    auto statistics = x.shape();
    statistics[R - 1] = 1;
    tensor<cpu<T>, R> mean(x.backend(), statistics), rstd(x.backend(), statistics);
    cpu_kernels::layer_norm_args<T> args;
    args.rows = rows.extent(0);
    args.channels = rows.extent(1);
    args.x = rows.data();
    args.x_stride = rows.stride(0);
    args.weight = w.data();
    args.bias = b.data();
    args.eps = static_cast<T>(eps);
    args.y = y.mutable_data();
    args.y_stride = rows.extent(1);
    args.mean = mean.mutable_data();
    args.rstd = rstd.mutable_data();
    cpu_kernels::layer_norm_forward(x.backend().pool(), args);
    return op_result{y, std::tuple(x, weight, mean, rstd)};
  }
  template <int R>
  static auto vjp(
      const std::tuple<tensor<cpu<T>, R>, tensor<cpu<T>, 1>, tensor<cpu<T>, R>, tensor<cpu<T>, R>>& residuals,
      const tensor<cpu<T>, R>& dy) {
    const auto& [x, weight, mean, rstd] = residuals;
    const auto rows = detail::as_rows(x), dy_rows = detail::as_rows(dy);
    const auto w = contiguous(weight);
    tensor<cpu<T>, R> dx(x.backend(), x.shape());
    tensor<cpu<T>, 1> dweight(x.backend(), weight.shape()), dbias(x.backend(), weight.shape());
    cpu_kernels::layer_norm_args<T> args;
    args.rows = rows.extent(0);
    args.channels = rows.extent(1);
    args.x = rows.data();
    args.x_stride = rows.stride(0);
    args.weight = w.data();
    args.mean = const_cast<T*>(mean.data());
    args.rstd = const_cast<T*>(rstd.data());
    cpu_kernels::layer_norm_backward(x.backend().pool(), args, dy_rows.data(), dy_rows.stride(0), dx.mutable_data(),
                                     rows.extent(1), dweight.mutable_data(), dbias.mutable_data());
    return std::tuple(dx, dweight, dbias, none{});
  }
};

template <class T>
struct kernel<attention_op, cpu<T>> : attention_op {
  using B = cpu<T>;

  static auto forward(const tensor<B, 3>& q, const tensor<B, 3>& k, const tensor<B, 3>& v,
                      const optional_tensor2<B>& key_bias, const optional_tensor3<B>& pair_bias,
                      const optional_tensor3<B>& gate, index_t heads) {
    check(q, k, v, key_bias, pair_bias, gate, heads);
    tensor<B, 3> o(q.backend(), q.shape());
    tensor<B, 3> statistics(q.backend(), {q.extent(0), heads, 2 * q.extent(1)});
    const residuals_t<B> r{packed(q),    packed(k), packed(v), packed(key_bias), pair_bias,
                           packed(gate), heads,     o,         statistics};
    auto args = arguments(r);
    args.out = o.mutable_data();
    args.out_batch = o.stride(0);
    args.out_pos = o.stride(1);
    args.statistics = statistics.mutable_data();
    cpu_kernels::attention_forward(q.backend().pool(), args);
    return op_result{o, r};
  }

  static auto vjp(const residuals_t<B>& kept, const tensor<B, 3>& d_out) {
    const B& b = kept.q.backend();
    // The kernel writes cotangents in the layout of their arguments, which must leave no gaps then.
    residuals_t<B> r = kept;
    r.q = dense(r.q);
    r.k = dense(r.k);
    r.v = dense(r.v);
    if (r.gate) r.gate = dense(*r.gate);
    const auto dy = contiguous(d_out);
    auto args = arguments(r);
    args.out = const_cast<T*>(r.o.data());  // read only, as are the statistics
    args.out_batch = dy.stride(0);
    args.out_pos = dy.stride(1);
    args.statistics = const_cast<T*>(r.statistics.data());
    tensor<B, 3> dq = like(r.q), dk = like(r.k), dv = like(r.v);
    optional_tensor2<B> d_key_bias;
    optional_tensor3<B> d_pair_bias, d_gate;
    cpu_kernels::attention_gradients<T> g;
    g.dq = dq.mutable_data();
    g.dk = dk.mutable_data();
    g.dv = dv.mutable_data();
    if (r.gate) g.dgate = d_gate.emplace(like(*r.gate)).mutable_data();
    if (r.key_bias) g.dkey_bias = d_key_bias.emplace(tensor<B, 2>(b, r.key_bias->shape())).mutable_data();
    if (r.pair_bias) g.dpair_bias = d_pair_bias.emplace(tensor<B, 3>(b, r.pair_bias->shape())).mutable_data();
    cpu_kernels::attention_backward(b.pool(), args, dy.data(), g);
    return std::tuple(dq, dk, dv, d_key_bias, d_pair_bias, d_gate, none{});
  }

 private:
  /// The kernels read any batch and position strides, but channels must be contiguous.
  static tensor<B, 3> packed(const tensor<B, 3>& x) { return x.stride(2) == 1 ? x : contiguous(x); }
  static optional_tensor3<B> packed(const optional_tensor3<B>& x) { return x ? optional_tensor3<B>(packed(*x)) : x; }
  static optional_tensor2<B> packed(const optional_tensor2<B>& x) {
    return x && x->stride(1) != 1 ? optional_tensor2<B>(contiguous(*x)) : x;
  }
  static bool has_gaps(const tensor<B, 3>& x) {
    index_t span = 1;
    for (int axis = 0; axis < 3; ++axis) span += (x.extent(axis) - 1) * x.stride(axis);
    return span != x.size();
  }
  static tensor<B, 3> dense(const tensor<B, 3>& x) { return has_gaps(x) ? contiguous(x) : x; }
  /// Fresh storage with the extents and strides of x, which has no gaps.
  static tensor<B, 3> like(const tensor<B, 3>& x) {
    return tensor<B, 3>(x.backend(), x.shape()).reinterpret(x.shape(), x.strides());
  }
  static cpu_kernels::attention_args<T> arguments(const residuals_t<B>& r) {
    cpu_kernels::attention_args<T> a;
    a.batch = r.q.extent(0);
    a.heads = r.heads;
    a.queries = r.q.extent(1);
    a.keys = r.k.extent(1);
    a.c = r.q.extent(2) / r.heads;
    a.q = r.q.data();
    a.k = r.k.data();
    a.v = r.v.data();
    a.q_batch = r.q.stride(0);
    a.q_pos = r.q.stride(1);
    a.k_batch = r.k.stride(0);
    a.k_pos = r.k.stride(1);
    a.v_batch = r.v.stride(0);
    a.v_pos = r.v.stride(1);
    a.scale = T(1) / std::sqrt(static_cast<T>(a.c));
    if (r.key_bias) {
      a.key_bias = r.key_bias->data();
      a.key_bias_batch = r.key_bias->stride(0);
    }
    if (r.pair_bias) {
      a.pair_bias = r.pair_bias->data();
      a.pair_bias_head = r.pair_bias->stride(0);
      a.pair_bias_query = r.pair_bias->stride(1);
      a.pair_bias_key = r.pair_bias->stride(2);
    }
    if (r.gate) {
      a.gate = r.gate->data();
      a.gate_batch = r.gate->stride(0);
      a.gate_pos = r.gate->stride(1);
    }
    return a;
  }
};

}  // namespace fathom
