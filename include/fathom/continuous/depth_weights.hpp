// SPDX-License-Identifier: Apache-2.0
// Weights as functions of depth: w(t) = sum_j N_j(t) c_j with B-splines N_j and K' coefficient modules c_j, fewer than
// the K blocks they replace (Queiruga et al. 2021). Only weights that vary smoothly with depth may be treated like
// this: those of independently trained blocks differ by symmetries (order of heads and hidden channels) and must be
// aligned first.
#pragma once

#include <cstddef>
#include <vector>

#include <fathom/continuous/block_field.hpp>
#include <fathom/continuous/spline_weights.hpp>
#include <fathom/continuous/split_field.hpp>
#include <fathom/op/reduction.hpp>

namespace fathom {

struct spline_field_options {
  int degree = 3;
  double depth = 48;
};

/// dy/dt = sum of the nine sub-layer updates of the block with weights w(t), t in [0, depth]. The coefficients are what
/// is trained; one block of weights exists at a time. As a split field it has one part per sub-layer.
template <backend B, evoformer_dims D, bool Fused = false>
struct evoformer_spline_field {
  using backend_type = B;
  using dims_type = D;
  using block = evoformer_block<B, D, false, Fused>;

  std::vector<block> coefficients;
  spline_field_options options;

  evoformer_spline_field() = default;
  explicit evoformer_spline_field(const B& b, index_t count = 8)
      : coefficients(static_cast<std::size_t>(count), block(b)) {}

  void visit(auto&& v) { v("coefficients", coefficients); }
  template <class B2>
  using rebind = evoformer_spline_field<B2, D, Fused>;

  double depth() const { return options.depth; }
  spline_basis basis() const { return {coefficients.size(), options.degree, options.depth}; }

  /// The block with weights w(t); t outside [0, depth] is held at the end.
  block at(const ode_time<B>& t) const {
    std::vector<const block*> c;
    for (const auto& one : coefficients) c.push_back(&one);
    return spline_weights(basis(), t, c);
  }

  msa_pair<B> operator()(const ode_time<B>& t, const msa_pair<B>& y, const masks<B>& mask, dropout_key key = {}) const {
    return detail::block_rate(at(t), y, mask, key);
  }
  std::size_t parts() const { return 9; }
  msa_pair<B> part(std::size_t n, const ode_time<B>& t, const msa_pair<B>& y, const masks<B>& mask,
                   dropout_key key = {}) const {
    const auto now = at(t);
    return detail::sublayer_rate(now, now.order()[n], y, mask, key);
  }
};

/// `count` coefficients whose splines come closest, in least squares over every weight, to the blocks of a stack at the
/// centres k + 1/2 of their intervals. With count = K (degree 0: the piecewise constant field) nothing is lost.
template <backend B, evoformer_dims D, bool Fused>
evoformer_spline_field<B, D, Fused> as_spline_field(const evoformer_stack<B, D, Fused>& stack, std::size_t count,
                                                    int degree = 3) {
  const spline_basis basis{count, degree, static_cast<double>(stack.blocks.size())};
  basis.check();
  const auto projection = detail::spline_projection(basis, stack.blocks.size());
  evoformer_spline_field<B, D, Fused> field;
  field.options = {degree, basis.depth};
  std::vector<const typename evoformer_stack<B, D, Fused>::block*> blocks;
  for (const auto& one : stack.blocks) blocks.push_back(&one);
  for (const auto& row : projection)
    field.coefficients.push_back(
        detail::combined(blocks, [&](const auto& leaves) { return linear_combination(leaves, row); }));
  return field;
}

/// sum_k |w_(k+1) - w_k|^2 over all weights of neighbouring modules (blocks of a stack, coefficients of a spline):
/// added to a training loss it makes weights smooth in depth, so that coarser steps become possible.
template <class Module>
auto smoothness_penalty(const std::vector<Module>& modules) {
  using B = tree::backend_of_t<Module>;
  if (modules.size() < 2) throw error("smoothness_penalty: needs at least two modules");
  std::vector<tensor<B, 0>> terms;
  for (std::size_t k = 0; k + 1 < modules.size(); ++k)
    tree::for_each_zipped(
        [&](const auto& now, const auto& next) {
          if constexpr (any_tensor<decltype(now)>) terms.push_back(sum(square(next - now)));
        },
        modules[k], modules[k + 1]);
  return linear_combination(terms, std::vector<double>(terms.size(), 1.0));
}

}  // namespace fathom
