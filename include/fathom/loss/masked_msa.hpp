// SPDX-License-Identifier: Apache-2.0
// Cross entropy at masked positions of the alignment (AF2 Suppl. 1.9.9, eq. 42).
#pragma once

#include <fathom/loss/masked_mean.hpp>
#include <fathom/op/cross_entropy.hpp>

namespace fathom::loss {

/// logits [s, n, 23], true_msa [s, n], bert_mask [s, n] with ones where the network did not see the truth. Half the
/// weight of numerator and denominator is the reference's; it shows in eps only.
template <backend B>
tensor<B, 0> masked_msa(const tensor<B, 3>& logits, const tensor<B, 2, index_t>& true_msa,
                        const tensor<B, 2>& bert_mask, double eps = 1e-8) {
  return masked_mean(cross_entropy(logits, true_msa), bert_mask * 0.5, eps);
}

}  // namespace fathom::loss
