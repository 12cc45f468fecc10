// SPDX-License-Identifier: Apache-2.0
// What a fold will need, before it starts.
#pragma once

#include <algorithm>
#include <cstdint>

#include <fathom/model/fold_model.hpp>

namespace fathom {

namespace detail {
/// States that a solver holds at once: the stages' slopes, the state, the next one and the argument of a stage.
inline std::int64_t solver_states(const solver_choice& solver) {
  return std::visit([](const auto& s) { return static_cast<std::int64_t>(std::remove_cvref_t<decltype(s)>::stages) + 3; },
                    solver);
}
}  // namespace detail

/// Bytes that fold_model<B, D>::fold will use at most with reals of type T: an upper bound, from the extents alone,
/// within about a third of what is measured (see tests/model/test_memory_estimate.cpp).
template <class T, evoformer_dims D>
std::int64_t fold_memory_estimate(const features& query, const fold_options& options, std::int64_t parameters) {
  const std::int64_t n = query.aatype.size(), rows = query.msa.shape[0];
  const std::int64_t s = std::min<std::int64_t>(rows, query.options.clusters);
  const std::int64_t e = std::max<std::int64_t>(1, std::min<std::int64_t>(rows - s, query.options.extra));
  const std::int64_t m = s * n * D::c_m, z = n * n * D::c_z, extra = e * n * D::c_e;
  constexpr std::int64_t scratch = std::int64_t{40} << 20;
  const std::int64_t features = s * n * (D::msa_dim + 4) + e * n * (D::extra_msa_dim + 8);
  const std::int64_t kept = parameters + features + 2 * (m + z);  // recycled, and the trunk's start
  const std::int64_t extra_stack = 3 * extra + 4 * z;
  const std::int64_t trunk = (detail::solver_states(options.solver) + 3) * (m + z);
  const std::int64_t structure = 4 * z;
  const std::int64_t values = kept + std::max({extra_stack, trunk, structure});
  return static_cast<std::int64_t>(sizeof(T)) * (values + values / 8) + scratch;
}

}  // namespace fathom
