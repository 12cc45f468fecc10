// SPDX-License-Identifier: Apache-2.0
// What evaluation adds to the measures: chain geometry by CA, agreement of states, alignments, embeddings, ideal
// chains.
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include <fathom/io/protein.hpp>
#include <fathom/metrics/ca_geometry.hpp>
#include <fathom/metrics/distance_embedding.hpp>
#include <fathom/metrics/ideal_chain.hpp>
#include <fathom/metrics/secondary_structure.hpp>
#include <fathom/metrics/sequence_alignment.hpp>
#include <fathom/metrics/state_agreement.hpp>
#include <fathom/metrics/superpose.hpp>

using namespace fathom;
using metrics::point;

namespace {

io::protein chain_of(const std::vector<metrics::backbone_atoms>& atoms) {
  io::protein chain(static_cast<index_t>(atoms.size()));
  for (std::size_t i = 0; i < atoms.size(); ++i) {
    const auto row = static_cast<index_t>(i);
    chain.aatype[i] = 0;
    const auto put = [&](const char* name, const point& at) {
      const int column = atom37_index(name);
      chain.mask(row, column) = 1;
      for (index_t k = 0; k < 3; ++k) chain.positions(row, column, k) = at[static_cast<std::size_t>(k)];
    };
    put("N", atoms[i].n), put("CA", atoms[i].ca), put("C", atoms[i].c), put("O", atoms[i].o);
  }
  return chain;
}

}  // namespace

TEST_CASE("metrics: an atom lies where bond, angle and torsion say") {
  const point a{1, 2, 0.5}, b{0, 1, 0}, c{0.3, -0.2, 1.1};
  for (const double turn : {-170.0, -60.0, 0.0, 45.0, 120.0}) {
    const point d = metrics::place_atom(a, b, c, 1.4, 109, turn);
    CHECK(metrics::distance(c, d) == doctest::Approx(1.4));
    CHECK(metrics::angle(b, c, d) == doctest::Approx(109));
    CHECK(metrics::torsion(a, b, c, d) == doctest::Approx(turn));
  }
}

TEST_CASE("metrics: the ideal helix is a right-handed helix with CA at 3.8 Angstrom, its mirror image is left-handed") {
  const auto chain = chain_of(metrics::ideal_backbone(20));
  const auto ca = metrics::ca_trace(chain);
  const auto states = metrics::three_states(metrics::secondary_structure(chain));
  CHECK(states.substr(2, 16) == std::string(16, 'H'));
  CHECK(metrics::ca_spacing(ca).share() == 1);
  CHECK(metrics::ca_clashes(ca).good == 0);
  CHECK(metrics::ca_clashes(ca).all == 17 * 18 / 2);
  const auto hand = metrics::helix_handedness(ca, states);
  CHECK(hand.all >= 13);
  CHECK(hand.share() == 1);
  // 5.4 Angstrom and 3.6 residues a turn: 1.5 Angstrom a residue.
  CHECK(metrics::distance(ca.at[0], ca.at[18]) == doctest::Approx(27).epsilon(0.05));

  auto mirrored = ca;
  for (auto& x : mirrored.at) x[0] = -x[0];
  CHECK(metrics::helix_handedness(mirrored, states).share() == 0);
  CHECK(metrics::helix_handedness(ca, std::string(20, 'C')).all == 0);
  CHECK_THROWS_AS(metrics::helix_handedness(ca, "HHHH"), shape_error);

  const auto strand = metrics::ca_trace(chain_of(metrics::ideal_backbone(10, -120, 130)));
  CHECK(metrics::distance(strand.at[0], strand.at[9]) > 28);
}

TEST_CASE("metrics: spacing and clashes count pairs that are there") {
  metrics::masked_points ca{{{0, 0, 0}, {3.8, 0, 0}, {3.8, 4.3, 0}, {0.5, 0.5, 0}, {0, 0, 50}}, {1, 1, 1, 1, 1}};
  CHECK(metrics::ca_spacing(ca).good == 1);
  CHECK(metrics::ca_spacing(ca).all == 4);
  CHECK(metrics::ca_clashes(ca).good == 1);
  CHECK(metrics::ca_clashes(ca).all == 3);
  ca.mask[3] = 0;
  CHECK(metrics::ca_spacing(ca).all == 2);
  CHECK(metrics::ca_clashes(ca).good == 0);
  CHECK(metrics::share_count{}.share(0.25) == 0.25);
}

