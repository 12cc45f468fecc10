// SPDX-License-Identifier: Apache-2.0
// Binomial checkpointing: where to store states so that n steps can be reversed from c of them with the fewest repeated
// steps (Griewank 1992; Griewank and Walther, "Revolve", 2000).
#pragma once

#include <cstdint>
#include <vector>

#include <fathom/core/config.hpp>

namespace fathom::ode {

namespace detail {
/// C(n, k), or a huge number where it would overflow.
inline std::int64_t binomial_coefficient(std::int64_t n, std::int64_t k) {
  constexpr std::int64_t huge = std::int64_t(1) << 60;
  if (k < 0 || k > n) return 0;
  if (k > n - k) k = n - k;
  std::int64_t value = 1;
  for (std::int64_t j = 1; j <= k; ++j) {
    if (value > huge / (n - k + j)) return huge;
    value = value * (n - k + j) / j;
  }
  return value;
}
}  // namespace detail

/// Steps that must be made, the first sweep up to the last step counted, to reverse `n` steps with `c` stored states,
/// the initial one among them: r n - C(c + r, r - 1) with C(c + r - 1, c) < n <= C(c + r, c).
inline std::int64_t binomial_advances(std::int64_t n, std::int64_t c) {
  if (n <= 1) return 0;
  std::int64_t r = 1;
  while (detail::binomial_coefficient(c + r, c) < n) ++r;
  return r * n - detail::binomial_coefficient(c + r, r - 1);
}

/// The number of steps after which the next state is stored when `n` are to be reversed with `c` stored states, the
/// present one among them; c >= 2, n >= 2.
inline std::int64_t binomial_split(std::int64_t n, std::int64_t c) {
  std::int64_t best = 1, fewest = -1;
  for (std::int64_t m = 1; m < n; ++m) {
    const std::int64_t advances = m + binomial_advances(n - m, c - 1) + binomial_advances(m, c);
    if (fewest < 0 || advances < fewest) {
      fewest = advances;
      best = m;
    }
  }
  return best;
}

/// Numbers of the steps before which the first sweep stores the state; the first is 0.
inline std::vector<std::int64_t> binomial_positions(std::int64_t n, std::int64_t c) {
  std::vector<std::int64_t> positions{0};
  std::int64_t at = 0;
  while (c > 1 && n - at > 1) {
    at += binomial_split(n - at, c);
    --c;
    positions.push_back(at);
  }
  return positions;
}

}  // namespace fathom::ode
