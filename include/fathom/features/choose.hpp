// SPDX-License-Identifier: Apache-2.0
// Which rows become cluster centres and extra rows in a pass, and which positions are hidden (AF2 Suppl. 1.2.6, 1.2.7).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/features/counter_random.hpp>
#include <fathom/features/features.hpp>

namespace fathom {

namespace detail {

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

inline void hide_positions(const features& whole, index_t pass, row_choice& choice) {
  const counter_random where(whole.options.seed, static_cast<std::uint64_t>(pass), 3);
  const counter_random what(whole.options.seed, static_cast<std::uint64_t>(pass), 4);
  const index_t length = whole.length();
  for (std::size_t s = 0; s < choice.clusters.size(); ++s)
    for (index_t i = 0; i < length; ++i) {
      const auto counter = static_cast<std::uint64_t>(choice.clusters[s] * length + i);
      if (where.uniform(counter) >= whole.options.mask_fraction) continue;
      choice.bert_mask(s, i) = 1;
      choice.tokens(s, i) =
          replacement(choice.tokens(s, i), &whole.hhblits_profile(i, 0), whole.options, what.uniform(counter));
    }
}

}  // namespace detail

inline row_choice features::choose(index_t pass) const {
  const auto epoch = static_cast<std::uint64_t>(pass);
  row_choice choice;
  const auto order = detail::shuffled(1, depth(), {options.seed, epoch, 1});
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
  choice.tokens = host_tensor<int>({rows, length()});
  choice.bert_mask = host_tensor<float>({rows, length()});
  for (index_t s = 0; s < rows; ++s)
    for (index_t i = 0; i < length(); ++i) choice.tokens(s, i) = msa(choice.clusters[static_cast<std::size_t>(s)], i);
  if (options.masked) detail::hide_positions(*this, pass, choice);
  return choice;
}

}  // namespace fathom
