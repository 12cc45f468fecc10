// SPDX-License-Identifier: Apache-2.0
// Names of the nine residual sub-layers of an Evoformer block.
#pragma once

#include <array>

namespace fathom {

/// The first three change m, the others z.
enum class evoformer_sublayer {
  msa_row_attention,
  msa_column_attention,
  msa_transition,
  outer_product_mean,
  triangle_multiplication_outgoing,
  triangle_multiplication_incoming,
  triangle_attention_starting,
  triangle_attention_ending,
  pair_transition
};

/// True for the sub-layers that change m.
constexpr bool changes_msa(evoformer_sublayer which) { return which <= evoformer_sublayer::msa_transition; }

/// Those of the pair stack, in AlphaFold2's order.
inline constexpr std::array pair_sublayers{
    evoformer_sublayer::triangle_multiplication_outgoing, evoformer_sublayer::triangle_multiplication_incoming,
    evoformer_sublayer::triangle_attention_starting, evoformer_sublayer::triangle_attention_ending,
    evoformer_sublayer::pair_transition};

/// All nine in the order of a block; opm_first moves the outer product mean to the front.
constexpr std::array<evoformer_sublayer, 9> block_sublayers(bool opm_first) {
  std::array<evoformer_sublayer, 9> order{};
  std::size_t at = 0;
  if (opm_first) order[at++] = evoformer_sublayer::outer_product_mean;
  order[at++] = evoformer_sublayer::msa_row_attention;
  order[at++] = evoformer_sublayer::msa_column_attention;
  order[at++] = evoformer_sublayer::msa_transition;
  if (!opm_first) order[at++] = evoformer_sublayer::outer_product_mean;
  for (const auto which : pair_sublayers) order[at++] = which;
  return order;
}

}  // namespace fathom
