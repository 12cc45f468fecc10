// SPDX-License-Identifier: Apache-2.0
// A training sample in host memory: features of a crop for every pass, and the truth it is compared with.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <fathom/features/featurize.hpp>
#include <fathom/loss/targets.hpp>
#include <fathom/train/sampler.hpp>

namespace fathom::train {

/// What samples are made of beside the crop.
struct sample_options {
  index_t clusters = 1;      ///< rows of the clustered alignment
  index_t passes = 1;        ///< alignment samples to draw, one for each recycling pass
  double mask_fraction = 0;  ///< of positions, for the masked-MSA task
};

/// One crop of n residues.
struct sample {
  std::string name;  ///< chain and residues, for messages
  std::uint64_t key = 0;
  features query;
  std::vector<pass_features> passes;
  host_tensor<float> positions;  ///< [n, 37, 3] Angstrom
  host_tensor<float> mask;       ///< [n, 37]
  double resolution = 2;
  double use_clamped_fape = 1;

  index_t length() const { return query.length(); }
};

namespace detail {
inline io::alignment cropped(const chain& c, index_t start, index_t length) {
  const auto from = static_cast<std::size_t>(start), n = static_cast<std::size_t>(length);
  io::alignment part;
  if (c.alignment.rows.empty()) {
    part.descriptions = {c.name};
    part.rows = {c.sequence().substr(from, n)};
    part.deletions = {std::vector<int>(n, 0)};
    return part;
  }
  part.descriptions = c.alignment.descriptions;
  for (const auto& row : c.alignment.rows) part.rows.push_back(row.substr(from, n));
  const auto first = static_cast<std::ptrdiff_t>(from);
  for (const auto& row : c.alignment.deletions)
    part.deletions.emplace_back(row.begin() + first, row.begin() + first + length);
  return part;
}
}  // namespace detail

inline sample make_sample(const chain& c, const sample_draw& draw, const sample_options& options = {}) {
  sample s;
  s.name = fathom::detail::concat(c.name, " residues ", draw.start + 1, "-", draw.start + draw.length);
  s.key = draw.key;
  feature_options how;
  how.seed = draw.key;
  how.clusters = options.clusters;
  how.extra = 0;
  how.masked = options.mask_fraction > 0;
  how.mask_fraction = options.mask_fraction;
  s.query = featurize(detail::cropped(c, draw.start, draw.length), how);
  for (index_t i = 0; i < draw.length; ++i) s.query.residue_index(i) = static_cast<int>(draw.start + i);
  for (index_t pass = 0; pass < options.passes; ++pass) s.passes.push_back(s.query.draw(pass));
  s.positions = host_tensor<float>({draw.length, atom37_count, 3});
  s.mask = host_tensor<float>({draw.length, atom37_count});
  for (index_t i = 0; i < draw.length; ++i) {
    const int type = c.aatype[static_cast<std::size_t>(draw.start + i)];
    for (int column = 0; column < atom14_count; ++column) {
      if (c.mask(draw.start + i, column) == 0) continue;
      const int at = atom37_index(atom14_name(type, column));
      s.mask(i, at) = 1;
      for (index_t x = 0; x < 3; ++x) s.positions(i, at, x) = c.positions(draw.start + i, column, x);
    }
  }
  s.resolution = c.resolution;
  s.use_clamped_fape = draw.clamped ? 1 : 0;
  return s;
}

/// What the losses need, on a backend; the alignment's truth is that of the last pass.
template <plain_backend B>
loss::targets<B> upload_targets(const B& b, const sample& s) {
  auto t = loss::make_targets(from_host<1>(b, s.query.aatype), from_host<1>(b, s.query.residue_index),
                              from_host<1>(b, s.query.seq_mask), from_host<3>(b, s.positions), from_host<2>(b, s.mask));
  t.true_msa = from_host<2>(b, s.passes.back().true_msa);
  t.bert_mask = from_host<2>(b, s.passes.back().bert_mask);
  t.options.resolution = s.resolution;
  t.options.use_clamped_fape = s.use_clamped_fape;
  return t;
}

}  // namespace fathom::train
