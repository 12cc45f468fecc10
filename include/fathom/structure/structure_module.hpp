// SPDX-License-Identifier: Apache-2.0
// The structure module (AF2 Suppl. Alg. 20): from the single and pair representation to frames, angles and atoms. Its
// blocks share their weights.
#pragma once

#include <vector>

#include <fathom/geometry/torsion.hpp>
#include <fathom/structure/angle_resnet.hpp>
#include <fathom/structure/backbone_update.hpp>
#include <fathom/structure/invariant_point_attention.hpp>
#include <fathom/structure/structure_transition.hpp>

namespace fathom {

/// What one block of the structure module says. Lengths in Angstrom.
template <backend B>
struct structure_step {
  using backend_type = B;
  quaternion_rigid<B> frames;    ///< backbone frames [n]
  rigid<B, 2> sidechain_frames;  ///< frames of all rigid groups [n, 8]; zero rotation where a group is absent
  tensor<B, 3> unnormalized_angles, angles;  ///< (sin, cos) [n, 7, 2]: pre-omega, phi, psi, chi1..4
  tensor<B, 2> state;                        ///< s [n, c_s]
  tensor<B, 3> positions;                    ///< atoms [n, 14, 3], 0 where an atom does not exist

  void visit(auto&& v) {
    v("frames", frames);
    v("sidechain_frames", sidechain_frames);
    v("unnormalized_angles", unnormalized_angles);
    v("angles", angles);
    v("state", state);
    v("positions", positions);
  }
  template <class B2>
  using rebind = structure_step<B2>;
};

/// The outputs of all blocks, the last being the prediction.
template <backend B>
struct predicted_structure {
  using backend_type = B;
  std::vector<structure_step<B>> steps;

  void visit(auto&& v) { v("steps", steps); }
  template <class B2>
  using rebind = predicted_structure<B2>;

  const structure_step<B>& last() const { return steps.back(); }
  /// The single representation after the last block [n, c_s].
  const tensor<B, 2>& single() const { return last().state; }
};

/// Inside, lengths are in units of trans_scale_factor Angstrom. `dropout` acts where its rate is above 0 (training:
/// 0.1).
struct structure_module_options {
  index_t blocks = 8;
  double trans_scale_factor = 10;
  dropout_key dropout;
  unknown_residue unknown = unknown_residue::absent;
};

/// Member names are OpenFold's.
template <backend B, evoformer_dims D>
struct structure_module {
  using backend_type = B;
  static_assert(D::no_angles == 7, "fathom: residues have seven torsions: pre-omega, phi, psi, chi1..4");

  layer_norm<B, D::c_s> layer_norm_s;
  layer_norm<B, D::c_z> layer_norm_z;
  linear<B, D::c_s, D::c_s> linear_in;
  invariant_point_attention<B, D> ipa;
  layer_norm<B, D::c_s> layer_norm_ipa;
  structure_transition<B, D::c_s> transition;
  backbone_update<B, D::c_s> bb_update;
  fathom::angle_resnet<B, D::c_s, D::c_resnet, D::no_angles> angle_resnet;
  structure_module_options options;

  structure_module() = default;
  explicit structure_module(const B& b)
      : layer_norm_s(b),
        layer_norm_z(b),
        linear_in(b),
        ipa(b),
        layer_norm_ipa(b),
        transition(b, D::no_transition_layers),
        bb_update(b),
        angle_resnet(b, D::no_resnet_blocks) {}

  void visit(auto&& v) {
    v("layer_norm_s", layer_norm_s);
    v("layer_norm_z", layer_norm_z);
    v("linear_in", linear_in);
    v("ipa", ipa);
    v("layer_norm_ipa", layer_norm_ipa);
    v("transition", transition);
    v("bb_update", bb_update);
    v("angle_resnet", angle_resnet);
  }
  template <class B2>
  using rebind = structure_module<B2, D>;

  /// single [n, c_s], pair [n, n, c_z], aatype [n] in 0..20, mask [n] of zeros and ones. Frames start as the identity,
  /// or from `start` (Angstrom).
  predicted_structure<B> operator()(const tensor<B, 2>& single, const tensor<B, 3>& pair,
                                    const tensor<B, 1, index_t>& aatype, const tensor<B, 1>& mask) const {
    return (*this)(single, pair, aatype, mask, identity_quaternion_rigid(single.backend(), single.extent(0)));
  }
  predicted_structure<B> operator()(const tensor<B, 2>& single, const tensor<B, 3>& pair,
                                    const tensor<B, 1, index_t>& aatype, const tensor<B, 1>& mask,
                                    const quaternion_rigid<B>& start) const {
    check(single, pair, aatype);
    const double scale = options.trans_scale_factor;
    const auto geometry = make_residue_geometry(aatype, options.unknown);
    const auto s_initial = layer_norm_s(single);
    const auto z = layer_norm_z(pair);
    auto s = linear_in(s_initial);
    quaternion_rigid<B> frames{start.quaternion, start.translation / scale};

    predicted_structure<B> result;
    for (index_t block = 0; block < options.blocks; ++block) {
      const auto key = options.dropout.split(static_cast<std::uint64_t>(block));
      s = layer_norm_ipa(dropout(s + ipa(s, z, frames.to_rigid(), mask), key.split(0)));
      s = transition(s, key.split(1));
      frames = compose_q_update(frames, bb_update(s));

      structure_step<B> step;
      const auto predicted = angle_resnet(s, s_initial);
      step.state = s;
      step.unnormalized_angles = predicted.unnormalized;
      step.angles = predicted.angles;
      step.frames = {frames.quaternion, frames.translation * scale};
      step.sidechain_frames = torsion_angles_to_frames(step.frames.to_rigid(), step.angles, geometry.default_frames);
      step.positions = frames_to_atom14(step.sidechain_frames, geometry);
      result.steps.push_back(std::move(step));
      // Rotations carry no gradient from one block to the next (Alg. 20, line 20).
      frames.quaternion = detach(frames.quaternion);
    }
    return result;
  }

 private:
  void check(const tensor<B, 2>& single, const tensor<B, 3>& pair, const tensor<B, 1, index_t>& aatype) const {
    const char* const name = "structure_module";
    const index_t n = single.extent(0);
    if (options.blocks < 1) throw error(detail::concat(name, ": needs at least one block, got ", options.blocks));
    detail::expect_extents<2>(name, "single", single, {n, D::c_s});
    detail::expect_extents<3>(name, "pair", pair, {n, n, D::c_z});
    detail::expect_extents<1>(name, "aatype", aatype, {n});
  }
};

}  // namespace fathom
