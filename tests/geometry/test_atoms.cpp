// SPDX-License-Identifier: Apache-2.0
// Torsions to atoms and back, the two atom layouts, frames of rigid groups: round trips, invariance, gradients.
#include <doctest/doctest.h>

#include <fathom/autodiff/gradient_check.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/geometry/frames.hpp>
#include <fathom/geometry/torsion.hpp>

#include "support/frames.hpp"

using namespace fathom;
using testing::difference;
using testing::normal;
using testing::probe;

#define BACKENDS reference<double>, cpu<double>

namespace {

template <class B>
struct chain {
  tensor<B, 1, index_t> aatype;
  tensor<B, 3> angles, atom14, atom37;
  tensor<B, 2> mask37;
  rigid<B> backbone;
};

/// Residues of every type with random frames and torsions.
template <class B>
chain<B> random_chain(const B& b, index_t n, std::uint64_t seed) {
  chain<B> c;
  c.aatype = from_host<1>(b, testing::any_sequence(n));
  c.backbone = testing::random_frames(b, n, seed, 10).to_rigid();
  c.angles = unit_vector(normal<3>(b, {n, 7, 2}, seed + 5), 0);
  const auto geometry = make_residue_geometry(c.aatype);
  c.atom14 = frames_to_atom14(torsion_angles_to_frames(c.backbone, c.angles, geometry.default_frames), geometry);
  c.atom37 = atom14_to_atom37(c.atom14, c.aatype);
  c.mask37 = make_atom_masks(c.aatype).atom37_atom_exists;
  return c;
}

/// x where the mask is 1, else 0.
template <class B>
tensor<B, 3> known(const tensor<B, 3>& x, const tensor<B, 2>& mask) {
  return x * unsqueeze(mask, 2);
}

}  // namespace

TEST_CASE_TEMPLATE("geometry: torsions measured on built atoms are those they were built from", B, BACKENDS) {
  const B b;
  const auto c = random_chain(b, 42, 1);
  const auto measured = atom37_to_torsion_angles(c.atom37, c.mask37, c.aatype);
  // psi and the chi angles depend on one residue alone.
  const auto mask = slice(measured.mask, 1, 2, 7);
  CHECK(difference(known(slice(measured.sin_cos, 1, 2, 7), mask), known(slice(c.angles, 1, 2, 7), mask)) < 2e-3);
  CHECK(item(sum(mask)) > 100);
  // Frames built from those atoms are the frames they were built with.
  const auto frames = atom37_to_frames(c.atom37, c.mask37, c.aatype);
  const auto built = torsion_angles_to_frames(c.backbone, c.angles, make_residue_geometry(c.aatype).default_frames);
  const auto exists = unsqueeze(unsqueeze(frames.exists, 2), 3);
  CHECK(difference(to_4x4(frames.frames) * exists, to_4x4(built) * exists) < 5e-3);
}

TEST_CASE_TEMPLATE("geometry: phi and omega look at the residue before", B, BACKENDS) {
  const B b;
  const auto c = random_chain(b, 21, 2);
  const auto mask = to_host(atom37_to_torsion_angles(c.atom37, c.mask37, c.aatype).mask);
  for (index_t i = 0; i < 21; ++i)
    for (const index_t torsion : {0, 1}) {
      const bool unknown_before = i == 0 || testing::any_sequence(21)(i - 1) == restype_unknown;
      CHECK(mask(i, torsion) == (unknown_before || testing::any_sequence(21)(i) == restype_unknown ? 0 : 1));
    }
}

TEST_CASE_TEMPLATE("geometry: torsions do not change, frames move along when a chain is moved", B, BACKENDS) {
  const B b;
  const auto c = random_chain(b, 21, 3);
  const auto motion = testing::random_frames(b, 1, 4, 5);
  const rigid<B, 2> whole{broadcast_to<4>(quat_to_rot(motion.quaternion), {21, 37, 3, 3}),
                          broadcast_to<3>(motion.translation, {21, 37, 3})};
  const auto moved = known(whole(c.atom37), c.mask37);
  const auto before = atom37_to_torsion_angles(c.atom37, c.mask37, c.aatype);
  const auto after = atom37_to_torsion_angles(moved, c.mask37, c.aatype);
  CHECK(difference(known(before.sin_cos, before.mask), known(after.sin_cos, after.mask)) < 1e-9);
  const auto frames = atom37_to_frames(c.atom37, c.mask37, c.aatype);
  const auto moved_frames = atom37_to_frames(moved, c.mask37, c.aatype);
  const rigid<B, 2> of_groups{broadcast_to<4>(quat_to_rot(motion.quaternion), {21, 8, 3, 3}),
                              broadcast_to<3>(motion.translation, {21, 8, 3})};
  const auto exists = unsqueeze(unsqueeze(frames.exists, 2), 3);
  CHECK(difference(to_4x4(compose(of_groups, frames.frames)) * exists, to_4x4(moved_frames.frames) * exists) < 1e-9);
}

