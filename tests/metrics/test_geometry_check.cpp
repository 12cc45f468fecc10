// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>

#include <fathom/io/structure.hpp>
#include <fathom/metrics/chain_check.hpp>
#include <fathom/metrics/geometry_check.hpp>

#include "support/ideal_chain.hpp"

#ifndef FATHOM_SHARED_DIR
#define FATHOM_SHARED_DIR ""
#endif

namespace {

using namespace fathom;
using namespace fathom::metrics;

const std::string all_types = "ARNDCQEGHILKMFPSTWYVX";

}  // namespace

TEST_CASE("metrics: chains of rigid groups satisfy the geometry check at any torsions") {
  for (const double turn : {-170.0, -60.0, 45.0, 120.0}) {
    const io::protein chain = test::ideal_chain(all_types, {turn, turn + 40, 180, {turn, 50, turn, -70}});
    const geometry_report report = geometry_check(chain);
    CHECK(report.worst_bond.deviation < 1e-9);
    CHECK(report.worst_angle.deviation < 1e-6);
    CHECK(report.within(0.02, 2.0));
    CHECK(report.missing_atoms == 0);
    CHECK(report.bonds == 153 - 1 + 3);   // 167 atoms in 20 trees and 6 rings, less proline's CD-N; three of X
    CHECK(report.angles == 174 - 2 + 2);  // proline's CG-CD-N and CA-N-CD are not fixed
    CHECK(report.worst_ring_bond.atoms == "PRO CD-N");
    // Engh and Huber's means differ from the rigid groups, by no more than this.
    const geometry_report means = geometry_check(chain, ideal_geometry::engh_huber);
    CHECK(means.worst_bond.deviation < 0.05);
    CHECK(means.worst_angle.deviation < 2.5);
    CHECK(means.worst_bond.atoms == "HIS CD2-NE2");
  }
}

TEST_CASE("metrics: text formats keep bonds and angles within the tables") {
  const io::protein chain = test::ideal_chain(all_types, {-100, 130, 178, {-60, 170, 60, 180}});
  for (const auto& text : {io::pdb_text(chain), io::mmcif_text(chain)}) {
    const io::protein back = io::parse_chains(text, "chain").front();
    const geometry_report report = geometry_check(back);
    CHECK(report.within(0.02, 2.0));
    CHECK(report.worst_bond.deviation > 1e-6);  // coordinates were rounded
    CHECK(report.missing_atoms == 0);
  }
}

TEST_CASE("metrics: the geometry check finds what is wrong and where") {
  io::protein chain = test::ideal_chain("GAVLW", test::torsions{});
  const int cd1 = atom37_index("CD1"), cg = atom37_index("CG"), cb = atom37_index("CB");
  // Stretch CG-CD1 of leucine by 0.1 Angstrom.
  const point from{chain.positions(3, cg, 0), chain.positions(3, cg, 1), chain.positions(3, cg, 2)};
  const point to{chain.positions(3, cd1, 0), chain.positions(3, cd1, 1), chain.positions(3, cd1, 2)};
  const point along = (0.1 / distance(from, to)) * (to - from);
  for (index_t k = 0; k < 3; ++k) chain.positions(3, cd1, k) += along[static_cast<std::size_t>(k)];
  const geometry_report stretched = geometry_check(chain);
  CHECK(stretched.worst_bond.deviation == doctest::Approx(0.1));
  CHECK(stretched.worst_bond.residue == 3);
  CHECK(stretched.worst_bond.atoms == "LEU CG-CD1");
  CHECK(stretched.worst_angle.deviation < 1e-6);
  CHECK_FALSE(stretched.within(0.02, 2.0));
  // An absent atom takes its bonds with it.
  chain.mask(3, cd1) = 0;
  const geometry_report without = geometry_check(chain);
  CHECK(without.within(0.02, 2.0));
  CHECK(without.missing_atoms == 1);
  CHECK(without.bonds == stretched.bonds - 1);
  // Bend: CB of alanine moved across.
  chain.positions(1, cb, 0) += 0.3;
  CHECK(geometry_check(chain).worst_angle.residue == 1);
  CHECK_FALSE(geometry_check(chain).within(10.0, 2.0));
  chain.positions(1, cb, 0) = std::numeric_limits<double>::quiet_NaN();
  CHECK(geometry_check(chain).not_finite == 1);
  CHECK_FALSE(geometry_check(chain).within(10.0, 180.0));
  // Coinciding atoms are as wrong as can be.
  io::protein collapsed = test::ideal_chain("A", test::torsions{});
  for (double& x : collapsed.positions.data) x = 0;
  CHECK(geometry_check(collapsed).worst_angle.deviation == 180.0);
}

