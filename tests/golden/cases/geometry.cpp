// SPDX-License-Identifier: Apache-2.0
// Groups 00 and 06: residue tables, rigid transforms, frames and torsions of real chains.
#include <fathom/geometry/frames.hpp>
#include <fathom/geometry/quaternion_rigid.hpp>

#include "support/golden_registry.hpp"

namespace golden_geometry {
namespace {

using namespace fathom;

const golden::covers_on_host constants_case("00_residue_constants", [](auto& run) {
  run.limit({1e-12, 0});
  const residue_table_set& t = residue_tables();
  const auto first_rows = [](const host_tensor<double>& table, index_t rows) {
    auto shape = table.shape;
    const index_t row = table.size() / shape.front();
    shape.front() = rows;
    return host_tensor<double>(shape, std::vector<double>(table.data.begin(), table.data.begin() + rows * row));
  };
  run.values("const.atom14_dists_lower_bound", t.atom14_dists_lower_bound);
  run.values("const.atom14_dists_stddev", t.atom14_dists_stddev);
  run.values("const.atom14_dists_upper_bound", t.atom14_dists_upper_bound);
  run.values("const.atom37_van_der_waals_radius", t.atom37_van_der_waals_radius);
  run.values("const.between_res_bond_length_c_n", t.between_res_bond_length_c_n);
  run.values("const.between_res_bond_length_stddev_c_n", t.between_res_bond_length_stddev_c_n);
  run.values("const.between_res_cos_angles_c_n_ca", t.between_res_cos_angles_c_n_ca);
  run.values("const.between_res_cos_angles_ca_c_n", t.between_res_cos_angles_ca_c_n);
  run.values("const.chi_angles_mask", first_rows(t.chi_angles_mask, restype_count));
  run.integers("const.chi_atom_indices", t.chi_atom_indices);
  run.values("const.chi_pi_periodic", t.chi_pi_periodic);
  run.values("const.restype_atom14_exists", t.restype_atom14_mask);
  run.values("const.restype_atom14_is_ambiguous", t.restype_atom14_is_ambiguous);
  run.values("const.restype_atom14_mask", t.restype_atom14_mask);
  run.values("const.restype_atom14_rigid_group_positions", t.restype_atom14_rigid_group_positions);
  run.integers("const.restype_atom14_to_atom37", t.restype_atom14_to_atom37);
  run.integers("const.restype_atom14_to_rigid_group", t.restype_atom14_to_rigid_group);
  run.values("const.restype_atom37_exists", t.restype_atom37_mask);
  run.values("const.restype_atom37_mask", t.restype_atom37_mask);
  run.values("const.restype_atom37_rigid_group_positions", t.restype_atom37_rigid_group_positions);
  run.integers("const.restype_atom37_to_atom14", t.restype_atom37_to_atom14);
  run.integers("const.restype_atom37_to_rigid_group", t.restype_atom37_to_rigid_group);
  run.values("const.restype_rigid_group_default_frame", t.restype_rigid_group_default_frame);
});

const golden::covers rigid_case("06_rigid_ops", [](auto& run) {
  run.differentiable(
      std::array{"apply", "compose_4x4", "compose_q_update_7", "from_tensor_7_4x4", "invert_4x4", "invert_apply",
                 "invert_quat", "quat_compose", "quat_multiply", "quat_multiply_by_vec", "quat_to_rot", "rot_matmul",
                 "rot_vec_mul", "scale_translation_4x4"},
      std::tuple<>(),
      [](const auto&, const auto& pts, const auto& quat1, const auto& quat2, const auto& quat_raw, const auto& rot1,
         const auto& rot2, const auto& t7, const auto& trans1, const auto& trans2, const auto& update,
         const auto& vec) {
        using B = typename std::remove_cvref_t<decltype(pts)>::backend_type;
        const rigid<B> first{rot1, trans1}, second{rot2, trans2};
        return std::tuple(first(pts), to_4x4(compose(first, second)),
                          // The reference normalises what a frame is built from.
                          compose_q_update(quaternion_rigid<B>{quat_normalize(quat1), trans1}, update).to_tensor_7(),
                          to_4x4(from_tensor_7(t7)), to_4x4(invert(first)), invert_apply(first, pts),
                          quat_inverse(quat_raw), quat_normalize(quat_multiply(quat1, quat2)),
                          quat_multiply(quat1, quat2), quat_multiply_by_vec(quat1, vec), quat_to_rot(quat_raw),
                          matmul(rot1, rot2), rotate(rot1, pts), to_4x4(scale_translation(first, 10)));
      },
      run.template input<2>("pts"), run.template input<2>("quat1"), run.template input<2>("quat2"),
      run.template input<2>("quat_raw"), run.template input<3>("rot1"), run.template input<3>("rot2"),
      run.template input<2>("t7"), run.template input<2>("trans1"), run.template input<2>("trans2"),
      run.template input<2>("update"), run.template input<2>("vec"));
  // The sign of a quaternion is free.
  auto got = to_host(rot_to_quat(run.template in<3>("rot1")));
  const auto expected = run.host("out.rot_to_quat_up_to_sign");
  for (index_t i = 0; i < got.shape[0]; ++i) {
    double dot = 0;
    for (index_t k = 0; k < 4; ++k) dot += static_cast<double>(got(i, k)) * expected(i, k);
    for (index_t k = 0; k < 4 && dot < 0; ++k) got(i, k) = -got(i, k);
  }
  run.values("out.rot_to_quat_up_to_sign", got);
});

const golden::covers three_points_case("06_from_3_points", [](auto& run) {
  const double eps = run.template option<double>("eps"), eps_reference = run.template option<double>("eps_reference");
  run.differentiable(
      std::array{"from_3_points_4x4", "from_reference_n_ca_c_4x4"}, std::tuple<>(),
      [=](const auto&, const auto& n, const auto& ca, const auto& c) {
        return std::tuple(to_4x4(from_3_points(n, ca, c, eps)), to_4x4(frame_from_reference(n, ca, c, eps_reference)));
      },
      run.template input<2>("p_neg_x"), run.template input<2>("origin"), run.template input<2>("p_xy"));
});

/// out.<key> against `got`, with the file's own value wherever `mask` (its leading axes) is 0.
template <class Run, class Got>
void masked_values(Run& run, const std::string& key, const Got& got, const host_tensor<double>& mask) {
  auto values = to_host(got);
  const auto expected = run.host("out." + key);
  const std::size_t repeat = values.data.size() / mask.data.size();
  for (std::size_t i = 0; i < values.data.size() && i < expected.data.size(); ++i)
    if (mask.data[i / repeat] == 0)
      values.data[i] = static_cast<typename decltype(values.data)::value_type>(expected.data[i]);
  run.values("out." + key, values);
}

const golden::covers features_case("06_protein_features", [](auto& run) {
  run.limit({1e-7, 1e-8});
  const auto aatype = run.template in_index<1>("aatype");
  const auto positions = run.template in<3>("all_atom_positions");
  const auto mask = run.template in<2>("all_atom_mask");

  const auto masks = make_atom_masks(aatype);
  run.output("atom14_atom_exists", masks.atom14_atom_exists);
  run.output("atom37_atom_exists", masks.atom37_atom_exists);
  run.integers("out.residx_atom14_to_atom37", to_host(masks.residx_atom14_to_atom37));
  run.integers("out.residx_atom37_to_atom14", to_host(masks.residx_atom37_to_atom14));

  const auto truth = make_atom14_truth(positions, mask, aatype);
  run.output("atom14_gt_exists", truth.exists);
  run.output("atom14_gt_positions", truth.positions);
  run.output("atom14_alt_gt_exists", truth.alt_exists);
  run.output("atom14_alt_gt_positions", truth.alt_positions);
  run.output("atom14_atom_is_ambiguous", truth.is_ambiguous);

  const auto frames = atom37_to_frames(positions, mask, aatype);
  const auto frames_known = run.host("out.rigidgroups_gt_exists");
  run.output("rigidgroups_gt_exists", frames.exists);
  run.output("rigidgroups_group_exists", frames.group_exists);
  run.output("rigidgroups_group_is_ambiguous", frames.is_ambiguous);
  masked_values(run, "rigidgroups_gt_frames", to_4x4(frames.frames), frames_known);
  masked_values(run, "rigidgroups_alt_gt_frames", to_4x4(frames.alt_frames), frames_known);
  run.output("backbone_rigid_mask", select(frames.exists, 1, group_backbone));
  masked_values(run, "backbone_rigid_tensor", select(to_4x4(frames.frames), 1, group_backbone),
                run.host("out.backbone_rigid_mask"));

  const auto torsions = atom37_to_torsion_angles(positions, mask, aatype);
  const auto torsions_known = run.host("out.torsion_angles_mask");
  run.output("torsion_angles_mask", torsions.mask);
  masked_values(run, "torsion_angles_sin_cos", torsions.sin_cos, torsions_known);
  masked_values(run, "alt_torsion_angles_sin_cos", torsions.alt_sin_cos, torsions_known);
  run.output("chi_mask", slice(torsions.mask, 1, 3, 7));
  masked_values(run, "chi_angles_sin_cos", slice(torsions.sin_cos, 1, 3, 7), run.host("out.chi_mask"));

  const auto beta = pseudo_beta(positions, mask, aatype);
  run.output("pseudo_beta_mask", beta.mask);
  masked_values(run, "pseudo_beta", beta.position, run.host("out.pseudo_beta_mask"));
  // Bookkeeping of the reference's pipeline, no geometry.
  for (const char* key : {"in.residue_index", "out.seq_length", "out.seq_mask"}) run.ignore(key);
});

const golden::covers torsions_case("06_torsions_vjp", [](auto& run) {
  run.limit({1e-7, 1e-8});
  const auto aatype = run.template in_index<1>("aatype");
  const auto mask = run.template in<2>("all_atom_mask");
  run.differentiable(
      std::array{"rigidgroups_gt_frames", "torsion_angles_sin_cos"}, std::tuple<>(),
      [&](const auto&, const auto& positions) {
        const auto types = golden::like(positions, aatype);
        const auto known = golden::like(positions, mask);
        const auto frames = atom37_to_frames(positions, known, types);
        const auto torsions = atom37_to_torsion_angles(positions, known, types);
        return std::tuple(to_4x4(frames.frames) * unsqueeze(unsqueeze(frames.exists, 2), 3),
                          torsions.sin_cos * unsqueeze(torsions.mask, 2));
      },
      run.template input<3>("all_atom_positions"));
});

}  // namespace
}  // namespace golden_geometry
