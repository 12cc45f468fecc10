// SPDX-License-Identifier: Apache-2.0
// What a sample is compared with: everything the losses need to know of an experimental structure and of its alignment.
#pragma once

#include <fathom/geometry/atoms.hpp>
#include <fathom/geometry/frames.hpp>

namespace fathom::loss {

/// What belongs to a sample as a whole.
struct sample_options {
  double resolution = 1.5;      ///< Angstrom
  double use_clamped_fape = 1;  ///< 1 where this sample's backbone errors are clamped, drawn for every sample
};

/// Lengths in Angstrom; masks 0 or 1.
template <backend B>
struct targets {
  using backend_type = B;
  tensor<B, 1, index_t> aatype, residue_index;  ///< [n]
  tensor<B, 1> seq_mask;                        ///< [n]
  tensor<B, 3> all_atom_positions;              ///< [n, 37, 3]
  tensor<B, 2> all_atom_mask;                   ///< [n, 37], seen in the experiment
  tensor<B, 2> atom37_atom_exists;              ///< [n, 37], the residue has it
  tensor<B, 2> atom14_atom_exists;              ///< [n, 14]
  tensor<B, 3> atom14_gt_positions, atom14_alt_gt_positions;
  tensor<B, 2> atom14_gt_exists, atom14_alt_gt_exists, atom14_atom_is_ambiguous;
  rigid<B, 2> rigidgroups_gt_frames, rigidgroups_alt_gt_frames;  ///< [n, 8]
  tensor<B, 2> rigidgroups_gt_exists;                            ///< [n, 8]
  tensor<B, 3> chi_angles_sin_cos;                               ///< [n, 4, 2]
  tensor<B, 2> chi_mask;                                         ///< [n, 4]
  tensor<B, 2> pseudo_beta;                                      ///< [n, 3]
  tensor<B, 1> pseudo_beta_mask;                                 ///< [n]
  tensor<B, 2, index_t> true_msa;                                ///< [s, n]
  tensor<B, 2> bert_mask;                                        ///< [s, n]
  sample_options options;

  void visit(auto&& v) {
    v("aatype", aatype);
    v("residue_index", residue_index);
    v("seq_mask", seq_mask);
    v("all_atom_positions", all_atom_positions);
    v("all_atom_mask", all_atom_mask);
    v("atom37_atom_exists", atom37_atom_exists);
    v("atom14_atom_exists", atom14_atom_exists);
    v("atom14_gt_positions", atom14_gt_positions);
    v("atom14_alt_gt_positions", atom14_alt_gt_positions);
    v("atom14_gt_exists", atom14_gt_exists);
    v("atom14_alt_gt_exists", atom14_alt_gt_exists);
    v("atom14_atom_is_ambiguous", atom14_atom_is_ambiguous);
    v("rigidgroups_gt_frames", rigidgroups_gt_frames);
    v("rigidgroups_alt_gt_frames", rigidgroups_alt_gt_frames);
    v("rigidgroups_gt_exists", rigidgroups_gt_exists);
    v("chi_angles_sin_cos", chi_angles_sin_cos);
    v("chi_mask", chi_mask);
    v("pseudo_beta", pseudo_beta);
    v("pseudo_beta_mask", pseudo_beta_mask);
    v("true_msa", true_msa);
    v("bert_mask", bert_mask);
  }
  template <class B2>
  using rebind = targets<B2>;

  rigid<B> backbone() const {
    return {select(rigidgroups_gt_frames.rotation, 1, group_backbone),
            select(rigidgroups_gt_frames.translation, 1, group_backbone)};
  }
  tensor<B, 1> backbone_mask() const { return select(rigidgroups_gt_exists, 1, group_backbone); }
};

/// Targets from atoms: positions [n, 37, 3] with mask [n, 37]. The alignment (true_msa, bert_mask), the resolution and
/// the clamp lottery are the caller's to fill in.
template <plain_backend B>
targets<B> make_targets(const tensor<B, 1, index_t>& aatype, const tensor<B, 1, index_t>& residue_index,
                        const tensor<B, 1>& seq_mask, const tensor<B, 3>& positions, const tensor<B, 2>& mask) {
  targets<B> t;
  t.aatype = aatype;
  t.residue_index = residue_index;
  t.seq_mask = seq_mask;
  t.all_atom_positions = positions;
  t.all_atom_mask = mask;
  const auto exists = make_atom_masks(aatype);
  t.atom37_atom_exists = exists.atom37_atom_exists;
  t.atom14_atom_exists = exists.atom14_atom_exists;
  const auto atoms = make_atom14_truth(positions, mask, aatype);
  t.atom14_gt_positions = atoms.positions;
  t.atom14_alt_gt_positions = atoms.alt_positions;
  t.atom14_gt_exists = atoms.exists;
  t.atom14_alt_gt_exists = atoms.alt_exists;
  t.atom14_atom_is_ambiguous = atoms.is_ambiguous;
  const auto frames = atom37_to_frames(positions, mask, aatype);
  t.rigidgroups_gt_frames = frames.frames;
  t.rigidgroups_alt_gt_frames = frames.alt_frames;
  t.rigidgroups_gt_exists = frames.exists;
  const auto torsions = atom37_to_torsion_angles(positions, mask, aatype);
  t.chi_angles_sin_cos = slice(torsions.sin_cos, 1, 3, 7);
  t.chi_mask = slice(torsions.mask, 1, 3, 7);
  const auto beta = fathom::pseudo_beta(positions, mask, aatype);
  t.pseudo_beta = beta.position;
  t.pseudo_beta_mask = beta.mask;
  return t;
}

}  // namespace fathom::loss