TEST_CASE("metrics: the hand of a helix is told from its mirror image") {
  const io::protein helix = test::ideal_chain(std::string(20, 'A'), test::torsions{});
  io::protein mirror = helix;
  for (index_t i = 0; i < mirror.size(); ++i)
    for (index_t a = 0; a < 37; ++a) mirror.positions(i, a, 2) = -mirror.positions(i, a, 2);
  const chain_report right = chain_check(helix), left = chain_check(mirror);
  CHECK(right.right_handed_turns == 17);
  CHECK(right.left_handed_turns == 0);
  CHECK(left.left_handed_turns == 17);
  CHECK(left.right_handed_turns == 0);
  CHECK(right.worst_ca_ca < 0.02);
  CHECK(right.worst_peptide_bond < 1e-9);
  CHECK(right.chain_breaks == 0);
  CHECK(right.clashes == 0);
  CHECK(geometry_check(mirror).within(1e-9, 1e-6));  // bonds and angles cannot tell
  const io::protein strand = test::ideal_chain(std::string(20, 'A'), {-120, 130, 180, {}});
  CHECK(chain_check(strand).right_handed_turns == 0);
}

TEST_CASE("metrics: chain breaks and clashes are counted") {
  io::protein chain = test::ideal_chain(std::string(12, 'A'), {-120, 130, 180, {}});
  for (index_t i = 6; i < 12; ++i)
    for (index_t a = 0; a < 37; ++a) chain.positions(i, a, 1) += 40;
  chain_report report = chain_check(chain);
  CHECK(report.chain_breaks == 1);
  CHECK(report.worst_ca_ca > 30);
  CHECK(report.clashes == 0);
  // A jump of the numbers there makes it a gap instead of a break.
  for (std::size_t i = 6; i < 12; ++i) chain.residue_number[i] += 5;
  report = chain_check(chain);
  CHECK(report.chain_breaks == 0);
  CHECK(report.worst_ca_ca < 0.02);
  CHECK(report.ca_ca[5] > 30);
  // Put the CB of the last residue onto the CA of the first.
  for (index_t k = 0; k < 3; ++k) chain.positions(11, 3, k) = chain.positions(0, 1, k) + 0.1;
  CHECK(chain_check(chain).clashes >= 1);
}

TEST_CASE("metrics: crystal structures lie near the tables") {
  const std::string path = std::string(FATHOM_SHARED_DIR) + "/data/nasty/mse_1A8O.cif";
  if (std::string(FATHOM_SHARED_DIR).empty()) {
    MESSAGE("SKIPPED: no " << path);
    return;
  }
  const io::protein chain = io::read_structure(path);
  const geometry_report report = geometry_check(chain, ideal_geometry::engh_huber);
  CHECK(report.worst_bond.deviation < 0.3);
  CHECK(report.worst_bond.deviation > 0.005);
  CHECK(report.worst_angle.deviation < 20);
  CHECK(report.bonds > 450);
  const chain_report whole = chain_check(chain);
  CHECK(whole.worst_ca_ca < 0.2);
  CHECK(whole.right_handed_turns > 20);
  CHECK(whole.left_handed_turns <= 2);
}
