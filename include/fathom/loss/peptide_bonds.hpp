// SPDX-License-Identifier: Apache-2.0
// Geometry of the bonds between residues: how far lengths and angles stray (AF2 Suppl. 1.9.11, eq. 44, 45).
#pragma once

#include <fathom/geometry/residue_lookup.hpp>
#include <fathom/loss/masked_mean.hpp>
#include <fathom/op/comparison.hpp>
#include <fathom/op/extremum.hpp>

namespace fathom::loss {

/// Limits of violations. The reference judges the CA-C-N angle by the deviation of the C-N bond length, 0.014; that is
/// kept, since its weights were trained so. Set it to 0.0311 for the deviation of the angle's cosine.
struct violation_options {
  double tolerance_factor = 12;  ///< standard deviations that a bond may stray
  double clash_overlap_tolerance = 1.5;
  double eps = 1e-6;
  double ca_c_n_stddev = 0.014;
  bool average_clashes = false;
};

/// Losses of neighbours in sequence; means are 0-rank, per-residue values split a bond's loss between its two residues.
template <backend B>
struct connection_violations {
  tensor<B, 0> c_n_loss_mean, ca_c_n_loss_mean, c_n_ca_loss_mean;
  tensor<B, 1> per_residue_loss_sum;        ///< [n], of bonds whether or not they exist
  tensor<B, 1> per_residue_violation_mask;  ///< [n], 1 where a bond that exists strays too far
};

/// positions [n, 14, 3] (N, CA, C are columns 0, 1, 2), exists [n, 14], residue_index [n] (a gap in it breaks the
/// chain), aatype [n].
template <backend B>
connection_violations<B> peptide_bond_violations(const tensor<B, 3>& positions, const tensor<B, 2>& exists,
                                                 const tensor<B, 1, index_t>& residue_index,
                                                 const tensor<B, 1, index_t>& aatype,
                                                 const violation_options& options = {}) {
  const residue_table_set& t = residue_tables();
  const index_t n = positions.extent(0);
  if (n < 2) throw shape_error("peptide_bond_violations: needs at least two residues");
  const double eps = options.eps;
  const auto atom = [&](index_t column, index_t from) {
    return select(slice(positions, 0, from, from + n - 1), 1, column);
  };
  const auto has = [&](index_t column, index_t from) {
    return select(slice(exists, 0, from, from + n - 1), 1, column);
  };
  const auto ca = atom(1, 0), c = atom(2, 0), next_n = atom(0, 1), next_ca = atom(1, 1);
  const auto number = to_real(residue_index);
  const auto step = slice(number, 0, 1, n) - slice(number, 0, 0, n - 1);
  const auto bonded = has(2, 0) * has(0, 1) * less_than(square(step - 1.0), 0.25);

  // Every entry of a table by whether the next residue is a proline.
  const auto by_proline = [&](const host_tensor<double>& values) {
    host_tensor<double> table({restype_count_with_x}, values(0));
    table(restype_index('P')) = values(1);
    return slice(residue_lookup<1>(table, aatype), 0, 1, n);
  };
  const auto length = [&](const tensor<B, 2>& v) { return sqrt(sum_product(v, v) + eps); };
  const auto c_n = next_n - c, c_ca = ca - c, n_ca = next_ca - next_n;
  const auto c_n_length = length(c_n);
  const auto u_c_n = c_n / unsqueeze(c_n_length, 1), u_c_ca = c_ca / unsqueeze(length(c_ca), 1),
             u_n_ca = n_ca / unsqueeze(length(n_ca), 1);

  const auto stray = [&](const tensor<B, 1>& x) { return sqrt(square(x) + eps); };
  const auto bond = stray(c_n_length - by_proline(t.between_res_bond_length_c_n));
  const auto slack = by_proline(t.between_res_bond_length_stddev_c_n) * options.tolerance_factor;
  const auto bond_loss = relu(bond - slack), bond_broken = less(slack, bond);

  const double first_slack = options.tolerance_factor * options.ca_c_n_stddev;
  const auto first = stray(sum_product(u_c_ca, u_c_n) - t.between_res_cos_angles_ca_c_n(0));
  const auto first_loss = relu(first - first_slack), first_broken = greater_than(first, first_slack);

  const double second_slack = options.tolerance_factor * t.between_res_cos_angles_c_n_ca(1);
  const auto second = stray(-sum_product(u_c_n, u_n_ca) - t.between_res_cos_angles_c_n_ca(0));
  const auto second_loss = relu(second - second_slack), second_broken = greater_than(second, second_slack);

  const auto first_known = has(1, 0) * bonded, second_known = bonded * has(1, 1);
  const auto none_there = full<1>(positions.backend(), {1}, scalar_of<B>(0));
  const auto as_first = [&](const tensor<B, 1>& x) { return concatenate(std::vector{x, none_there}, 0); };
  const auto as_second = [&](const tensor<B, 1>& x) { return concatenate(std::vector{none_there, x}, 0); };

  connection_violations<B> result;
  result.c_n_loss_mean = masked_mean(bond_loss, bonded, eps);
  result.ca_c_n_loss_mean = masked_mean(first_loss, first_known, eps);
  result.c_n_ca_loss_mean = masked_mean(second_loss, second_known, eps);
  const auto all = bond_loss + first_loss + second_loss;
  result.per_residue_loss_sum = 0.5 * (as_first(all) + as_second(all));
  const auto broken = maximum(maximum(bond_broken * bonded, first_broken * first_known), second_broken * second_known);
  result.per_residue_violation_mask = maximum(as_first(broken), as_second(broken));
  return result;
}

/// Share of neighbouring CA atoms further apart than 3.80 + `tolerance` Angstrom: positions [n, 14, 3], exists [n, 14].
template <backend B>
tensor<B, 0> extreme_ca_ca_violations(const tensor<B, 3>& positions, const tensor<B, 2>& exists,
                                      const tensor<B, 1, index_t>& residue_index, double tolerance = 1.5,
                                      double eps = 1e-6, double mean_eps = 1e-4) {
  constexpr double ca_ca = 3.80209737096;
  const index_t n = positions.extent(0);
  if (n < 2) throw shape_error("extreme_ca_ca_violations: needs at least two residues");
  const auto ca = select(positions, 1, 1);
  const auto has = select(exists, 1, 1);
  const auto number = to_real(residue_index);
  const auto step = slice(number, 0, 1, n) - slice(number, 0, 0, n - 1);
  const auto known = slice(has, 0, 0, n - 1) * slice(has, 0, 1, n) * less_than(square(step - 1.0), 0.25);
  const auto apart = sqrt(sum_squared_difference(slice(ca, 0, 0, n - 1), slice(ca, 0, 1, n)) + eps);
  return masked_mean(greater_than(apart - ca_ca, tolerance), known, mean_eps);
}

}  // namespace fathom::loss
