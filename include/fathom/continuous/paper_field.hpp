// SPDX-License-Identifier: Apache-2.0
// The trained field of "Protein Folding with Neural ODEs" (arXiv 2510.16253), there EvoformerODEFunc: six simplified
// sub-layers instead of AlphaFold2's nine, no masks, and gates that depend on time. Its released weights stand in
// examples/models/paper_evoformer_ode.safetensors.
#pragma once

#include <cmath>
#include <optional>
#include <tuple>
#include <utility>

#include <fathom/continuous/paper_field_parts.hpp>
#include <fathom/op/attention.hpp>
#include <fathom/op/triangle.hpp>

namespace fathom {

/// (m', z') = six residual sub-layers of (m, z); dm/dt = mix_m(t) (m' - m), dz/dt = mix_z(t) (z' - z).
///
/// m += row attention with pair bias, m += column attention with one projection P for queries, keys and values,
/// m += transition; z += W mean_s(a[s, i] b[s, j]) (channel by channel), z += gated W LN(sum_k a[i, k] b[k, j]) with a
/// and b behind sigmoids, z += transition. Memory is a few times the state, forward and backward: row-wise work goes in
/// chunks. State: m [s, i, c_m], z [i, j, c_z].
template <backend B, paper_field_dims D = paper_dims>
struct evoformer_ode_func {
  using backend_type = B;
  using dims_type = D;
  static constexpr index_t c_m = D::c_m, c_z = D::c_z, hidden = D::hidden_dim, heads = D::num_heads, c_outer = 32;
  static_assert(hidden % heads == 0, "fathom: hidden_dim must be a multiple of num_heads");

  layer_norm<B, c_m> msa_row_norm;
  linear<B, c_m, 3 * hidden> msa_row_qkv;
  linear<B, c_m, hidden> msa_row_gate;
  linear<B, hidden, c_m> msa_row_out;
  layer_norm<B, c_z> pair_bias_norm;
  linear<B, c_z, heads> pair_bias_proj;
  layer_norm<B, c_m> msa_col_norm;
  linear<B, c_m, hidden> msa_col_proj, msa_col_gate;
  linear<B, hidden, c_m> msa_col_out;
  layer_norm<B, c_m> msa_trans_norm;
  linear<B, c_m, 4 * c_m> msa_trans_1;
  linear<B, 4 * c_m, c_m> msa_trans_2;
  layer_norm<B, c_m> outer_norm;
  linear<B, c_m, c_outer> outer_proj_a, outer_proj_b;
  linear<B, c_outer, c_z> outer_out;
  layer_norm<B, c_z> tri_norm;
  linear<B, c_z, hidden> tri_proj_a, tri_proj_b;
  linear<B, c_z, c_z> tri_gate;
  linear<B, hidden, c_z> tri_out;
  layer_norm<B, c_z> pair_trans_norm;
  linear<B, c_z, 4 * c_z> pair_trans_1;
  linear<B, 4 * c_z, c_z> pair_trans_2;
  paper_time_gates<B, hidden> time_mlp;

  evoformer_ode_func() = default;
  explicit evoformer_ode_func(const B& b)
      : msa_row_norm(b),
        msa_row_qkv(b, init::glorot),
        msa_row_gate(b),
        msa_row_out(b),
        pair_bias_norm(b),
        pair_bias_proj(b, init::normal),
        msa_col_norm(b),
        msa_col_proj(b, init::glorot),
        msa_col_gate(b),
        msa_col_out(b),
        msa_trans_norm(b),
        msa_trans_1(b, init::he),
        msa_trans_2(b),
        outer_norm(b),
        outer_proj_a(b),
        outer_proj_b(b),
        outer_out(b),
        tri_norm(b),
        tri_proj_a(b),
        tri_proj_b(b),
        tri_gate(b),
        tri_out(b),
        pair_trans_norm(b),
        pair_trans_1(b, init::he),
        pair_trans_2(b),
        time_mlp(b) {}

