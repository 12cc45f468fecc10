// SPDX-License-Identifier: Apache-2.0
// The baseline field of "Protein Folding with Neural ODEs" (arXiv 2510.16253), there EvoformerODEFuncFast: one perceptron
// for each representation, coupled by means.
#pragma once

#include <tuple>

#include <fathom/continuous/paper_field_parts.hpp>
#include <fathom/op/reduction.hpp>

namespace fathom {

/// dm/dt = mix_m(t) (P_m(m[s, i] + v[i]) - m), dz/dt = mix_z(t) (P_z(z[i, j] + (u[i] + u[j]) / 2) - z) with
/// u = W_u LN(mean_s m), v = W_v LN(mean_j z). State: m [s, i, c_m], z [i, j, c_z].
template <backend B, paper_field_dims D = paper_dims>
struct evoformer_ode_func_fast {
  using backend_type = B;
  using dims_type = D;
  static constexpr index_t c_m = D::c_m, c_z = D::c_z, hidden = D::hidden_dim;

  paper_perceptron<B, c_m, hidden> msa_update;
  paper_perceptron<B, c_z, hidden> pair_update;
  paper_projection<B, c_m, c_z> msa_to_pair;
  paper_projection<B, c_z, c_m> pair_to_msa;
  paper_time_gates<B, hidden> time_mlp;

  evoformer_ode_func_fast() = default;
  explicit evoformer_ode_func_fast(const B& b)
      : msa_update(b), pair_update(b), msa_to_pair(b), pair_to_msa(b), time_mlp(b) {}

  void visit(auto&& v) {
    v("msa_update", msa_update);
    v("pair_update", pair_update);
    v("msa_to_pair", msa_to_pair);
    v("pair_to_msa", pair_to_msa);
    v("time_mlp", time_mlp);
  }
  template <class B2>
  using rebind = evoformer_ode_func_fast<B2, D>;

  msa_pair<B> operator()(const ode_time<B>& t, const msa_pair<B>& y) const {
    detail::check_paper_state<D>("evoformer_ode_func_fast", y);
    const index_t s = y.m.extent(0), n = y.m.extent(1);
    const auto mix = time_mlp(t);
    const auto u = msa_to_pair(mean(y.m, 0)) * 0.5;  // [i, c_z]
    const auto v = pair_to_msa(mean(y.z, 1));        // [i, c_m]
    msa_pair<B> rate;
    rate.m = chunked(
        [](const auto& shared, const auto& rows) {
          const auto& [update, added, factor] = shared;
          return (update(rows + added) - rows) * factor;
        },
        std::tuple(msa_update, v, slice(mix, 0, 0, 1)), chunk_rows(s, n * (4 * c_m + 2 * hidden)), y.m);
    rate.z = chunked(
        [](const auto& shared, const auto& rows, const auto& added_rows) {
          const auto& [update, added, factor] = shared;
          return (update((rows + added) + unsqueeze(added_rows, 1)) - rows) * factor;
        },
        std::tuple(pair_update, u, slice(mix, 0, 1, 2)), chunk_rows(n, n * (5 * c_z + 2 * hidden)), y.z, u);
    return rate;
  }
};

}  // namespace fathom
