// SPDX-License-Identifier: Apache-2.0
// The core of every attention of AlphaFold2 (Suppl. Alg. 7, 8, 13, 14, 17): scaled dot products with additive biases.
// Probabilities are never stored: the backward pass computes them again from the inputs.
#pragma once

#include <cmath>

#include <fathom/op/softmax.hpp>

namespace fathom {

/// o[b, i, h] = sum_j softmax_j(q[b, i, h] . k[b, j, h] / sqrt(c) + key_bias[b, j] + pair_bias[h, i, j]) v[b, j, h],
/// then multiplied by sigmoid(gate[b, i, h]) where a gate is given.
///
///   q [b, n_q, heads c], k and v [b, n_k, heads c] (channels head-major), key_bias [b, n_k], pair_bias [heads, n_q,
///   n_k], gate (logits) like q; o like q. pair_bias is shared by the batch.
struct attention_op {
  static constexpr const char* name = "attention";

  template <class B>
  using optional_tensor2 = std::optional<tensor<B, 2>>;
  template <class B>
  using optional_tensor3 = std::optional<tensor<B, 3>>;

  template <class B>
  struct residuals_t {
    tensor<B, 3> q, k, v;
    optional_tensor2<B> key_bias;
    optional_tensor3<B> pair_bias, gate;
    index_t heads;
    tensor<B, 3> o;  // after the gate
    tensor<B, 3>
        statistics;  // [b, heads, 2 n_q] where a backend keeps them, else empty: maxima, then sums of a softmax
  };

  template <class B>
  static void check(const tensor<B, 3>& q, const tensor<B, 3>& k, const tensor<B, 3>& v,
                    const optional_tensor2<B>& key_bias, const optional_tensor3<B>& pair_bias,
                    const optional_tensor3<B>& gate, index_t heads) {
    const index_t batch = q.extent(0), queries = q.extent(1), keys = k.extent(1), channels = q.extent(2);
    if (heads <= 0 || channels % heads != 0)
      throw shape_error(detail::concat(name, ": ", channels, " channels do not divide into ", heads, " heads"));
    detail::expect_extents<3>(name, "k", k, {batch, keys, channels});
    detail::expect_extents<3>(name, "v", v, {batch, keys, channels});
    if (key_bias) detail::expect_extents<2>(name, "key_bias", *key_bias, {batch, keys});
    if (gate) detail::expect_extents<3>(name, "gate", *gate, q.shape());
    if (pair_bias && pair_bias->shape() != extents<3>{heads, queries, keys})
      throw shape_error(detail::concat(name, ": bias has extents ", to_string_extents(pair_bias->shape()),
                                       ", expected [heads=", heads, ", queries=", queries, ", keys=", keys, "]"));
  }

  template <class B>
  static auto forward(const tensor<B, 3>& q, const tensor<B, 3>& k, const tensor<B, 3>& v,
                      const optional_tensor2<B>& key_bias, const optional_tensor3<B>& pair_bias,
                      const optional_tensor3<B>& gate, index_t heads) {
    check(q, k, v, key_bias, pair_bias, gate, heads);
    tensor<B, 3> o(q.backend(), q.shape());
    for (index_t b = 0; b < q.extent(0); ++b) {
      const auto p = probabilities(q, k, key_bias, pair_bias, heads, b);
      const auto vh = split(v, heads, b);
      auto window = split(o, heads, b);
      q.backend().gemm(scalar_of<B>(1), p.view(), vh.view(), scalar_of<B>(0), window.mutable_view());
    }
    if (gate)
      q.backend().map(functor::value_of<functor::gate>{}, o.mutable_view(), gate->view(),
                      strided_view<const scalar_of<B>>(o.view()));
    return op_result{o, residuals_t<B>{q, k, v, key_bias, pair_bias, gate, heads, o, {}}};
  }

