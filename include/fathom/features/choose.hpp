// SPDX-License-Identifier: Apache-2.0
// Which rows become cluster centres and extra rows in a pass, and which positions are hidden (AF2 Suppl. 1.2.6, 1.2.7).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/philox.hpp>
#include <fathom/features/feature_data.hpp>

namespace fathom {

namespace detail {

/// A stream of random numbers of its own for every pass and purpose.
inline std::uint64_t feature_key(const feature_options& options, index_t pass, std::uint64_t purpose) {
  return philox_split(philox_split(options.seed, static_cast<std::uint64_t>(pass)), purpose);
}

/// The numbers first, first + 1, ..., last - 1 in a random order.
inline std::vector<index_t> shuffled(index_t first, index_t last, std::uint64_t key) {
  std::vector<std::pair<std::uint64_t, index_t>> keyed;
  for (index_t i = first; i < last; ++i) keyed.emplace_back(philox(key, static_cast<std::uint64_t>(i)), i);
  std::sort(keyed.begin(), keyed.end());
  std::vector<index_t> order;
  for (const auto& [bits, i] : keyed) order.push_back(i);
  return order;
}

/// A token for a hidden position whose true token is `token`. `at` is a uniform draw in [0, 1).
inline int replacement(int token, const float* profile, const feature_options& options, double at) {
  double reached = 0;
  for (int t = 0; t <= token_gap; ++t) {
    reached += (t < restype_count ? options.uniform_share / restype_count : 0.0) + options.profile_share * profile[t] +
               (t == token ? options.same_share : 0.0);
    if (at < reached) return t;
  }
  return token_mask;
}

inline void hide_positions(const feature_data& whole, index_t pass, row_choice& choice) {
  const auto where = feature_key(whole.options, pass, 2), what = feature_key(whole.options, pass, 3);
  const index_t length = whole.length();
  for (std::size_t s = 0; s < choice.clusters.size(); ++s)
    for (index_t i = 0; i < length; ++i) {
      const auto counter = static_cast<std::uint64_t>(choice.clusters[s] * length + i);
      if (philox_uniform(where, counter) >= whole.options.mask_fraction) continue;
      choice.bert_mask(s, i) = 1;
      choice.tokens(s, i) =
          replacement(choice.tokens(s, i), &whole.hhblits_profile(i, 0), whole.options, philox_uniform(what, counter));
    }
}

}  // namespace detail

/// See features::choose.
inline row_choice choose_rows(const feature_data& whole, index_t pass) {
  const feature_options& options = whole.options;
  const index_t length = whole.length();
  row_choice choice;
  const auto order = detail::shuffled(1, whole.depth(), detail::feature_key(options, pass, 1));
  const auto centres = std::min<std::size_t>(static_cast<std::size_t>(options.clusters) - 1, order.size());
  const auto middle = order.begin() + static_cast<std::ptrdiff_t>(centres);
  choice.clusters.assign(1, 0);
  choice.clusters.insert(choice.clusters.end(), order.begin(), middle);
  choice.others.assign(middle, order.end());
  // `others` is in random order already, so any part of it is a random one.
  choice.extra = choice.others;
  if (choice.extra.size() > static_cast<std::size_t>(options.extra))
    choice.extra.resize(static_cast<std::size_t>(options.extra));

  const auto rows = static_cast<index_t>(choice.clusters.size());
  choice.tokens = host_tensor<int>({rows, length});
  choice.bert_mask = host_tensor<float>({rows, length});
  for (index_t s = 0; s < rows; ++s)
    for (index_t i = 0; i < length; ++i)
      choice.tokens(s, i) = whole.msa(choice.clusters[static_cast<std::size_t>(s)], i);
  if (options.masked) detail::hide_positions(whole, pass, choice);
  return choice;
}

}  // namespace fathom