  void visit(auto&& v) {
    v("msa_row_norm", msa_row_norm);
    v("msa_row_qkv", msa_row_qkv);
    v("msa_row_gate", msa_row_gate);
    v("msa_row_out", msa_row_out);
    v("pair_bias_norm", pair_bias_norm);
    v("pair_bias_proj", pair_bias_proj);
    v("msa_col_norm", msa_col_norm);
    v("msa_col_proj", msa_col_proj);
    v("msa_col_gate", msa_col_gate);
    v("msa_col_out", msa_col_out);
    v("msa_trans_norm", msa_trans_norm);
    v("msa_trans.0", msa_trans_1);
    v("msa_trans.2", msa_trans_2);
    v("outer_norm", outer_norm);
    v("outer_proj_a", outer_proj_a);
    v("outer_proj_b", outer_proj_b);
    v("outer_out", outer_out);
    v("tri_norm", tri_norm);
    v("tri_proj_a", tri_proj_a);
    v("tri_proj_b", tri_proj_b);
    v("tri_gate", tri_gate);
    v("tri_out", tri_out);
    v("pair_trans_norm", pair_trans_norm);
    v("pair_trans.0", pair_trans_1);
    v("pair_trans.2", pair_trans_2);
    v("time_mlp", time_mlp);
  }
  template <class B2>
  using rebind = evoformer_ode_func<B2, D>;

  msa_pair<B> operator()(const ode_time<B>& t, const msa_pair<B>& y) const {
    detail::check_paper_state<D>("evoformer_ode_func", y);
    const auto mix = time_mlp(t);
    msa_pair<B> rate;
    auto z = y.z;
    {
      auto m = row_attention(y.m, z);
      m = column_attention(std::move(m));
      m = transition(msa_trans_norm, msa_trans_1, msa_trans_2, std::move(m));
      z = outer_product(std::move(z), m);
      rate.m = detail::paper_rate(mix, 0, std::move(m), y.m);
    }
    z = triangle_update(std::move(z));
    z = transition(pair_trans_norm, pair_trans_1, pair_trans_2, std::move(z));
    rate.z = detail::paper_rate(mix, 1, std::move(z), y.z);
    return rate;
  }

  // Each sub-layer adds to its argument, in place where nobody else holds that.

  /// m [s, i, c_m] and its update by z [i, j, c_z].
  tensor<B, 3> row_attention(tensor<B, 3> m, const tensor<B, 3>& z) const {
    const index_t n = m.extent(1), rows = chunk_rows(m.extent(0), n * (2 * c_m + 5 * hidden));
    const auto bias = permute(
        chunked([](const auto& maps, const auto& z_rows) { return std::get<1>(maps)(std::get<0>(maps)(z_rows)); },
                std::tuple(pair_bias_norm, pair_bias_proj), chunk_rows(n, n * (c_z + heads)), z),
        {2, 0, 1});
    const auto maps = detail::joint_maps(msa_row_qkv, msa_row_gate);
    return chunked_onto(
        [](const auto& shared, const auto& m_rows) {
          const auto& [norm, weight, shift, out, pair_bias] = shared;
          const auto qkvg = apply<linear_op>(norm(m_rows), weight, std::optional(shift));
          const auto part = [&](index_t k) { return slice(qkvg, 2, k * hidden, (k + 1) * hidden); };
          return out(attend(part(0), part(1), part(2), std::optional(pair_bias), part(3), heads));
        },
        std::tuple(msa_row_norm, maps.first, maps.second, msa_row_out, bias), rows, std::move(m));
  }

