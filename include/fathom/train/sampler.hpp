// SPDX-License-Identifier: Apache-2.0
// Which chain and which part of it is sample number n: a function of (seed, n) alone, so that nothing needs to be
// saved.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <fathom/core/philox.hpp>
#include <fathom/train/chain.hpp>

namespace fathom::train {

/// How samples are drawn.
struct sampling_options {
  std::uint64_t seed = 1;
  index_t crop = 64;               ///< residues
  double clamp_probability = 0.9;  ///< of a sample's backbone FAPE
  /// A chain's weight is max(min(n, length_high), length_low) / length_high over the size of its cluster (AF2 Suppl.
  /// 1.2.5 has 512 and 256).
  index_t length_low = 64, length_high = 128;
};

/// One draw: residues [start, start + length) of a chain.
struct sample_draw {
  std::size_t chain = 0;
  index_t start = 0, length = 0;
  bool clamped = true;
  std::uint64_t key = 0;  ///< for what else is random about the sample: masking, dropout
};

/// Draws chains by weight, with replacement, and crops.
class sampler {
 public:
  sampler(const std::vector<chain>& chains, const sampling_options& options) : options_(options) {
    if (chains.empty()) throw input_error("sampler: there are no chains to draw from");
    if (options.crop < 4)
      throw error(fathom::detail::concat("sampler: a crop of ", options.crop, " residues; at least 4 are needed"));
    std::map<std::string, double> members;
    for (const auto& c : chains) members[c.cluster] += 1;
    double sum = 0;
    for (const auto& c : chains) {
      const auto n = std::clamp(c.size(), options.length_low, std::max(options.length_low, options.length_high));
      sum += static_cast<double>(n) / members[c.cluster];
      reached_.push_back(sum);
      lengths_.push_back(c.size());
    }
  }

  /// Probability of chain k.
  double probability(std::size_t k) const { return (reached_[k] - (k > 0 ? reached_[k - 1] : 0)) / reached_.back(); }

  /// Sample number n = 0, 1, ... A clamped sample's crop starts anywhere with equal probability; that of an unclamped
  /// one rather near the beginning (AF2 Suppl. 1.2.8).
  sample_draw operator()(std::uint64_t n) const {
    const std::uint64_t key = philox_split(options_.seed, n);
    const auto uniform = [&](std::uint64_t i) { return philox_uniform(key, i); };
    sample_draw draw;
    const double at = uniform(0) * reached_.back();
    draw.chain = std::min<std::size_t>(
        static_cast<std::size_t>(std::upper_bound(reached_.begin(), reached_.end(), at) - reached_.begin()),
        reached_.size() - 1);
    const index_t whole = lengths_[draw.chain];
    draw.length = std::min(whole, options_.crop);
    draw.clamped = uniform(1) < options_.clamp_probability;
    const index_t room = whole - draw.length;
    const index_t less = draw.clamped ? 0 : pick(uniform(2), room);
    draw.start = pick(uniform(3), room - less);
    draw.key = philox_split(key, 4);
    return draw;
  }

 private:
  /// 0, ..., last with equal probability.
  static index_t pick(double uniform, index_t last) {
    return std::min(last, static_cast<index_t>(uniform * static_cast<double>(last + 1)));
  }
  sampling_options options_;
  std::vector<double> reached_;
  std::vector<index_t> lengths_;
};

}  // namespace fathom::train
