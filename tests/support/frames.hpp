// SPDX-License-Identifier: Apache-2.0
// Random frames, sequences and comparisons for the tests of geometry and structure.
#pragma once

#include <algorithm>
#include <cmath>

#include <fathom/geometry/quaternion_rigid.hpp>

#include "support/random.hpp"

namespace fathom::testing {

/// n frames with random rotations and translations of the given size.
template <class B>
quaternion_rigid<B> random_frames(const B& b, index_t n, std::uint64_t seed, double size = 1) {
  return {quat_normalize(normal<2>(b, {n, 4}, seed)), normal<2>(b, {n, 3}, seed + 1000, size)};
}

/// One rigid motion, given by its quaternion and translation, for all residues.
template <class B>
quaternion_rigid<B> moved(const quaternion_rigid<B>& motion, const quaternion_rigid<B>& frames) {
  return {quat_multiply(motion.quaternion, frames.quaternion),
          rotate(broadcast_to<3>(quat_to_rot(motion.quaternion), {frames.translation.extent(0), 3, 3}),
                 frames.translation) +
              motion.translation};
}

/// All 20 amino acids and X, over and over.
inline host_tensor<std::int64_t> any_sequence(index_t n) {
  host_tensor<std::int64_t> types({n});
  for (index_t i = 0; i < n; ++i) types(i) = (7 * i + 3) % 21;
  return types;
}

/// The largest |a - b|.
template <class A, class B, int R, class Ta, class Tb>
double difference(const tensor<A, R, Ta>& a, const tensor<B, R, Tb>& b) {
  REQUIRE(a.shape() == b.shape());
  const auto x = to_host(a);
  const auto y = to_host(b);
  double worst = 0;
  for (std::size_t i = 0; i < x.data.size(); ++i) {
    const double d = std::abs(static_cast<double>(x.data[i]) - static_cast<double>(y.data[i]));
    worst = std::isfinite(d) ? std::max(worst, d) : HUGE_VAL;
  }
  return worst;
}

/// The largest |x|.
template <class B, int R>
double largest(const tensor<B, R>& x) {
  double most = 0;
  for (const auto value : to_host(x).data) most = std::max(most, std::abs(static_cast<double>(value)));
  return most;
}

}  // namespace fathom::testing