  /// m [s, i, c_m] and its update: every residue over its sequences.
  tensor<B, 3> column_attention(tensor<B, 3> m) const {
    const index_t s = m.extent(0), n = m.extent(1), at_a_time = chunk_rows(n, s * (2 * c_m + 3 * hidden));
    const auto maps = detail::joint_maps(msa_col_proj, msa_col_gate);
    auto by_column = transpose(m, 0, 1);
    m = {};
    return transpose(
        chunked_onto(
            [](const auto& shared, const auto& columns) {
              const auto& [norm, weight, shift, out] = shared;
              const auto pg = apply<linear_op>(norm(columns), weight, std::optional(shift));
              const auto p = slice(pg, 2, 0, hidden);
              return out(attend(p, p, p, {}, slice(pg, 2, hidden, 2 * hidden), 1));
            },
            std::tuple(msa_col_norm, maps.first, maps.second, msa_col_out), at_a_time, std::move(by_column)),
        0, 1);
  }

  /// z [i, j, c_z] and its update by m [s, i, c_m].
  tensor<B, 3> outer_product(tensor<B, 3> z, const tensor<B, 3>& m) const {
    const index_t s = m.extent(0), n = m.extent(1);
    const auto maps = detail::joint_maps(outer_proj_a, outer_proj_b);
    const auto ab = chunked(
        [](const auto& shared, const auto& rows) {
          const auto& [norm, weight, shift] = shared;
          return apply<linear_op>(norm(rows), weight, std::optional(shift));
        },
        std::tuple(outer_norm, maps.first, maps.second), chunk_rows(s, n * (c_m + 2 * c_outer)), m);
    const auto by_residue = [&](index_t from) { return transpose(slice(ab, 2, from, from + c_outer), 0, 1); };
    const auto sums = triangle(by_residue(0), by_residue(c_outer));
    return chunked_onto([factor = 1 / static_cast<double>(s)](const auto& out, const auto&,
                                                              const auto& rows) { return out(rows * factor); },
                        outer_out, chunk_rows(n, n * (c_outer + c_z)), std::move(z), sums);
  }

  /// z [i, j, c_z] and its update by itself.
  tensor<B, 3> triangle_update(tensor<B, 3> z) const {
    const index_t n = z.extent(0);
    const auto maps = detail::joint_maps(tri_proj_a, tri_proj_b);
    const auto ab = chunked(
        [](const auto& shared, const auto& rows) {
          const auto& [norm, weight, shift] = shared;
          return apply<linear_then_op<functor::sigmoid>>(norm(rows), weight, std::optional(shift));
        },
        std::tuple(tri_norm, maps.first, maps.second), chunk_rows(n, n * (c_z + 2 * hidden)), z);
    const auto x = triangle(slice(ab, 2, 0, hidden), transpose(slice(ab, 2, hidden, 2 * hidden), 0, 1));
    const auto& b = z.backend();
    const auto one = full<1>(b, {hidden}, scalar_of<B>(1)), zero = full<1>(b, {hidden}, scalar_of<B>(0));
    return chunked_onto(
        [](const auto& shared, const auto& z_rows, const auto& x_rows) {
          const auto& [norm, gate_map, out, weight, bias] = shared;
          const auto normed = apply<layer_norm_op>(x_rows, weight, bias, layer_norm<B, hidden>::eps);
          return gate(gate_map(norm(z_rows)), out(normed));
        },
        std::tuple(tri_norm, tri_gate, tri_out, one, zero), chunk_rows(n, n * (4 * c_z + hidden)), std::move(z), x);
  }

 private:
  template <class X>
  static X attend(const X& q, const X& k, const X& v, const std::optional<X>& pair_bias, const X& gate_logits,
                  index_t no_heads) {
    return attention<typename X::backend_type>(q, k, v, {}, pair_bias, std::optional<X>(gate_logits), no_heads);
  }
  template <class Norm, class First, class Second>
  static tensor<B, 3> transition(const Norm& norm, const First& first, const Second& second, tensor<B, 3> x) {
    const index_t at_a_time = chunk_rows(x.extent(0), x.extent(1) * 11 * x.extent(2));
    return chunked_onto(
        [](const auto& shared, const auto& rows) {
          const auto& [normalize, widen, narrow] = shared;
          return narrow(widen.rectified(normalize(rows)));
        },
        std::tuple(norm, first, second), at_a_time, std::move(x));
  }
};

}  // namespace fathom
