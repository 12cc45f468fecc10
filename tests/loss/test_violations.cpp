// SPDX-License-Identifier: Apache-2.0
// Structural violations: an ideal chain has none, single faults have known sizes, gradients.
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include <fathom/autodiff/gradient_check.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/geometry/atoms.hpp>
#include <fathom/loss/violations.hpp>

#include "support/frames.hpp"
#include "support/ideal_chain.hpp"

using namespace fathom;

namespace {

template <class B>
struct chain {
  tensor<B, 3> positions;
  tensor<B, 2> exists;
  tensor<B, 1, index_t> numbers, aatype;

  chain(const B& b, const std::string& sequence, const test::torsions& torsions = {}) {
    const auto ideal = test::ideal_chain(sequence, torsions);
    const auto n = static_cast<index_t>(sequence.size());
    host_tensor<std::int64_t> types({n}), order({n});
    for (index_t i = 0; i < n; ++i) {
      types(i) = ideal.aatype[static_cast<std::size_t>(i)];
      order(i) = 10 + i;
    }
    aatype = from_host<1>(b, types);
    numbers = from_host<1>(b, order);
    positions = atom37_to_atom14(from_host<3>(b, ideal.positions), aatype);
    exists = make_atom_masks(aatype).atom14_atom_exists;
  }
  void renumber(std::vector<std::int64_t> order) {
    numbers = from_host<1>(positions.backend(), host_tensor<std::int64_t>({positions.extent(0)}, std::move(order)));
  }
  /// Moves every atom from residue `from` on.
  void shift(index_t from, double x, double y, double z) {
    auto host = to_host(positions);
    for (index_t i = from; i < host.shape[0]; ++i)
      for (index_t a = 0; a < atom14_count; ++a) {
        host(i, a, 0) += x;
        host(i, a, 1) += y;
        host(i, a, 2) += z;
      }
    positions = from_host<3>(positions.backend(), host);
  }
  auto find(const loss::violation_options& options = {}) const {
    return loss::find_structural_violations(positions, exists, numbers, aatype, options);
  }
};

/// Sum of all values.
template <class B, int R>
double one(const tensor<B, R>& x) {
  double total = 0;
  for (const auto value : to_host(x).data) total += static_cast<double>(value);
  return total;
}

}  // namespace

TEST_CASE_TEMPLATE("loss: an ideal helix violates nothing", B, reference<double>, cpu<double>) {
  const chain<B> helix(B{}, "MARNDCEQGHILKFSTWYVAKLEEA");
  const auto v = helix.find();
  CHECK(one(v.connections.c_n_loss_mean) == 0);
  CHECK(one(v.connections.ca_c_n_loss_mean) == 0);
  CHECK(one(v.connections.c_n_ca_loss_mean) == 0);
  CHECK(one(v.connections.per_residue_violation_mask) == 0);
  CHECK(one(v.within_residues.per_atom_loss_sum) == 0);
  CHECK(one(loss::extreme_ca_ca_violations(helix.positions, helix.exists, helix.numbers)) == 0);
}

TEST_CASE_TEMPLATE("loss: a torn bond costs what it is too long, unless the numbering has a gap", B, reference<double>,
                   cpu<double>) {
  chain<B> pair(B{}, "GG", {-120, 120, 180, {}});
  const auto before = to_host(pair.positions);
  // Along C-N, so that no angle changes but the distance does.
  double direction[3], length = 0;
  for (index_t k = 0; k < 3; ++k)
    direction[k] = before(1, 0, k) - before(0, 2, k), length += direction[k] * direction[k];
  length = std::sqrt(length);
  pair.shift(1, 2 * direction[0] / length, 2 * direction[1] / length, 2 * direction[2] / length);
  const auto v = pair.find();
  const double x = std::sqrt((1.329 + 2) * (1.329 + 2) + 1e-6), off = std::sqrt((x - 1.329) * (x - 1.329) + 1e-6);
  CHECK(one(v.connections.c_n_loss_mean) == doctest::Approx((off - 12 * 0.014) / (1 + 1e-6)).epsilon(1e-9));
  CHECK(one(v.connections.ca_c_n_loss_mean) == 0);
  CHECK(one(v.connections.c_n_ca_loss_mean) == 0);
  CHECK(to_host(v.connections.per_residue_loss_sum).data ==
        std::vector<scalar_of<B>>(2, to_host(v.connections.per_residue_loss_sum).data[0]));
  CHECK(one(v.connections.per_residue_loss_sum) == doctest::Approx(off - 12 * 0.014).epsilon(1e-9));
  CHECK(one(v.per_residue_mask) == 2);
  CHECK(one(loss::extreme_ca_ca_violations(pair.positions, pair.exists, pair.numbers)) ==
        doctest::Approx(1 / 1.0001).epsilon(1e-9));
  pair.renumber({10, 12});
  const auto gap = pair.find();
  CHECK(one(gap.connections.c_n_loss_mean) == 0);
  CHECK(one(gap.connections.per_residue_violation_mask) == 0);
  CHECK(one(loss::extreme_ca_ca_violations(pair.positions, pair.exists, pair.numbers)) == 0);
}