TEST_CASE("metrics: F1 of a state over the residues that were seen") {
  const auto helix = metrics::compare_states("HHHHCCEE", "HHCCHC.E", 'H');
  CHECK(helix.both == 2);
  CHECK(helix.predicted == 4);
  CHECK(helix.real == 3);
  CHECK(helix.f1() == doctest::Approx(4.0 / 7));
  CHECK(metrics::compare_states("HHHHCCEE", "HHCCHC.E", 'E').f1() == 1);
  CHECK(metrics::compare_states("CC", "CC", 'H').f1() == 1);
  auto both = helix;
  both += helix;
  CHECK(both.f1() == doctest::Approx(helix.f1()));
  CHECK_THROWS_AS(metrics::compare_states("H", "HH", 'H'), shape_error);
}

TEST_CASE("metrics: an embedding finds points again by their distances") {
  std::vector<point> points;
  for (const auto& atoms : metrics::ideal_backbone(40, -80, 60)) points.push_back(atoms.ca);
  host_tensor<double> d({40, 40});
  for (index_t i = 0; i < 40; ++i)
    for (index_t j = 0; j < 40; ++j)
      d(i, j) = metrics::distance(points[static_cast<std::size_t>(i)], points[static_cast<std::size_t>(j)]);
  const auto found = metrics::embed_distances(d, {.iterations = 50});
  double worst = 0;
  for (std::size_t i = 0; i < 40; ++i)
    for (std::size_t j = 0; j < 40; ++j)
      worst = std::max(
          worst, std::abs(metrics::distance(found[i], found[j]) - d(static_cast<index_t>(i), static_cast<index_t>(j))));
  CHECK(worst < 1e-3);
  CHECK_THROWS_AS(metrics::embed_distances(host_tensor<double>({2, 3})), shape_error);
}

TEST_CASE("metrics: majorisation lowers the stress of distances that no points have") {
  host_tensor<double> d({30, 30});
  for (index_t i = 0; i < 30; ++i)
    for (index_t j = 0; j < 30; ++j) d(i, j) = 3.8 * std::pow(std::abs(static_cast<double>(i - j)), 0.6);
  const auto stress = [&](const std::vector<point>& x) {
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i)
      for (std::size_t j = 0; j < i; ++j) {
        const double target = d(static_cast<index_t>(i), static_cast<index_t>(j));
        const double off = metrics::distance(x[i], x[j]) - target;
        sum += off * off / (target * target);
      }
    return sum;
  };
  const double start = stress(metrics::embed_distances(d, {.iterations = 0, .locality = 2})),
               later = stress(metrics::embed_distances(d, {.iterations = 20, .locality = 2})),
               last = stress(metrics::embed_distances(d, {.iterations = 200, .locality = 2}));
  CHECK(later < start);
  CHECK(last <= later);
}

TEST_CASE("metrics: alignments with affine gaps and free ends") {
  CHECK(metrics::blosum62('W', 'W') == 11);
  CHECK(metrics::blosum62('A', 'V') == 0);
  CHECK(metrics::blosum62('V', 'A') == 0);
  CHECK(metrics::blosum62('E', 'K') == 1);
  CHECK(metrics::blosum62('X', 'A') == -1);

  const auto same = metrics::align_sequences("MKVLAWGHE", "MKVLAWGHE");
  CHECK(same.identity == 1);
  CHECK(same.coverage == 1);
  CHECK(same.score == metrics::alignment_score("MKVLAWGHE", "MKVLAWGHE"));

  // The second lies within the first: no cost for what hangs over.
  const auto inner = metrics::align_sequences("AAAAWCHWPKAAAA", "WCHWPK");
  CHECK(inner.score == 11 + 9 + 8 + 11 + 7 + 5);
  CHECK(inner.partner == std::vector<long>{-1, -1, -1, -1, 0, 1, 2, 3, 4, 5, -1, -1, -1, -1});
  CHECK(inner.coverage == doctest::Approx(6.0 / 14));

  // One gap of three costs 11 + 1 + 1, in either sequence.
  const std::string left = "WWCHWPKM", right = "MPHCWYWF";
  const int whole = metrics::alignment_score(left + right, left + right);
  CHECK(metrics::alignment_score(left + "GSG" + right, left + right) == whole - 13);
  CHECK(metrics::alignment_score(left + right, left + "GSG" + right) == whole - 13);
  const auto gap = metrics::align_sequences(left + "GSG" + right, left + right);
  CHECK(gap.partner[7] == 7);
  for (std::size_t k = 8; k < 11; ++k) CHECK(gap.partner[k] == -1);
  CHECK(gap.partner[11] == 8);
}
