// SPDX-License-Identifier: Apache-2.0
// Invariant point attention (AF2 Suppl. Alg. 22): attention over residues by channels, by the pair representation and
// by the distance of points that each residue places in space. Unchanged when all frames move together.
#pragma once

#include <cmath>

#include <fathom/autodiff/chunked.hpp>
#include <fathom/evoformer/dims.hpp>
#include <fathom/geometry/rigid.hpp>
#include <fathom/nn/batched.hpp>
#include <fathom/nn/chunk_rows.hpp>
#include <fathom/nn/linear.hpp>
#include <fathom/op/masked_logits.hpp>
#include <fathom/op/softmax.hpp>

namespace fathom {

/// Channels [n, C] to points [n, 3, Points] of the residue's own frame; all x first, then all y, then all z.
template <backend B, index_t C, index_t Points>
struct point_projection {
  using backend_type = B;
  fathom::linear<B, C, 3 * Points> linear;

  point_projection() = default;
  explicit point_projection(const B& b) : linear(b) {}
  void visit(auto&& v) { v("linear", linear); }
  template <class B2>
  using rebind = point_projection<B2, C, Points>;

  tensor<B, 3> operator()(const tensor<B, 2>& s) const { return reshape<3>(linear(s), {s.extent(0), 3, Points}); }
};

/// inf masks keys, eps stands under the root of point lengths (in squared units of the frames' translations).
struct point_attention_options {
  double inf = 1e5, eps = 1e-8;
};

/// logit[h, i, j] = sqrt(1/3) (q_i . k_j / sqrt(c) + linear_b(z_ij)) - gamma_h / 2 sum_p |T_i q_ip - T_j k_jp|^2 with
/// gamma_h = softplus(head_weights_h) sqrt(2 / (27 points)); the output joins the attended channels, points seen from
/// frame i, their lengths, and pairs. Queries are worked on in chunks, recomputed in the backward pass.
template <backend B, evoformer_dims D>
struct invariant_point_attention {
  using backend_type = B;
  static constexpr index_t heads = D::no_heads_ipa, c = D::c_ipa, q_points = D::no_qk_points, v_points = D::no_v_points;

  linear<B, D::c_s, heads * c> linear_q;
  linear<B, D::c_s, 2 * heads * c> linear_kv;
  point_projection<B, D::c_s, heads * q_points> linear_q_points;
  point_projection<B, D::c_s, heads*(q_points + v_points)> linear_kv_points;
  linear<B, D::c_z, heads> linear_b;
  tensor<B, 1> head_weights;
  linear<B, heads*(c + 4 * v_points + D::c_z), D::c_s> linear_out;
  point_attention_options options;

  invariant_point_attention() = default;
  explicit invariant_point_attention(const B& b)
      : linear_q(b),
        linear_kv(b),
        linear_q_points(b),
        linear_kv_points(b),
        linear_b(b),
        head_weights(tensor<B, 1>::unfilled(b, {heads})),
        linear_out(b, init::final) {}

  void visit(auto&& v) {
    v("linear_q", linear_q);
    v("linear_kv", linear_kv);
    v("linear_q_points", linear_q_points);
    v("linear_kv_points", linear_kv_points);
    v("linear_b", linear_b);
    v("head_weights", head_weights);
    v("linear_out", linear_out);
  }
  template <class B2>
  using rebind = invariant_point_attention<B2, D>;

  /// Head weights start where their softplus is 1.
  void initialise(const std::string& path, const initialise_options& settings) {
    visit([&](const char* name, auto& member) {
      if constexpr (any_tensor<decltype(member)>)
        member = full<1>(member.backend(), member.shape(), static_cast<scalar_of<B>>(std::log(std::exp(1.0) - 1)));
      else
        detail::initialise_below(member, tree::detail::joined(path, name), settings);
    });
  }

