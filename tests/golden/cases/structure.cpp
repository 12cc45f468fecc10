// SPDX-License-Identifier: Apache-2.0
// Group 05: invariant point attention, backbone update, angles, transition, structure module, torsions to atoms.
#include <fathom/geometry/atoms.hpp>
#include <fathom/structure/structure_module.hpp>

#include "support/golden_dims.hpp"
#include "support/golden_registry.hpp"

namespace golden_structure {
namespace {

using namespace fathom;
using golden::dims;

template <class Run>
using backend_t = typename std::remove_cvref_t<Run>::backend_type;

const golden::covers ipa_case("05_ipa", [](auto& run) {
  using B = backend_t<decltype(run)>;
  auto module = run.load(invariant_point_attention<B, dims>(run.backend()));
  module.options = {run.template option<double>("inf"), run.template option<double>("eps")};
  const auto mask = run.template in<1>("mask");
  run.exclude_fully_masked("s", run.host("in.mask"));
  run.differentiable(
      std::array{"s"}, module,
      [&](const auto& attend, const auto& s, const auto& z, const auto& rot, const auto& trans) {
        return std::tuple(attend(s, z, {rot, trans}, golden::like(s, mask)));
      },
      run.template input<2>("s"), run.template input<3>("z"), run.template input<3>("rot"),
      run.template input<2>("trans"));
});

const golden::covers backbone_case("05_backbone_update", [](auto& run) {
  using B = backend_t<decltype(run)>;
  run.differentiable(
      std::array{"quat", "rot", "trans", "update"}, run.load(backbone_update<B, dims::c_s>(run.backend())),
      [](const auto& module, const auto& s, const auto& quat, const auto& trans) {
        using Any = typename std::remove_cvref_t<decltype(s)>::backend_type;
        const auto update = module(s);
        const auto frames = compose_q_update(quaternion_rigid<Any>{quat, trans}, update);
        return std::tuple(frames.quaternion, frames.to_rigid().rotation, frames.translation, update);
      },
      run.template input<2>("s"), run.template input<2>("quat"), run.template input<2>("trans"));
});

const golden::covers angles_case("05_angle_resnet", [](auto& run) {
  using B = backend_t<decltype(run)>;
  auto module = run.load(angle_resnet<B, dims::c_s, dims::c_resnet, dims::no_angles>(
      run.backend(), run.template option<index_t>("no_blocks")));
  module.options.eps = run.template option<double>("epsilon");
  run.differentiable(
      std::array{"angles", "unnormalized_angles"}, module,
      [](const auto& resnet, const auto& s, const auto& s_initial) {
        const auto predicted = resnet(s, s_initial);
        return std::tuple(predicted.angles, predicted.unnormalized);
      },
      run.template input<2>("s"), run.template input<2>("s_initial"));
});

const golden::covers transition_case("05_transition", [](auto& run) {
  using B = backend_t<decltype(run)>;
  run.differentiable(
      std::array{"s"},
      run.load(structure_transition<B, dims::c_s>(run.backend(), run.template option<index_t>("num_layers"))),
      [](const auto& module, const auto& s) { return std::tuple(module(s)); }, run.template input<2>("s"));
});

const golden::covers atoms_case("05_torsion_to_all_atom", [](auto& run) {
  const auto aatype = run.template in_index<1>("aatype");
  run.differentiable(
      std::array{"atom14", "atom37", "frames"}, std::tuple<>(),
      [&](const auto&, const auto& alpha, const auto& rot, const auto& trans) {
        const auto types = golden::like(alpha, aatype);
        const auto geometry = make_residue_geometry(types);
        const auto frames = torsion_angles_to_frames({rot, trans}, alpha, geometry.default_frames);
        const auto atoms = frames_to_atom14(frames, geometry);
        return std::tuple(atoms, atom14_to_atom37(atoms, types), to_4x4(frames));
      },
      run.template input<3>("alpha"), run.template input<3>("rot"), run.template input<2>("trans"));
  const auto masks = make_atom_masks(aatype);
  run.output("atom14_atom_exists", masks.atom14_atom_exists);
  run.output("atom37_atom_exists", masks.atom37_atom_exists);
  run.integers("out.residx_atom14_to_atom37", to_host(masks.residx_atom14_to_atom37));
  run.integers("out.residx_atom37_to_atom14", to_host(masks.residx_atom37_to_atom14));
});

const golden::covers structure_case("05_structure_module", [](auto& run) {
  using B = backend_t<decltype(run)>;
  run.limit_float(1e-4, 1e-4);
  auto module = run.load(structure_module<B, dims>(run.backend()));
  module.options.blocks = run.template option<index_t>("no_blocks");
  module.options.trans_scale_factor = run.template option<double>("trans_scale_factor");
  module.ipa.options = {run.template option<double>("inf"), run.template option<double>("epsilon")};
  module.angle_resnet.options.eps = run.template option<double>("epsilon");
  const auto aatype = run.template in_index<1>("aatype");
  const auto mask = run.template in<1>("mask");
  const auto residues = run.host("in.mask");
  run.exclude_fully_masked("single", residues);
  host_tensor<double> of_blocks({module.options.blocks, residues.size()});
  for (std::size_t i = 0; i < of_blocks.data.size(); ++i) of_blocks.data[i] = residues.data[i % residues.data.size()];
  for (const char* key : {"angles", "frames", "positions", "sidechain_frames", "states", "unnormalized_angles"})
    run.exclude_fully_masked(key, of_blocks);
  run.differentiable(
      std::array{"angles", "frames", "positions", "sidechain_frames", "single", "states", "unnormalized_angles"},
      module,
      [&](const auto& fold, const auto& single, const auto& pair) {
        const auto predicted = fold(single, pair, golden::like(single, aatype), golden::like(single, mask));
        const auto stacked = [&](const auto& member) {
          std::vector<std::remove_cvref_t<decltype(member(predicted.last()))>> parts;
          for (const auto& step : predicted.steps) parts.push_back(member(step));
          return stack(parts, 0);
        };
        return std::tuple(stacked([](const auto& step) { return step.angles; }),
                          stacked([](const auto& step) { return step.frames.to_tensor_7(); }),
                          stacked([](const auto& step) { return step.positions; }),
                          stacked([](const auto& step) { return to_4x4(step.sidechain_frames); }), predicted.single(),
                          stacked([](const auto& step) { return step.state; }),
                          stacked([](const auto& step) { return step.unnormalized_angles; }));
      },
      run.template input<2>("single"), run.template input<3>("pair"));
});

}  // namespace
}  // namespace golden_structure
