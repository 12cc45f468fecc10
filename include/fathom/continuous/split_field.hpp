// SPDX-License-Identifier: Apache-2.0
// A stack of K discrete Evoformer blocks as a vector field on t in [0, K], in nine parts: one per residual sub-layer. The
// Lie-Trotter step of length 1 is one block of the stack, bit for bit; other methods and steps use the same weights.
#pragma once

#include <cmath>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <fathom/autodiff/autodiff.hpp>
#include <fathom/continuous/block_field.hpp>
#include <fathom/evoformer/evoformer_stack.hpp>

namespace fathom {

/// How the field moves from one block to the next.
enum class depth_blend {
  none,  ///< block k on [k, k + 1): piecewise constant, jumps at whole t
  hat    ///< block k alone at its centre k + 1/2, in between the fields (not the weights) of two blocks, linearly: continuous
         ///< in t, twice the evaluations. Independently trained blocks may be blended like this, never by their weights
};

struct split_field_options {
  depth_blend blend = depth_blend::none;
};

/// dy/dt = sum_i g_(k,i)(y), g_(k,i) the update by sub-layer i of block k at time t. State (m, z), masks as context.
template <backend B, evoformer_dims D, bool Fused = false>
struct evoformer_split_field {
  using backend_type = B;
  using dims_type = D;
  using block = evoformer_block<B, D, false, Fused>;

  std::vector<block> blocks;
  split_field_options options;

  evoformer_split_field() = default;
  explicit evoformer_split_field(const B& b, index_t no_blocks = 48)
      : blocks(static_cast<std::size_t>(no_blocks), block(b)) {}

  void visit(auto&& v) { v("blocks", blocks); }
  template <class B2>
  using rebind = evoformer_split_field<B2, D, Fused>;

  /// K, the end of the depth axis.
  double depth() const { return static_cast<double>(blocks.size()); }
  /// Where the field jumps: 1 ... K - 1, for ode::options::jump_times; none when blended.
  std::vector<double> jump_times() const {
    std::vector<double> times;
    if (options.blend == depth_blend::none)
      for (std::size_t k = 1; k < blocks.size(); ++k) times.push_back(static_cast<double>(k));
    return times;
  }

  /// The sum of all parts, each evaluated at y.
  msa_pair<B> operator()(const ode_time<B>& t, const msa_pair<B>& y, const masks<B>& mask, dropout_key key = {}) const {
    return at(t, [&](const block& one, std::uint64_t number) {
      return detail::block_rate(one, y, mask, key.split(number));
    });
  }

  /// Sub-layers, in the order of a block.
  std::size_t parts() const { return 9; }

  /// Part n at y; zero in the representation that the sub-layer leaves alone.
  msa_pair<B> part(std::size_t n, const ode_time<B>& t, const msa_pair<B>& y, const masks<B>& mask,
                   dropout_key key = {}) const {
    return at(t, [&](const block& one, std::uint64_t number) {
      return detail::sublayer_rate(one, one.order()[n], y, mask, key.split(number));
    });
  }

  /// y + h g_n(t, y). With h = 1 the residual sum of the discrete block itself: no multiplication that could round.
  msa_pair<B> advance(std::size_t n, const ode_time<B>& t, double h, const msa_pair<B>& y, const masks<B>& mask,
                      dropout_key key = {}) const {
    const auto which = blocks.at(0).order()[n];
    auto rate = part(n, t, y, mask, key);
    msa_pair<B> next = y;
    auto& changed = changes_msa(which) ? next.m : next.z;
    auto& update = changes_msa(which) ? rate.m : rate.z;
    changed = h == 1 ? changed + update : changed + update * h;
    return next;
  }

 private:
  /// rate(block, its number) of the block at t, or the blend of two.
  template <class Rate>
  msa_pair<B> at(const ode_time<B>& t, const Rate& rate) const {
    if (blocks.empty()) throw error("evoformer_split_field: the stack has no blocks");
    const double last = static_cast<double>(blocks.size() - 1);
    const double now = static_cast<double>(item(t)) - (options.blend == depth_blend::hat ? 0.5 : 0.0);
    const double from = now < 0 ? 0 : now > last ? last : std::floor(now);
    const auto k = static_cast<std::size_t>(from);
    const auto of = [&](std::size_t number) { return rate(blocks[number], static_cast<std::uint64_t>(number)); };
    if (options.blend == depth_blend::none || now < 0 || now >= last) return of(k);
    // The share of the later block as a tensor: the gradient with respect to t passes through it.
    const auto share = t - (from + 0.5);
    const auto before = of(k), after = of(k + 1);
    return {before.m + (after.m - before.m) * share, before.z + (after.z - before.z) * share};
  }
};

/// A split field with its context held, as the splitting methods want it: parts(), part(n, t, y), advance(n, t, h, y).
template <class Field, class... Context>
class bound_split_field {
 public:
  explicit bound_split_field(Field field, Context... context)
      : field_(std::move(field)), context_(std::move(context)...) {}

  const Field& field() const { return field_; }
  double depth() const { return field_.depth(); }
  std::size_t parts() const { return field_.parts(); }

  template <class Time, class Y>
  Y operator()(const Time& t, const Y& y) const {
    return std::apply([&](const auto&... c) { return field_(t, y, c...); }, context_);
  }
  template <class Time, class Y>
  Y part(std::size_t n, const Time& t, const Y& y) const {
    return std::apply([&](const auto&... c) { return field_.part(n, t, y, c...); }, context_);
  }
  template <class Time, class Y>
  Y advance(std::size_t n, const Time& t, double h, const Y& y) const {
    return std::apply([&](const auto&... c) { return field_.advance(n, t, h, y, c...); }, context_);
  }

 private:
  Field field_;
  std::tuple<Context...> context_;
};

/// The stack's blocks as a field on [0, K]; weights are shared, not copied.
template <backend B, evoformer_dims D, bool Fused>
evoformer_split_field<B, D, Fused> as_split_field(const evoformer_stack<B, D, Fused>& stack,
                                                  split_field_options options = {}) {
  evoformer_split_field<B, D, Fused> field;
  field.blocks = stack.blocks;
  field.options = options;
  return field;
}

/// The same with masks, and dropout where a key is given:
///
///     const auto field = as_split_field(stack, mask);
///     auto y = ode::solve(field, y0, {0, field.depth()}, ode::lie_trotter{}, ode::fixed_steps{K}).y1;   // = stack's (m, z)
template <backend B, evoformer_dims D, bool Fused>
auto as_split_field(const evoformer_stack<B, D, Fused>& stack, const masks<B>& mask, dropout_key key = {},
                    split_field_options options = {}) {
  return bound_split_field<evoformer_split_field<B, D, Fused>, masks<B>, dropout_key>(as_split_field(stack, options),
                                                                                      mask, key);
}

}  // namespace fathom