  /// s [n, c_s], z [n, n, c_z], mask [n] of zeros and ones: the update of s, without the residual.
  tensor<B, 2> operator()(const tensor<B, 2>& s, const tensor<B, 3>& z, const rigid<B>& frames,
                          const tensor<B, 1>& mask) const {
    check(s, z, frames, mask);
    const index_t n = s.extent(0);
    // Distances do not depend on the origin; one amid the residues keeps the squares below small.
    const auto present = unsqueeze(detach(mask), 1);
    const auto centre = sum(detach(frames.translation) * present, 0) / (sum(present) + 1e-6);
    const rigid<B> local{frames.rotation, frames.translation - unsqueeze(centre, 0)};

    const auto gamma = unsqueeze(softplus(head_weights), 1) * std::sqrt(2 / (27.0 * q_points));
    const auto kv = reshape<3>(linear_kv(s), {n, heads, 2 * c});
    const auto kv_points = placed(linear_kv_points(s), local);
    const auto k_points = flat(slice(kv_points, 3, 0, q_points));
    // |q - k|^2 = |q|^2 - 2 q k + |k|^2: the first term shifts all keys alike and drops out of the softmax.
    const auto q = concatenate(std::vector{reshape<3>(linear_q(s), {n, heads, c}) * std::sqrt(1 / (3.0 * c)),
                                           flat(placed(linear_q_points(s), local)) * gamma},
                               2);
    const auto k = concatenate(std::vector{slice(kv, 2, 0, c), k_points}, 2);
    const auto v =
        concatenate(std::vector{slice(kv, 2, c, 2 * c), flat(slice(kv_points, 3, q_points, q_points + v_points))}, 2);
    const auto key_bias = transpose(sum_product(k_points, k_points), 0, 1) * (gamma * -0.5) +
                          unsqueeze(linear_b.bias, 1) * std::sqrt(1 / 3.0);
    return chunked(
        [settings = options](const auto& shared, const auto&... rows) { return attend(settings, shared, rows...); },
        std::tuple(k, v, key_bias, mask, linear_b.weight, linear_out), chunk_rows(n, 6 * heads * n), q, z,
        local.rotation, local.translation, mask);
  }
  /// With a leading batch axis.
  tensor<B, 3> operator()(const tensor<B, 3>& s, const tensor<B, 4>& z, const rigid<B, 2>& frames,
                          const tensor<B, 2>& mask) const {
    return batched(
        [this](const auto& one_s, const auto& one_z, const auto& rotation, const auto& translation,
               const auto& one_mask) {
          return (*this)(one_s, one_z, {rotation, translation}, one_mask);
        },
        s, z, frames.rotation, frames.translation, mask);
  }

 private:
  static void check(const tensor<B, 2>& s, const tensor<B, 3>& z, const rigid<B>& frames, const tensor<B, 1>& mask) {
    const char* const name = "invariant_point_attention";
    const index_t n = s.extent(0);
    detail::expect_extents<2>(name, "s", s, {n, D::c_s});
    detail::expect_extents<3>(name, "z", z, {n, n, D::c_z});
    detail::expect_extents<3>(name, "the frames' rotation", frames.rotation, {n, 3, 3});
    detail::expect_extents<2>(name, "the frames' translation", frames.translation, {n, 3});
    detail::expect_extents<1>(name, "the mask", mask, {n});
  }
  /// Points [n, 3, heads p] of the frames in space: [n, heads, 3, p].
  static tensor<B, 4> placed(const tensor<B, 3>& points, const rigid<B>& frames) {
    const auto global = matmul(frames.rotation, points) + unsqueeze(frames.translation, 2);
    return permute(reshape<4>(global, {points.extent(0), 3, heads, points.extent(2) / heads}), {0, 2, 1, 3});
  }
  /// [n, heads, 3, p] to [n, heads, 3 p]
  static tensor<B, 3> flat(const tensor<B, 4>& points) {
    return reshape<3>(points, {points.extent(0), heads, 3 * points.extent(3)});
  }

  /// One chunk of r queries. q [r, heads, c + 3 q_points], z [r, n, c_z], frames and mask of the queries.
  template <class Shared, class Q, class Z, class Rotation, class Translation, class Mask>
  static auto attend(const point_attention_options& settings, const Shared& shared, const Q& q, const Z& z,
                     const Rotation& rotation, const Translation& translation, const Mask& query_mask) {
    const auto& [k, v, key_bias, key_mask, pair_weight, out] = shared;
    const index_t r = q.extent(0);
    const auto pair_bias = matmul(unsqueeze(pair_weight, 0), transpose(z, 1, 2), std::sqrt(1 / 3.0));  // [r, heads, n]
    const auto logits =
        matmul(permute(q, {1, 0, 2}), permute(k, {1, 2, 0})) + transpose(pair_bias, 0, 1) + unsqueeze(key_bias, 1);
    const auto p = softmax(masked_logits(logits, query_mask, key_mask, settings.inf));  // [heads, r, n]
    const auto o = transpose(matmul(p, transpose(v, 0, 1)), 0, 1);                      // [r, heads, c + 3 v_points]
    const auto pairs = matmul(transpose(p, 0, 1), z);                                   // [r, heads, c_z]

    const auto points = permute(reshape<4>(slice(o, 2, c, c + 3 * v_points), {r, heads, 3, v_points}), {0, 2, 1, 3});
    const auto seen =
        matmul(inverse_rotation(rotation), reshape<3>(points, {r, 3, heads * v_points}) - unsqueeze(translation, 2));
    return out(concatenate(
        std::vector{reshape<2>(slice(o, 2, 0, c), {r, heads * c}), reshape<2>(seen, {r, 3 * heads * v_points}),
                    sqrt(sum(square(seen), 1) + settings.eps), reshape<2>(pairs, {r, heads * D::c_z})},
        1));
  }
};

}  // namespace fathom
