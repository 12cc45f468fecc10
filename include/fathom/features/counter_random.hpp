// SPDX-License-Identifier: Apache-2.0
// Random numbers that are functions of (seed, pass, purpose, counter): the same whatever order they are asked in.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>

namespace fathom::detail {

/// A bijection of 64-bit words that scatters neighbouring inputs (finaliser of SplitMix64, Steele et al. 2014).
constexpr std::uint64_t scatter(std::uint64_t word) {
  word += 0x9E3779B97F4A7C15u;
  word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
  word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
  return word ^ (word >> 31);
}

/// A stream of independent draws, addressed by a counter.
class counter_random {
 public:
  constexpr counter_random(std::uint64_t seed, std::uint64_t pass, std::uint64_t purpose)
      : key_(scatter(scatter(scatter(seed) ^ pass) ^ purpose)) {}

  constexpr std::uint64_t bits(std::uint64_t counter) const { return scatter(key_ ^ scatter(counter)); }
  /// Uniform in [0, 1).
  constexpr double uniform(std::uint64_t counter) const { return static_cast<double>(bits(counter) >> 11) * 0x1p-53; }

 private:
  std::uint64_t key_;
};

/// The numbers first, first + 1, ..., last - 1 in an order drawn from `random`.
inline std::vector<index_t> shuffled(index_t first, index_t last, const counter_random& random) {
  std::vector<std::pair<std::uint64_t, index_t>> keyed;
  for (index_t i = first; i < last; ++i) keyed.emplace_back(random.bits(static_cast<std::uint64_t>(i)), i);
  std::sort(keyed.begin(), keyed.end());
  std::vector<index_t> order;
  for (const auto& [key, i] : keyed) order.push_back(i);
  return order;
}

}  // namespace fathom::detail
