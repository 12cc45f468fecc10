// SPDX-License-Identifier: Apache-2.0
// Counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011). The same (key, counter) gives the same bits on
// every processor, so dropout masks can be recomputed instead of stored.
#pragma once

#include <cmath>
#include <cstdint>

#include <fathom/core/config.hpp>

namespace fathom {

namespace detail {
FATHOM_HD inline void philox_round(std::uint32_t (&c)[4], std::uint32_t k0, std::uint32_t k1) {
  const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c[0], p1 = std::uint64_t{0xCD9E8D57u} * c[2];
  const std::uint32_t a = static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0;
  const std::uint32_t b = static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1;
  c[1] = static_cast<std::uint32_t>(p1);
  c[3] = static_cast<std::uint32_t>(p0);
  c[0] = a;
  c[2] = b;
}
}  // namespace detail

/// 64 random bits for (key, counter).
FATHOM_HD inline std::uint64_t philox(std::uint64_t key, std::uint64_t counter) {
  std::uint32_t c[4] = {static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32), 0u, 0u};
  std::uint32_t k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    detail::philox_round(c, k0, k1);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return (std::uint64_t{c[1]} << 32) | c[0];
}

/// Uniform in (0, 1), never the ends.
FATHOM_HD inline double philox_uniform(std::uint64_t key, std::uint64_t counter) {
  return (static_cast<double>(philox(key, counter) >> 12) + 0.5) * (1.0 / 4503599627370496.0);
}

/// A key for a part of something that has a key: mixes both.
FATHOM_HD inline std::uint64_t philox_split(std::uint64_t key, std::uint64_t part) {
  return philox(key ^ 0x5851F42D4C957F2Dull, part);
}

/// Inverse of the standard normal distribution function, to about 1e-15 (Acklam's start, one Halley step).
inline double normal_quantile(double p) {
  static constexpr double a[] = {-39.69683028665376, 220.9460984245205, -275.9285104469687,
                                 138.357751867269,   -30.66479806614716, 2.506628277459239};
  static constexpr double b[] = {-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972,
                                 -13.28068155288572};
  static constexpr double c[] = {-0.007784894002430293, -0.3223964580411365, -2.400758277161838,
                                 -2.549732539343734,    4.374664141464968,   2.938163982698783};
  static constexpr double d[] = {0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416};
  double x = 0;
  if (p < 0.02425 || p > 1 - 0.02425) {
    const double q = std::sqrt(-2 * std::log(p < 0.5 ? p : 1 - p));
    x = (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
        ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
    if (p > 0.5) x = -x;
  } else {
    const double q = p - 0.5, r = q * q;
    x = (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q /
        (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
  }
  const double e = 0.5 * std::erfc(-x / 1.4142135623730951) - p;
  const double u = e * 2.5066282746310002 * std::exp(x * x / 2);
  return x - u / (1 + x * u / 2);
}

}  // namespace fathom
