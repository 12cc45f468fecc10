// SPDX-License-Identifier: Apache-2.0
// Group 07: losses on frames, angles and logits, forward and gradients. Violations stand in violations.cpp.
#include <fathom/loss/distogram.hpp>
#include <fathom/loss/experimentally_resolved.hpp>
#include <fathom/loss/lddt.hpp>
#include <fathom/loss/masked_msa.hpp>
#include <fathom/loss/rename.hpp>
#include <fathom/loss/structure_fape.hpp>
#include <fathom/loss/tm.hpp>
#include <fathom/loss/torsions.hpp>

#include "support/golden_registry.hpp"

namespace golden_losses {
namespace {

using namespace fathom;
using golden::like;

const golden::covers fape_case("07_fape", [](auto& run) {
  const auto frames_mask = run.template in<1>("frames_mask");
  const auto points_mask = run.template in<1>("positions_mask");
  const auto pair_mask = run.template in<2>("pair_mask");
  const loss::fape_options clamped{run.template option<double>("l1_clamp_distance"), 1,
                                   run.template option<double>("length_scale"), run.template option<double>("eps")};
  auto whole = clamped;
  whole.clamped_share = 0;
  run.differentiable(
      std::array{"fape_clamped", "fape_unclamped", "fape_pair_mask"}, std::tuple<>(),
      [&](const auto&, const auto& points, const auto& rot, const auto& trans, const auto& true_points,
          const auto& true_rot, const auto& true_trans) {
        using B = typename std::remove_cvref_t<decltype(points)>::backend_type;
        const rigid<B> frames{rot, trans}, truth{true_rot, true_trans};
        const auto fm = like(points, frames_mask), pm = like(points, points_mask);
        const std::optional<tensor<B, 2>> pairs(like(points, pair_mask));
        return std::tuple(loss::fape(frames, truth, fm, points, true_points, pm, clamped),
                          loss::fape(frames, truth, fm, points, true_points, pm, whole),
                          loss::fape(frames, truth, fm, points, true_points, pm, clamped, pairs));
      },
      run.template input<2>("pred_positions"), run.template input<3>("pred_rot"), run.template input<2>("pred_trans"),
      run.template input<2>("target_positions"), run.template input<3>("target_rot"),
      run.template input<2>("target_trans"));
});

const golden::covers backbone_case("07_backbone_fape_loss", [](auto& run) {
  const auto mask = run.template in<1>("backbone_rigid_mask");
  const auto target = run.template in<3>("backbone_rigid_tensor");
  loss::structure_fape_options options;
  options.clamp_distance = run.template option<double>("clamp_distance");
  options.loss_unit_distance = run.template option<double>("loss_unit_distance");
  options.eps = run.template option<double>("eps");
  run.differentiable(
      std::array{"clamped", "mixed", "unclamped"}, std::tuple<>(),
      [&](const auto&, const auto& traj) {
        using B = typename std::remove_cvref_t<decltype(traj)>::backend_type;
        std::vector<rigid<B>> blocks;
        for (index_t block = 0; block < traj.extent(0); ++block)
          blocks.push_back(from_tensor_7(select(traj, 0, block)));
        const auto of = [&](double share) {
          return loss::backbone_fape(blocks, from_4x4(like(traj, target)), like(traj, mask), share, options);
        };
        return std::tuple(of(1), of(0.3), of(0));
      },
      run.template input<3>("traj"));
});

const golden::covers sidechain_case("07_sidechain_fape_loss", [](auto& run) {
  using B = typename std::remove_cvref_t<decltype(run)>::backend_type;
  const loss::sidechain_truth<B> truth{
      from_4x4(run.template in<4>("rigidgroups_gt_frames")), from_4x4(run.template in<4>("rigidgroups_alt_gt_frames")),
      run.template in<2>("rigidgroups_gt_exists"),           run.template in<3>("renamed_atom14_gt_positions"),
      run.template in<2>("renamed_atom14_gt_exists"),        run.template in<1>("alt_naming_is_better")};
  loss::structure_fape_options options;
  options.clamp_distance = run.template option<double>("clamp_distance");
  options.loss_unit_distance = run.template option<double>("length_scale");
  options.eps = run.template option<double>("eps");
  run.differentiable(
      std::array{"loss"}, std::tuple<>(),
      [&](const auto&, const auto& atoms, const auto& frames) {
        const auto constants = tree::rebind(truth, frames.backend(),
                                            [&](const auto& from, auto& to) { to = constant(frames.backend(), from); });
        const index_t last = frames.extent(0) - 1;
        return std::tuple(
            loss::sidechain_fape(from_4x4(select(frames, 0, last)), select(atoms, 0, last), constants, options));
      },
      run.template input<4>("sidechain_atom_pos"), run.template input<5>("sidechain_frames"));
});

const golden::covers chi_case("07_supervised_chi_loss", [](auto& run) {
  const auto aatype = run.template in_index<1>("aatype");
  const auto chi = run.template in<3>("chi_angles_sin_cos");
  const auto chi_mask = run.template in<2>("chi_mask");
  const auto seq_mask = run.template in<1>("seq_mask");
  const loss::supervised_chi_options options{
      run.template option<double>("chi_weight"), run.template option<double>("angle_norm_weight"),
      run.template option<double>("eps"), run.template option<double>("masked_mean_eps")};
  run.differentiable(
      std::array{"loss"}, std::tuple<>(),
      [&](const auto&, const auto& angles, const auto& raw) {
        return std::tuple(loss::supervised_chi(angles, raw, like(angles, chi), like(angles, chi_mask),
                                               like(angles, seq_mask), like(angles, aatype), options));
      },
      run.template input<4>("angles_sin_cos"), run.template input<4>("unnormalized_angles_sin_cos"));
});

const golden::covers torsion_case("07_torsion_angle_loss", [](auto& run) {
  const auto truth = run.template in<3>("a_gt"), alternative = run.template in<3>("a_alt_gt");
  run.differentiable(
      std::array{"loss"}, std::tuple<>(),
      [&](const auto&, const auto& a) {
        return std::tuple(loss::torsion_angle(a, like(a, truth), like(a, alternative)));
      },
      run.template input<3>("a"));
});

const golden::covers distogram_case("07_distogram_loss", [](auto& run) {
  const auto beta = run.template in<2>("pseudo_beta");
  const auto mask = run.template in<1>("pseudo_beta_mask");
  const loss::distogram_options options{run.template option<double>("min_bin"), run.template option<double>("max_bin"),
                                        run.template option<double>("eps")};
  run.differentiable(
      std::array{"loss"}, std::tuple<>(),
      [&](const auto&, const auto& logits) {
        return std::tuple(loss::distogram(logits, like(logits, beta), like(logits, mask), options));
      },
      run.template input<3>("logits"));
});

const golden::covers masked_msa_case("07_masked_msa_loss", [](auto& run) {
  const auto truth = run.template in_index<2>("true_msa");
  const auto mask = run.template in<2>("bert_mask");
  const double eps = run.template option<double>("eps");
  run.differentiable(
      std::array{"loss"}, std::tuple<>(),
      [&](const auto&, const auto& logits) {
        return std::tuple(loss::masked_msa(logits, like(logits, truth), like(logits, mask), eps));
      },
      run.template input<3>("logits"));
});

const golden::covers resolved_case("07_experimentally_resolved_loss", [](auto& run) {
  const auto seen = run.template in<2>("all_atom_mask"), exists = run.template in<2>("atom37_atom_exists_mask");
  const loss::experimentally_resolved_options options{
      {run.template option<double>("min_resolution"), run.template option<double>("max_resolution")},
      run.template option<double>("eps")};
  run.differentiable(
      std::array{"loss", "loss_resolution_4"}, std::tuple<>(),
      [&](const auto&, const auto& logits) {
        const auto at = [&](double resolution) {
          return loss::experimentally_resolved(logits, like(logits, seen), like(logits, exists), resolution, options);
        };
        return std::tuple(at(1.5), at(4));
      },
      run.template input<2>("logits"));
});

const golden::covers lddt_case("07_lddt", [](auto& run) {
  const auto predicted = run.template in<3>("all_atom_pred_pos"), truth = run.template in<3>("all_atom_positions");
  const auto mask = run.template in<2>("all_atom_mask");
  loss::plddt_options options;
  options.lddt = {run.template option<double>("cutoff"), run.template option<double>("eps")};
  options.resolution = {run.template option<double>("min_resolution"), run.template option<double>("max_resolution")};
  const auto scores =
      loss::lddt(loss::ca_positions(predicted), loss::ca_positions(truth), loss::ca_mask(mask), options.lddt);
  run.output("lddt_ca_per_residue", scores.residue);
  run.output("lddt_ca_total", scores.total);
  run.differentiable(
      std::array{"loss"}, std::tuple<>(),
      [&](const auto&, const auto& logits) {
        return std::tuple(
            loss::plddt(logits, like(logits, predicted), like(logits, truth), like(logits, mask), 1.5, options));
      },
      run.template input<2>("logits"));
});

const golden::covers tm_case("07_tm_loss", [](auto& run) {
  const auto mask = run.template in<1>("backbone_rigid_mask");
  const auto truth = run.template in<3>("backbone_rigid_tensor");
  const auto predicted = run.template in<2>("final_affine_tensor");
  const loss::tm_options options{
      run.template option<double>("max_bin"),
      run.template option<double>("eps"),
      {run.template option<double>("min_resolution"), run.template option<double>("max_resolution")}};
  run.differentiable(
      std::array{"loss"}, std::tuple<>(),
      [&](const auto&, const auto& logits) {
        return std::tuple(loss::tm(logits, from_tensor_7(like(logits, predicted)), from_4x4(like(logits, truth)),
                                   like(logits, mask), 1.5, options));
      },
      run.template input<3>("logits"));
});

const golden::covers renaming_case("07_renamed_ground_truth", [](auto& run) {
  using B = typename std::remove_cvref_t<decltype(run)>::backend_type;
  const atom14_truth<B> truth{run.template in<3>("atom14_gt_positions"), run.template in<3>("atom14_alt_gt_positions"),
                              run.template in<2>("atom14_gt_exists"), run.template in<2>("atom14_alt_gt_exists"),
                              run.template in<2>("atom14_atom_is_ambiguous")};
  const auto renamed = loss::rename_symmetric_atoms(run.template in<3>("atom14_pred_positions"), truth,
                                                    run.template option<double>("eps"));
  run.output("alt_naming_is_better", renamed.alt_naming_is_better);
  run.output("renamed_atom14_gt_exists", renamed.exists);
  run.output("renamed_atom14_gt_positions", renamed.positions);
  // Known from the residue types.
  run.ignore("in.aatype");
  run.ignore("in.atom14_atom_exists");
});

}  // namespace
}  // namespace golden_losses
