// SPDX-License-Identifier: Apache-2.0
// The error norm of the trunk's state: padding left out, the MSA's first row held to tolerances of its own.
#pragma once

#include <array>
#include <optional>

#include <fathom/evoformer/state.hpp>
#include <fathom/ode/options.hpp>
#include <fathom/ode/tree_state.hpp>
#include <fathom/op/layout.hpp>

namespace fathom {

/// For ode::options::norm: m [s, i, c_m] and z [i, j, c_z] count where their masks are 1, and where `first_row` is
/// given, the first row of m, all that the structure module reads, is one more leaf "m[0]". The norm is the maximum
/// over leaves.
///
///     ode::options<msa_pair<B>> options;
///     options.norm = evoformer_norm(y0, mask, ode::tolerances{.rtol = 1e-4, .atol = 1e-5});
template <backend B>
ode::norm_options<msa_pair<B>> evoformer_norm(const msa_pair<B>& like, const masks<B>& mask,
                                              std::optional<ode::tolerances> first_row = std::nullopt) {
  ode::norm_options<msa_pair<B>> norm;
  norm.weights = msa_pair<B>{broadcast_to<3>(unsqueeze(mask.msa, 2), like.m.shape()),
                             broadcast_to<3>(unsqueeze(mask.pair, 2), like.z.shape())};
  if (first_row) {
    const tensor<B, 2> weights = select(norm.weights->m, 0, 0);
    norm.extra.push_back(
        {"m[0]", [weights, tol = *first_row](const msa_pair<B>& error, const msa_pair<B>& y0, const msa_pair<B>& y1) {
           using row = tensor<B, 2>;
           const row e = select(error.m, 0, 0);
           return ode::state_traits<row>::error_norm(select(y0.m, 0, 0), select(y1.m, 0, 0), std::array<double, 1>{1},
                                                     std::array<const row*, 1>{&e}, tol, &weights)
               .value();
         }});
  }
  return norm;
}

}  // namespace fathom
