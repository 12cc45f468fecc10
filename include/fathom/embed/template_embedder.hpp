// SPDX-License-Identifier: Apache-2.0
// Everything that templates add to m and z (AF2 Suppl. Alg. 2, lines 7-13).
#pragma once

#include <vector>

#include <fathom/embed/template_pair_embedder.hpp>
#include <fathom/embed/template_pair_stack.hpp>
#include <fathom/embed/template_pointwise_attention.hpp>
#include <fathom/embed/template_single_embedder.hpp>
#include <fathom/geometry/frames.hpp>

namespace fathom {

/// t templates aligned to n residues; positions in Angstrom.
template <backend B>
struct template_input {
  using backend_type = B;
  tensor<B, 2, index_t> aatype;   ///< [t, n], 0..20, 21 for a gap
  tensor<B, 4> positions;         ///< [t, n, 37, 3], 0 where not known
  tensor<B, 3> atom_mask;         ///< [t, n, 37]
  tensor<B, 3> pseudo_beta;       ///< [t, n, 3]
  tensor<B, 2> pseudo_beta_mask;  ///< [t, n]
  tensor<B, 4> torsions;          ///< (sin, cos) [t, n, 7, 2]
  tensor<B, 4> alt_torsions;      ///< [t, n, 7, 2]
  tensor<B, 3> torsion_mask;      ///< [t, n, 7]
  tensor<B, 1> mask;              ///< [t], 1 where there is a template

  void visit(auto&& v) {
    v("aatype", aatype);
    v("positions", positions);
    v("atom_mask", atom_mask);
    v("pseudo_beta", pseudo_beta);
    v("pseudo_beta_mask", pseudo_beta_mask);
    v("torsions", torsions);
    v("alt_torsions", alt_torsions);
    v("torsion_mask", torsion_mask);
    v("mask", mask);
  }
  template <class B2>
  using rebind = template_input<B2>;
};

namespace detail {
/// Template number `one` of types [t, n].
template <class B>
tensor<B, 1, index_t> types_of(const tensor<B, 2, index_t>& aatype, index_t one) {
  if constexpr (plain_backend<B>)
    return aatype.reinterpret(extents<1>{aatype.extent(1)}, extents<1>{aatype.stride(1)}, one * aatype.stride(0));
  else
    return constant(aatype.backend(), types_of(aatype.primal(), one));
}
}  // namespace detail

/// Pseudo-beta atoms and torsions from positions: aatype [t, n], positions [t, n, 37, 3], atom mask [t, n, 37], mask
/// [t]. A gap counts as X: it has no side chain.
template <backend B>
template_input<B> make_template_input(const tensor<B, 2, index_t>& aatype, const tensor<B, 4>& positions,
                                      const tensor<B, 3>& atom_mask, const tensor<B, 1>& mask) {
  const index_t templates = aatype.extent(0);
  if (templates == 0) throw shape_error("make_template_input: no template; leave the template embedder out instead");
  std::vector<tensor<B, 3>> torsions, alt_torsions;
  std::vector<tensor<B, 2>> torsion_mask, beta;
  std::vector<tensor<B, 1>> beta_mask;
  for (index_t one = 0; one < templates; ++one) {
    const auto types = aatype_from_host(aatype.backend(), to_host(detail::types_of(aatype, one)));
    const auto atoms = select(positions, 0, one);
    const auto known = select(atom_mask, 0, one);
    const auto angles = atom37_to_torsion_angles(atoms, known, types);
    const auto side = pseudo_beta(atoms, known, types);
    torsions.push_back(angles.sin_cos * unsqueeze(angles.mask, 2));
    alt_torsions.push_back(angles.alt_sin_cos * unsqueeze(angles.mask, 2));
    torsion_mask.push_back(angles.mask);
    beta.push_back(side.position);
    beta_mask.push_back(side.mask);
  }
  return {aatype,
          positions,
          atom_mask,
          stack(beta, 0),
          stack(beta_mask, 0),
          stack(torsions, 0),
          stack(alt_torsions, 0),
          stack(torsion_mask, 0),
          mask};
}

/// What the trunk receives.
template <backend B>
struct template_embedding {
  using backend_type = B;
  tensor<B, 3> pair;         ///< [n, n, c_z], to add to z
  tensor<B, 3> single;       ///< [t, n, c_m], to append to m as rows
  tensor<B, 2> single_mask;  ///< [t, n], mask of those rows: phi is known

  void visit(auto&& v) {
    v("pair", pair);
    v("single", single);
    v("single_mask", single_mask);
  }
  template <class B2>
  using rebind = template_embedding<B2>;
};

/// Member names are OpenFold's.
template <backend B, evoformer_dims D>
struct template_embedder {
  using backend_type = B;

  fathom::template_single_embedder<B, D> template_single_embedder;
  fathom::template_pair_embedder<B, D> template_pair_embedder;
  fathom::template_pair_stack<B, D> template_pair_stack;
  template_pointwise_attention<B, D> template_pointwise_att;

  template_embedder() = default;
  explicit template_embedder(const B& b, index_t no_blocks = 2)
      : template_single_embedder(b),
        template_pair_embedder(b),
        template_pair_stack(b, no_blocks),
        template_pointwise_att(b) {}

  void visit(auto&& v) {
    v("template_single_embedder", template_single_embedder);
    v("template_pair_embedder", template_pair_embedder);
    v("template_pair_stack", template_pair_stack);
    v("template_pointwise_att", template_pointwise_att);
  }
  template <class B2>
  using rebind = template_embedder<B2, D>;

  /// z [n, n, c_z] as the queries, pair mask [n, n]. Without any template present the pair update is 0.
  template_embedding<B> operator()(const template_input<B>& x, const tensor<B, 3>& z, const tensor<B, 2>& pair_mask,
                                   const dropout_key& key = {}) const {
    const index_t templates = x.aatype.extent(0), n = z.extent(0);
    if (templates == 0) throw shape_error("template_embedder: no template; leave the embedder out instead");
    detail::expect_extents<4>("template_embedder", "positions", x.positions, {templates, n, 37, 3});
    std::vector<tensor<B, 3>> pairs;
    for (index_t one = 0; one < templates; ++one) {
      const auto geometry = make_template_geometry(
          detail::types_of(x.aatype, one), select(x.positions, 0, one), select(x.atom_mask, 0, one),
          select(x.pseudo_beta, 0, one), select(x.pseudo_beta_mask, 0, one), template_pair_embedder.options.eps);
      pairs.push_back(
          template_pair_stack(template_pair_embedder(geometry), pair_mask, key.split(static_cast<std::uint64_t>(one))));
    }
    const auto any = affine(relu(affine(sum(x.mask), -1, 1)), -1, 1);  // min(1, number of templates)
    return {template_pointwise_att(stack(pairs, 0), z, x.mask) * any,
            template_single_embedder(template_single_feature(x.aatype, x.torsions, x.alt_torsions, x.torsion_mask)),
            select(x.torsion_mask, 2, 2)};
  }
};

}  // namespace fathom