TEST_CASE_TEMPLATE("geometry: the two atom layouts hold the same atoms", B, BACKENDS) {
  const B b;
  const auto c = random_chain(b, 42, 5);
  CHECK(difference(atom37_to_atom14(c.atom37, c.aatype), c.atom14) == 0);
  const auto truth = make_atom14_truth(c.atom37, c.mask37, c.aatype);
  CHECK(difference(truth.positions, c.atom14) == 0);
  // Renaming twice changes nothing; renaming once moves ambiguous atoms only.
  const auto renamed = make_atom14_truth(atom14_to_atom37(truth.alt_positions, c.aatype), c.mask37, c.aatype);
  CHECK(difference(renamed.alt_positions, truth.positions) == 0);
  const auto certain = unsqueeze(affine(truth.is_ambiguous, -1, 1), 2);
  CHECK(difference(truth.alt_positions * certain, truth.positions * certain) == 0);
  CHECK(difference(truth.alt_positions, truth.positions) > 1);
  // Alanine has a CB, glycine stands for itself.
  const auto two = from_host<1>(b, host_tensor<std::int64_t>({2}, {restype_index('A'), restype_index('G')}));
  const auto x = normal<3>(b, {2, 37, 3}, 6);
  const auto beta = pseudo_beta(x, full<2>(b, {2, 37}, scalar_of<B>(1)), two);
  CHECK(difference(select(beta.position, 0, 0), select(select(x, 0, 0), 0, atom37_index("CB"))) == 0);
  CHECK(difference(select(beta.position, 0, 1), select(select(x, 0, 1), 0, atom37_index("CA"))) == 0);
}

TEST_CASE("geometry: an unknown residue gets a backbone where one is asked for") {
  const reference<double> b;
  const auto aatype = from_host<1>(b, host_tensor<std::int64_t>({1}, std::int64_t{restype_unknown}));
  const auto frames = testing::random_frames(b, 1, 7).to_rigid();
  const auto angles = unit_vector(normal<3>(b, {1, 7, 2}, 8), 0);
  const auto atoms = [&](unknown_residue how) {
    const auto geometry = make_residue_geometry(aatype, how);
    return to_host(frames_to_atom14(torsion_angles_to_frames(frames, angles, geometry.default_frames), geometry));
  };
  const auto absent = atoms(unknown_residue::absent), backbone = atoms(unknown_residue::backbone);
  for (const double x : absent.data) CHECK(x == 0);
  for (index_t atom = 0; atom < 14; ++atom) {
    const double size = std::abs(backbone(0, atom, 0)) + std::abs(backbone(0, atom, 1));
    CHECK((size > 0) == (atom < 4));
  }
}

TEST_CASE("geometry: residue types of templates may be gaps") {
  const reference<double> b;
  const auto types = to_host(aatype_from_host(b, host_tensor<int>({4}, {0, 20, 21, -3})));
  CHECK(types.data == std::vector<index_t>{0, 20, 20, 20});
}

TEST_CASE_TEMPLATE("geometry: gradients from torsions to atoms and from atoms to torsions", B, BACKENDS) {
  const B b;
  const auto c = random_chain(b, 21, 9);
  const auto built = [&](const auto& x) {
    const auto& [angles, frames] = x;
    const auto types = constant(angles.backend(), c.aatype);
    const auto geometry = make_residue_geometry(types);
    const auto groups = torsion_angles_to_frames(frames, angles, geometry.default_frames);
    return probe(to_4x4(groups)) + probe(atom14_to_atom37(frames_to_atom14(groups, geometry), types));
  };
  CHECK(gradient_check(built, std::tuple(c.angles, c.backbone), {1e-4, 12, 1}) < 1e-6);
  const auto measured = [&](const auto& x) {
    const auto types = constant(x.backend(), c.aatype);
    const auto mask = constant(x.backend(), c.mask37);
    const auto torsions = atom37_to_torsion_angles(x, mask, types);
    const auto frames = atom37_to_frames(x, mask, types);
    return probe(torsions.sin_cos * unsqueeze(torsions.mask, 2)) +
           probe(to_4x4(frames.frames) * unsqueeze(unsqueeze(frames.exists, 2), 3)) +
           probe(pseudo_beta(x, mask, types).position) + probe(make_atom14_truth(x, mask, types).alt_positions);
  };
  CHECK(gradient_check(measured, c.atom37, {1e-4, 40, 1}) < 1e-6);
  CHECK(live_gradient_nodes() == 0);
}
