// SPDX-License-Identifier: Apache-2.0
// Clusters the rows of an alignment around chosen centres and lays out the features of a pass (AF2 Suppl. 1.2.7, .9).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/host_tensor.hpp>
#include <fathom/features/feature_data.hpp>

namespace fathom {

namespace detail {

/// Number of equal tokens.
inline int agreement(const std::uint8_t* a, const std::uint8_t* b, index_t length) {
  int equal = 0;
  for (index_t i = 0; i < length; ++i) equal += a[i] == b[i] ? 1 : 0;
  return equal;
}

/// For every row of choice.others the centre with which it agrees most.
inline std::vector<index_t> nearest_centres(const host_tensor<std::uint8_t>& msa, const row_choice& choice) {
  constexpr std::uint8_t never = 255;  // equals no token, so that gaps and hidden positions do not count
  const index_t length = msa.shape[1];
  host_tensor<std::uint8_t> centres(choice.tokens.shape, never);
  for (std::size_t k = 0; k < centres.data.size(); ++k)
    if (choice.tokens.data[k] < token_gap) centres.data[k] = static_cast<std::uint8_t>(choice.tokens.data[k]);
  std::vector<index_t> nearest;
  for (const index_t row : choice.others) {
    index_t best = 0;
    int most = -1;
    for (index_t s = 0; s < centres.shape[0]; ++s) {
      const int equal = agreement(&centres(s, 0), &msa(row, 0), length);
      if (equal > most) {
        most = equal;
        best = s;
      }
    }
    nearest.push_back(best);
  }
  return nearest;
}

/// Squeezes a number of deletions into [0, 1): (2/pi) atan(d/3).
inline float deletion_value(double deletions) {
  constexpr double two_over_pi = 0.63661977236758134308;
  return static_cast<float>(two_over_pi * std::atan(deletions / 3.0));
}

inline float has_deletion(float deletions) { return deletions < 1 ? deletions : 1.0f; }

}  // namespace detail

/// See features::assemble.
inline pass_features assemble_pass(const feature_data& whole, const row_choice& choice) {
  const auto& msa = whole.msa;
  const auto& deletions = whole.deletions;
  // Channels of msa_feat, in order.
  constexpr int at_has_deletion = token_count, at_deletion = at_has_deletion + 1, at_profile = at_deletion + 1,
                at_mean = at_profile + token_count, channels = at_mean + 1;
  const auto centres = static_cast<index_t>(choice.clusters.size());
  const index_t n = whole.length();
  pass_features result;
  result.cluster_of = detail::nearest_centres(msa, choice);

  // Sums over a centre and its members; turned into means below.
  host_tensor<float> deletion_sum({centres, n});
  std::vector<double> members(static_cast<std::size_t>(centres), 1.0);
  result.msa_feat = host_tensor<float>({centres, n, channels});
  result.true_msa = host_tensor<int>({centres, n});
  for (index_t s = 0; s < centres; ++s) {
    const index_t row = choice.clusters[static_cast<std::size_t>(s)];
    for (index_t i = 0; i < n; ++i) {
      const int token = choice.tokens(s, i);
      float* at = &result.msa_feat(s, i, 0);
      at[token] = 1;
      at[at_has_deletion] = detail::has_deletion(deletions(row, i));
      at[at_deletion] = detail::deletion_value(deletions(row, i));
      at[at_profile + token] = 1;
      deletion_sum(s, i) = deletions(row, i);
      result.true_msa(s, i) = msa(row, i);
    }
  }
  for (std::size_t k = 0; k < choice.others.size(); ++k) {
    const index_t row = choice.others[k], s = result.cluster_of[k];
    members[static_cast<std::size_t>(s)] += 1;
    for (index_t i = 0; i < n; ++i) {
      result.msa_feat(s, i, at_profile + msa(row, i)) += 1;
      deletion_sum(s, i) += deletions(row, i);
    }
  }
  for (index_t s = 0; s < centres; ++s) {
    const double count = 1e-6 + members[static_cast<std::size_t>(s)];
    for (index_t i = 0; i < n; ++i) {
      float* at = &result.msa_feat(s, i, 0);
      for (int t = 0; t < token_count; ++t) at[at_profile + t] = static_cast<float>(at[at_profile + t] / count);
      at[at_mean] = detail::deletion_value(deletion_sum(s, i) / count);
    }
  }
  result.msa_mask = host_tensor<float>({centres, n}, 1.0f);
  result.bert_mask = choice.bert_mask;

  const auto extra = static_cast<index_t>(choice.extra.size());
  const std::vector<index_t> extra_shape = {extra > 0 ? extra : 1, n};
  result.extra_msa = host_tensor<int>(extra_shape);
  result.extra_has_deletion = host_tensor<float>(extra_shape);
  result.extra_deletion_value = host_tensor<float>(extra_shape);
  result.extra_msa_mask = host_tensor<float>(extra_shape, extra > 0 ? 1.0f : 0.0f);
  for (index_t e = 0; e < extra; ++e) {
    const index_t row = choice.extra[static_cast<std::size_t>(e)];
    for (index_t i = 0; i < n; ++i) {
      result.extra_msa(e, i) = msa(row, i);
      result.extra_has_deletion(e, i) = detail::has_deletion(deletions(row, i));
      result.extra_deletion_value(e, i) = detail::deletion_value(deletions(row, i));
    }
  }
  return result;
}

}  // namespace fathom
