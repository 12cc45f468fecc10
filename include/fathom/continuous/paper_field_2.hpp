// SPDX-License-Identifier: Apache-2.0
// A second field of "Protein Folding with Neural ODEs" (arXiv 2510.16253), there EvoformerODEFunc2: a perceptron stands
// where each attention and triangle stood; a full outer product couples m to z. Never trained there, kept for
// comparison.
#pragma once

#include <tuple>
#include <utility>

#include <fathom/continuous/paper_field_parts.hpp>
#include <fathom/op/outer_product.hpp>
#include <fathom/op/reduction.hpp>

namespace fathom {

/// (m', z') from (m, z); dm/dt = mix_m(t) (m' - m), dz/dt = mix_z(t) (z' - z).
///
/// m += P_row(m) + mean_j W LN(z[i, j]), m += P_col(m), m += P_trans(m), z += W vec(mean_s a[s, i] (x) b[s, j]) + bias,
/// then five perceptrons of z, each with its residual. State: m [s, i, c_m], z [i, j, c_z].
template <backend B, paper_field_dims D = paper_dims>
struct evoformer_ode_func2 {
  using backend_type = B;
  using dims_type = D;
  static constexpr index_t c_m = D::c_m, c_z = D::c_z, hidden = D::hidden_dim;

  paper_perceptron<B, c_m, c_m> msa_row_attn;
  paper_projection<B, c_z, c_m> pair_to_msa;
  paper_perceptron<B, c_m, c_m> msa_col_attn;
  paper_perceptron<B, c_m, 4 * c_m> msa_transition;
  paper_projection<B, c_m, hidden> outer_proj_a, outer_proj_b;
  linear<B, hidden * hidden, c_z> outer_to_pair;
  paper_perceptron<B, c_z, c_z> tri_mult_out, tri_mult_in, tri_attn_start, tri_attn_end;
  paper_perceptron<B, c_z, 4 * c_z> pair_transition;
  paper_time_gates<B, hidden> time_mlp;

  evoformer_ode_func2() = default;
  explicit evoformer_ode_func2(const B& b)
      : msa_row_attn(b),
        pair_to_msa(b),
        msa_col_attn(b),
        msa_transition(b),
        outer_proj_a(b),
        outer_proj_b(b),
        outer_to_pair(b),
        tri_mult_out(b),
        tri_mult_in(b),
        tri_attn_start(b),
        tri_attn_end(b),
        pair_transition(b),
        time_mlp(b) {}

  void visit(auto&& v) {
    v("msa_row_attn", msa_row_attn);
    v("pair_to_msa", pair_to_msa);
    v("msa_col_attn", msa_col_attn);
    v("msa_transition", msa_transition);
    v("outer_proj_a", outer_proj_a);
    v("outer_proj_b", outer_proj_b);
    v("outer_to_pair", outer_to_pair);
    v("tri_mult_out", tri_mult_out);
    v("tri_mult_in", tri_mult_in);
    v("tri_attn_start", tri_attn_start);
    v("tri_attn_end", tri_attn_end);
    v("pair_transition", pair_transition);
    v("time_mlp", time_mlp);
  }
  template <class B2>
  using rebind = evoformer_ode_func2<B2, D>;

  msa_pair<B> operator()(const ode_time<B>& t, const msa_pair<B>& y) const {
    detail::check_paper_state<D>("evoformer_ode_func2", y);
    const index_t s = y.m.extent(0), n = y.m.extent(1);
    const auto mix = time_mlp(t);
    msa_pair<B> rate;
    auto z = y.z;
    {
      const auto from_pairs = chunked([](const auto& project, const auto& rows) { return mean(project(rows), 1); },
                                      pair_to_msa, chunk_rows(n, n * (c_z + c_m)), z);
      auto m = y.m;
      m = detail::onto_rows(msa_row_attn, std::move(m)) + from_pairs;
      m = detail::onto_rows(msa_col_attn, std::move(m));
      m = detail::onto_rows(msa_transition, std::move(m));
      z = std::move(z) + outer_mean(m, s, n);
      rate.m = detail::paper_rate(mix, 0, std::move(m), y.m);
    }
    z = detail::onto_rows(tri_mult_out, std::move(z));
    z = detail::onto_rows(tri_mult_in, std::move(z));
    z = detail::onto_rows(tri_attn_start, std::move(z));
    z = detail::onto_rows(tri_attn_end, std::move(z));
    z = detail::onto_rows(pair_transition, std::move(z));
    rate.z = detail::paper_rate(mix, 1, std::move(z), y.z);
    return rate;
  }

 private:
  tensor<B, 3> outer_mean(const tensor<B, 3>& m, index_t s, index_t n) const {
    const auto projected = [&](const auto& projection, double factor) {
      return chunked([factor](const auto& project, const auto& rows) { return project(rows) * factor; }, projection,
                     chunk_rows(s, n * (c_m + 2 * hidden)), m);
    };
    return fathom::outer_product(projected(outer_proj_a, 1 / static_cast<double>(s)), projected(outer_proj_b, 1),
                                 outer_to_pair.weight, outer_to_pair.bias,
                                 full<2>(m.backend(), {n, n}, scalar_of<B>(1)));
  }
};

}  // namespace fathom
