// SPDX-License-Identifier: Apache-2.0
// Triangle multiplicative update (AF2 Suppl. Alg. 11 outgoing, Alg. 12 incoming), also in the form whose projections of
// a and b are one map (AlphaFold-Multimer).
#pragma once

#include <tuple>

#include <fathom/autodiff/chunked.hpp>
#include <fathom/nn/batched.hpp>
#include <fathom/nn/chunk_rows.hpp>
#include <fathom/nn/layer_norm.hpp>
#include <fathom/nn/linear.hpp>
#include <fathom/op/triangle.hpp>

namespace fathom {

namespace detail {

/// Projections and gates of a and b, under separate names.
template <backend B, index_t C, index_t Hidden, bool Fused>
struct triangle_projections {
  linear<B, C, Hidden> linear_a_p, linear_a_g, linear_b_p, linear_b_g;
  triangle_projections() = default;
  explicit triangle_projections(const B& b)
      : linear_a_p(b), linear_a_g(b, init::gating), linear_b_p(b), linear_b_g(b, init::gating) {}
  void visit_projections(auto&& v) {
    v("linear_a_p", linear_a_p);
    v("linear_a_g", linear_a_g);
    v("linear_b_p", linear_b_p);
    v("linear_b_g", linear_b_g);
  }
  linear<B, C, 2 * Hidden> projection() const { return joined(linear_a_p, linear_b_p); }
  linear<B, C, 2 * Hidden> projection_gate() const { return joined(linear_a_g, linear_b_g); }

 private:
  static linear<B, C, 2 * Hidden> joined(const linear<B, C, Hidden>& a, const linear<B, C, Hidden>& b) {
    linear<B, C, 2 * Hidden> both;
    both.weight = join(a.weight, b.weight, 0);
    both.bias = join(a.bias, b.bias, 0);
    return both;
  }
};
/// The same as one map: the first Hidden channels are a, the others b.
template <backend B, index_t C, index_t Hidden>
struct triangle_projections<B, C, Hidden, true> {
  linear<B, C, 2 * Hidden> linear_ab_p, linear_ab_g;
  triangle_projections() = default;
  explicit triangle_projections(const B& b) : linear_ab_p(b), linear_ab_g(b, init::gating) {}
  void visit_projections(auto&& v) {
    v("linear_ab_p", linear_ab_p);
    v("linear_ab_g", linear_ab_g);
  }
  const linear<B, C, 2 * Hidden>& projection() const { return linear_ab_p; }
  const linear<B, C, 2 * Hidden>& projection_gate() const { return linear_ab_g; }
};

}  // namespace detail

/// a, b = mask sigmoid(linear_g(x)) linear_p(x) with x = LN(z);
/// y[i, j] = sigmoid(linear_g(x[i, j])) linear_z(LN(sum_k a[i, k] b[j, k])); incoming: sum_k a[k, i] b[k, j].
template <backend B, index_t C, index_t Hidden, bool Outgoing, bool Fused = false>
struct triangle_multiplication : detail::triangle_projections<B, C, Hidden, Fused> {
  using backend_type = B;
  using projections = detail::triangle_projections<B, C, Hidden, Fused>;

  linear<B, C, C> linear_g;
  linear<B, Hidden, C> linear_z;
  layer_norm<B, C> layer_norm_in;
  layer_norm<B, Hidden> layer_norm_out;

  triangle_multiplication() = default;
  explicit triangle_multiplication(const B& b)
      : projections(b), linear_g(b, init::gating), linear_z(b, init::final), layer_norm_in(b), layer_norm_out(b) {}

  void visit(auto&& v) {
    this->visit_projections(v);
    v("linear_g", linear_g);
    v("linear_z", linear_z);
    v("layer_norm_in", layer_norm_in);
    v("layer_norm_out", layer_norm_out);
  }
  template <class B2>
  using rebind = triangle_multiplication<B2, C, Hidden, Outgoing, Fused>;

  /// z [i, j, C], mask [i, j]: the update of z, without the residual.
  tensor<B, 3> operator()(const tensor<B, 3>& z, const tensor<B, 2>& mask) const {
    return chunked(gated_rows, out_maps(), rows_at_a_time(z), z, contraction(z, mask));
  }
  /// z + (*this)(z, mask), in place where nobody else holds z.
  tensor<B, 3> residual(tensor<B, 3> z, const tensor<B, 2>& mask) const {
    const auto x = contraction(z, mask);
    const index_t rows = rows_at_a_time(z);
    return chunked_onto(gated_rows, out_maps(), rows, std::move(z), x);
  }
  /// With a leading batch axis.
  tensor<B, 4> operator()(const tensor<B, 4>& z, const tensor<B, 3>& mask) const { return batched(*this, z, mask); }

 private:
  static constexpr auto projected_rows = [](const auto& shared, const auto& z_rows, const auto& present) {
    const auto& [norm, project, project_gate] = shared;
    const auto x = norm(z_rows);
    return gate(project_gate(x), project(x)) * unsqueeze(present, 2);
  };
  static constexpr auto gated_rows = [](const auto& shared, const auto& z_rows, const auto& x_rows) {
    const auto& [norm_in, norm_out, gate_map, out] = shared;
    return gate(gate_map(norm_in(z_rows)), out(norm_out(x_rows)));
  };
  auto out_maps() const { return std::tuple(layer_norm_in, layer_norm_out, linear_g, linear_z); }
  static index_t rows_at_a_time(const tensor<B, 3>& z) {
    return chunk_rows(z.extent(0), z.extent(1) * (4 * C + Hidden));
  }
  /// sum_k a[i, k] b[j, k], or that of the incoming edges: [i, j, Hidden]
  tensor<B, 3> contraction(const tensor<B, 3>& z, const tensor<B, 2>& mask) const {
    const auto ab = chunked(projected_rows, std::tuple(layer_norm_in, this->projection(), this->projection_gate()),
                            chunk_rows(z.extent(0), z.extent(1) * (C + 8 * Hidden)), z, mask);
    const auto a = slice(ab, 2, 0, Hidden), b = slice(ab, 2, Hidden, 2 * Hidden);
    return Outgoing ? triangle(a, b) : triangle(transpose(a, 0, 1), transpose(b, 0, 1));
  }
};

template <backend B, index_t C, index_t Hidden, bool Fused = false>
using triangle_multiplication_outgoing = triangle_multiplication<B, C, Hidden, true, Fused>;
template <backend B, index_t C, index_t Hidden, bool Fused = false>
using triangle_multiplication_incoming = triangle_multiplication<B, C, Hidden, false, Fused>;

}  // namespace fathom