TEST_CASE_TEMPLATE("loss: clashes of two residues, pair by pair", B, reference<double>, cpu<double>) {
  // Far in sequence, laid over each other with a shift.
  chain<B> pair(B{}, "CA", {-120, 120, 180, {}});
  auto host = to_host(pair.positions);
  for (index_t a = 0; a < atom14_count; ++a)
    for (index_t k = 0; k < 3; ++k) host(1, a, k) = a < 5 ? host(0, a, k) + (k == 0 ? 1.0 : 0.3) : 0;
  pair.positions = from_host<3>(B{}, host);
  pair.renumber({10, 50});
  const auto v = pair.find();
  const double radius[6] = {1.55, 1.7, 1.7, 1.52, 1.7, 1.8};
  double total = 0, possible = 0, clashes = 0;
  std::vector<double> of_atom(2 * atom14_count, 0.0);
  for (index_t a = 0; a < 6; ++a)
    for (index_t c = 0; c < 5; ++c) {
      double squared = 1e-10;
      for (index_t k = 0; k < 3; ++k) squared += (host(0, a, k) - host(1, c, k)) * (host(0, a, k) - host(1, c, k));
      const double overlap = std::max(0.0, radius[a] + radius[c] - 1.5 - std::sqrt(squared));
      total += overlap, possible += 1, clashes += overlap > 0 ? 1 : 0;
      of_atom[static_cast<std::size_t>(a)] += overlap;
      of_atom[static_cast<std::size_t>(atom14_count + c)] += overlap;
    }
  REQUIRE(clashes > 3);
  CHECK(one(v.clashes.mean_loss) == doctest::Approx(total / (possible + 1e-6)).epsilon(1e-12));
  CHECK(one(v.clashes.per_atom_num_clash) == 2 * clashes);
  const auto sums = to_host(v.clashes.per_atom_loss_sum);
  for (std::size_t i = 0; i < of_atom.size(); ++i) CHECK(sums.data[i] == doctest::Approx(of_atom[i]).epsilon(1e-12));
  CHECK(one(v.per_residue_mask) == 2);
  // Neighbours: C of the first and N of the second are bonded.
  pair.renumber({10, 11});
  double bonded = 1e-10;
  for (index_t k = 0; k < 3; ++k) bonded += (host(0, 2, k) - host(1, 0, k)) * (host(0, 2, k) - host(1, 0, k));
  const double spared = std::max(0.0, 1.7 + 1.55 - 1.5 - std::sqrt(bonded));
  CHECK(one(pair.find().clashes.per_atom_loss_sum) == doctest::Approx(2 * (total - spared)).epsilon(1e-12));
}

TEST_CASE("loss: clashes of a chain that is squeezed") {
  const cpu<double> b;
  std::string sequence;
  for (int i = 0; i < 80; ++i) sequence += "ARNDCQEGHILKMFPSTWYV"[i % 20];
  // Squeezed, so that atoms meet.
  chain<cpu<double>> x(b, sequence);
  x.positions = x.positions * 0.5;
  const auto host = to_host(x.positions), exists = to_host(x.exists);
  const auto radii = to_host(residue_lookup<2>(loss::detail::atom14_radii(), x.aatype));
  double total = 0;
  for (index_t i = 0; i < 80; ++i)
    for (index_t j = i + 1; j < 80; ++j)
      for (index_t a = 0; a < 14; ++a)
        for (index_t c = 0; c < 14; ++c) {
          if (exists(i, a) * exists(j, c) == 0 || (a == 5 && c == 5) || (j == i + 1 && a == 2 && c == 0)) continue;
          double squared = 1e-10;
          for (index_t k = 0; k < 3; ++k) squared += (host(i, a, k) - host(j, c, k)) * (host(i, a, k) - host(j, c, k));
          total += std::max(0.0, radii(i, a) + radii(j, c) - 1.5 - std::sqrt(squared));
        }
  REQUIRE(total > 100);
  const auto found = x.find();
  CHECK(one(found.clashes.per_atom_loss_sum) == doctest::Approx(2 * total).epsilon(1e-10));
}

TEST_CASE_TEMPLATE("loss: gradients of the violation loss", B, reference<double>, cpu<double>) {
  const B b;
  chain<B> x(b, "DPFCCWK");
  x.positions = (x.positions * 0.8 + testing::normal<3>(b, x.positions.shape(), 4, 0.3)) * unsqueeze(x.exists, 2);
  for (const bool average : {false, true}) {
    const loss::violation_options options{.average_clashes = average};
    const auto f = [&](const auto& positions) {
      const auto& handle = positions.backend();
      return loss::violation(
          loss::find_structural_violations(positions, constant(handle, x.exists), constant(handle, x.numbers),
                                           constant(handle, x.aatype), options),
          options);
    };
    CHECK(item(f(x.positions)) > 0.1);
    CHECK(gradient_check(f, x.positions, {.step = 1e-6, .samples = 40}) < 1e-6);
  }
}
