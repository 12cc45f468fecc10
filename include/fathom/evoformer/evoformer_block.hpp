// SPDX-License-Identifier: Apache-2.0
// One Evoformer block (AF2 Suppl. Alg. 6) and one extra-MSA block (Alg. 18), as nine sub-layers that can be taken one by
// one: a continuous-depth field may be their sum, or be split into them.
#pragma once

#include <array>
#include <type_traits>

#include <fathom/evoformer/dims.hpp>
#include <fathom/evoformer/msa_column_attention.hpp>
#include <fathom/evoformer/msa_column_global_attention.hpp>
#include <fathom/evoformer/msa_row_attention.hpp>
#include <fathom/evoformer/outer_product_mean.hpp>
#include <fathom/evoformer/pair_stack.hpp>
#include <fathom/evoformer/state.hpp>
#include <fathom/evoformer/sublayer.hpp>
#include <fathom/evoformer/transitions.hpp>

namespace fathom {

/// opm_first: the outer product mean of the incoming m comes before everything else (AlphaFold-Multimer).
/// mask_trans: whether the MSA transition's update is masked; the pair transition's flag is pair_stack.options.mask_trans.
/// Dropout acts only where a call passes a dropout_key.
struct evoformer_block_options {
  bool opm_first = false;
  bool mask_trans = true;
  double msa_dropout = 0.15;
};

/// m and z after nine residual sub-layers. Extra: channels D::c_e and global column attention. Fused: one projection for
/// both factors of the triangle multiplications.
template <backend B, evoformer_dims D, bool Extra = false, bool Fused = false>
struct evoformer_block {
  using backend_type = B;
  using dims_type = D;

  /// Channels and heads of m.
  struct sizes {
    static constexpr index_t c_m = [] {
      if constexpr (Extra)
        return D::c_e;
      else
        return D::c_m;
    }();
    static constexpr index_t c_hidden = [] {
      if constexpr (Extra)
        return D::c_hidden_extra_att;
      else
        return D::c_hidden_msa_att;
    }();
    static constexpr index_t heads = [] {
      if constexpr (Extra)
        return D::no_heads_extra;
      else
        return D::no_heads_msa;
    }();
  };
  using column_attention =
      std::conditional_t<Extra, msa_column_global_attention<B, sizes::c_m, sizes::c_hidden, sizes::heads>,
                         msa_column_attention<B, sizes::c_m, sizes::c_hidden, sizes::heads>>;

  msa_row_attention<B, sizes::c_m, D::c_z, sizes::c_hidden, sizes::heads> msa_att_row;
  column_attention msa_att_col;
  fathom::msa_transition<B, sizes::c_m, D::transition_n> msa_transition;
  fathom::outer_product_mean<B, sizes::c_m, D::c_z, D::c_hidden_opm> outer_product_mean;
  fathom::pair_stack<B, D::c_z, D::c_hidden_mul, D::c_hidden_pair_att, D::no_heads_pair, D::transition_n, Fused>
      pair_stack;
  evoformer_block_options options;

  evoformer_block() = default;
  explicit evoformer_block(const B& b)
      : msa_att_row(b), msa_att_col(b), msa_transition(b), outer_product_mean(b), pair_stack(b) {}

  void visit(auto&& v) {
    v("msa_att_row", msa_att_row);
    v("msa_att_col", msa_att_col);
    v("msa_transition", msa_transition);
    v("outer_product_mean", outer_product_mean);
    v("pair_stack", pair_stack);
  }
  template <class B2>
  using rebind = evoformer_block<B2, D, Extra, Fused>;

  /// The sub-layers in the order in which operator() runs them.
  std::array<evoformer_sublayer, 9> order() const { return block_sublayers(options.opm_first); }

  /// What one sub-layer adds to m [s, i, c_m] (where changes_msa(which)) or to z [i, j, c_z]. Dropout of the row attention
  /// is shared by the sequences.
  tensor<B, 3> update(evoformer_sublayer which, const msa_pair<B>& x, const masks<B>& mask, dropout_key key = {}) const {
    switch (which) {
      case evoformer_sublayer::msa_row_attention:
        return dropout(msa_att_row(x.m, x.z, mask.msa),
                       key.with_rate(options.msa_dropout).split(static_cast<std::uint64_t>(which)), 0);
      case evoformer_sublayer::msa_column_attention:
        return msa_att_col(x.m, mask.msa);
      case evoformer_sublayer::msa_transition:
        return options.mask_trans ? msa_transition(x.m, mask.msa) : msa_transition(x.m);
      case evoformer_sublayer::outer_product_mean:
        return outer_product_mean(x.m, mask.msa);
      default:
        return pair_stack.update(which, x.z, mask.pair, key);
    }
  }

  /// x after all sub-layers, each added to what the ones before it left.
  msa_pair<B> operator()(msa_pair<B> x, const masks<B>& mask, dropout_key key = {}) const {
    check(x, mask);
    for (const auto which : order()) add_update(which, x, mask, key);
    return x;
  }

 private:
  /// x after one sub-layer: in place, without a tensor of updates, wherever the sub-layer can do that.
  void add_update(evoformer_sublayer which, msa_pair<B>& x, const masks<B>& mask, dropout_key key) const {
    if (!changes_msa(which) && which != evoformer_sublayer::outer_product_mean) {
      x.z = pair_stack.residual(which, std::move(x.z), mask.pair, key);
    } else if (which == evoformer_sublayer::msa_row_attention && !(key.rate > 0 && options.msa_dropout > 0)) {
      x.m = msa_att_row.residual(std::move(x.m), x.z, mask.msa);
    } else if (which == evoformer_sublayer::msa_transition) {
      x.m = options.mask_trans ? msa_transition.residual(std::move(x.m), mask.msa)
                               : msa_transition.residual(std::move(x.m));
    } else if constexpr (!Extra) {
      if (which == evoformer_sublayer::msa_column_attention) {
        x.m = msa_att_col.residual(std::move(x.m), mask.msa);
        return;
      }
      add_whole(which, x, mask, key);
    } else {
      add_whole(which, x, mask, key);
    }
  }
  void add_whole(evoformer_sublayer which, msa_pair<B>& x, const masks<B>& mask, dropout_key key) const {
    auto& changed = changes_msa(which) ? x.m : x.z;
    changed = std::move(changed) + update(which, x, mask, key);
  }
  static void check(const msa_pair<B>& x, const masks<B>& mask) {
    const index_t s = x.m.extent(0), n = x.m.extent(1);
    detail::expect_extents<3>("evoformer_block", "m", x.m, {s, n, sizes::c_m});
    detail::expect_extents<3>("evoformer_block", "z", x.z, {n, n, D::c_z});
    detail::expect_extents<2>("evoformer_block", "the MSA mask", mask.msa, {s, n});
    detail::expect_extents<2>("evoformer_block", "the pair mask", mask.pair, {n, n});
  }
};

/// The block of the stack that takes in thousands of sequences: channels D::c_e, global column attention.
template <backend B, evoformer_dims D, bool Fused = false>
using extra_msa_block = evoformer_block<B, D, true, Fused>;

}  // namespace fathom