  template <class B>
  static auto vjp(const residuals_t<B>& r, const tensor<B, 3>& d_out) {
    using T = scalar_of<B>;
    const auto& backend = r.q.backend();
    tensor<B, 3> dq(backend, r.q.shape()), dk(backend, r.k.shape()), dv(backend, r.v.shape());
    optional_tensor2<B> d_key_bias;
    optional_tensor3<B> d_pair_bias, d_gate;
    tensor<B, 3> d_o = d_out;
    if (r.gate) {
      // o before the gate is needed for the gate's own cotangent: recomputed, not stored.
      const auto raw = forward<B>(r.q, r.k, r.v, r.key_bias, r.pair_bias, {}, r.heads).value;
      d_gate = tensor<B, 3>(backend, raw.shape());
      backend.map(functor::first_pullback<functor::gate>{}, d_gate->mutable_view(), r.gate->view(), raw.view(),
                  d_out.view());
      d_o = tensor<B, 3>(backend, raw.shape());
      backend.map(functor::second_pullback<functor::gate>{}, d_o.mutable_view(), r.gate->view(), raw.view(),
                  d_out.view());
    }
    if (r.key_bias) d_key_bias = tensor<B, 2>(backend, r.key_bias->shape());
    if (r.pair_bias) d_pair_bias = zeros<3>(backend, r.pair_bias->shape());
    using std::sqrt;
    const T scale = T(1) / sqrt(T(r.q.extent(2) / r.heads));
    for (index_t b = 0; b < r.q.extent(0); ++b) {
      const auto p = probabilities(r.q, r.k, r.key_bias, r.pair_bias, r.heads, b);
      const auto qh = split(r.q, r.heads, b), kh = split(r.k, r.heads, b), vh = split(r.v, r.heads, b);
      const auto doh = split(d_o, r.heads, b);
      auto dqh = split(dq, r.heads, b), dkh = split(dk, r.heads, b), dvh = split(dv, r.heads, b);
      backend.gemm(T(1), detail::transposed(p).view(), doh.view(), T(0), dvh.mutable_view());
      const auto dp = detail::product(doh, detail::transposed(vh));
      const auto ds = std::get<0>(softmax_op::vjp(p, dp));
      backend.gemm(scale, ds.view(), kh.view(), T(0), dqh.mutable_view());
      backend.gemm(scale, detail::transposed(ds).view(), qh.view(), T(0), dkh.mutable_view());
      if (d_pair_bias) detail::add_into(*d_pair_bias, ds);
      if (d_key_bias) {
        auto row = d_key_bias->template reinterpret<3>({1, 1, r.k.extent(1)}, {0, 0, d_key_bias->stride(1)},
                                                       b * d_key_bias->stride(0));
        backend.reduce(functor::sum{}, functor::identity{}, row.mutable_view(), ds.view());
      }
    }
    return std::tuple(dq, dk, dv, d_key_bias, d_pair_bias, d_gate, none{});
  }

 private:
  /// Batch entry b of x [b, n, heads c] as [heads, n, c].
  template <class B>
  static tensor<B, 3> split(const tensor<B, 3>& x, index_t heads, index_t b) {
    const index_t c = x.extent(2) / heads;
    return x.reinterpret(extents<3>{heads, x.extent(1), c}, extents<3>{c * x.stride(2), x.stride(1), x.stride(2)},
                         b * x.stride(0));
  }
  template <class B>
  static tensor<B, 3> probabilities(const tensor<B, 3>& q, const tensor<B, 3>& k,
                                    const std::optional<tensor<B, 2>>& key_bias,
                                    const std::optional<tensor<B, 3>>& pair_bias, index_t heads, index_t b) {
    const double scale = 1 / std::sqrt(static_cast<double>(q.extent(2) / heads));
    auto logits = detail::product(split(q, heads, b), detail::transposed(split(k, heads, b)), scale);
    const auto add = [&](const auto& bias_view) {
      q.backend().map(functor::value_of<functor::add>{}, logits.mutable_view(),
                      strided_view<const scalar_of<B>>(logits.view()), bias_view);
    };
    if (key_bias) {
      const auto row =
          key_bias->reinterpret(extents<1>{k.extent(1)}, extents<1>{key_bias->stride(1)}, b * key_bias->stride(0));
      add(detail::broadcast_to_view(row.view(), logits.shape()));
    }
    if (pair_bias) add(pair_bias->view());
    return softmax_op::forward(logits).value;
  }
};

/// See attention_op.
template <class B>
tensor<B, 3> attention(const tensor<B, 3>& q, const tensor<B, 3>& k, const tensor<B, 3>& v,
                       const std::optional<tensor<B, 2>>& key_bias, const std::optional<tensor<B, 3>>& pair_bias,
                       const std::optional<tensor<B, 3>>& gate_logits, index_t heads) {
  return apply<attention_op>(q, k, v, key_bias, pair_bias, gate_logits, heads);
}

}  // namespace fathom
