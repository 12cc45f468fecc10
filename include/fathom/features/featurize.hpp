// SPDX-License-Identifier: Apache-2.0
// From an alignment to the features of the network, as AlphaFold2's data pipeline makes them (AF2 Suppl. 1.2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/features/features.hpp>
#include <fathom/geometry/residue_types.hpp>
#include <fathom/io/alignment_rows.hpp>

namespace fathom {

namespace detail {

inline void check_feature_options(const feature_options& options) {
  const auto share = [](double value) { return value >= 0 && value <= 1; };
  if (options.clusters < 1)
    throw input_error(concat("featurize: clusters = ", options.clusters, ", at least 1 (the query) expected"));
  if (options.extra < 0) throw input_error(concat("featurize: extra = ", options.extra, ", 0 or more expected"));
  if (!share(options.mask_fraction) || !share(options.uniform_share) || !share(options.profile_share) ||
      !share(options.same_share) || options.uniform_share + options.profile_share + options.same_share > 1 + 1e-9)
    throw input_error(
        "featurize: mask_fraction and the shares of replacements must lie in [0, 1], the shares add up to 1 "
        "at most");
}

inline void check_row(const io::alignment& alignment, std::size_t row) {
  const auto name = [&] {
    return concat("row ", row + 1, row < alignment.descriptions.size() ? " '" + alignment.descriptions[row] + "'" : "");
  };
  const std::string& letters = alignment.rows[row];
  const std::size_t expected = alignment.query().size();
  if (letters.size() != expected || alignment.deletions[row].size() != expected)
    throw input_error(concat("featurize: ", name(), " has ", letters.size(), " columns and ",
                             alignment.deletions[row].size(), " deletion counts, expected ", expected,
                             " as in the query"));
  for (std::size_t i = 0; i < expected; ++i)
    if (hhblits_index(letters[i]) < 0 || (row == 0 && letters[i] == '-'))
      throw input_error(concat("featurize: ", name(), ", position ", i + 1, ": '", letters[i], "' is no residue code"));
}

}  // namespace detail

/// Features of `alignment` (row 0 the query). Letters are read in the HHblits alphabet, the query's too: B counts as D,
/// Z as E, U as C, J and O as X (OpenFold makes X of all five in `aatype`). Throws input_error for an empty alignment,
/// ragged rows, a letter that is no residue code, or options out of range.
///
///     const auto features = featurize(io::read_alignment("1a3a.a3m"), {.seed = 0});
///     const auto first = features.draw(0);
inline features featurize(const io::alignment& alignment, const feature_options& options = {}) {
  detail::check_feature_options(options);
  if (alignment.rows.empty() || alignment.query().empty())
    throw input_error("featurize: the alignment is empty, a query with at least one residue expected");
  if (alignment.deletions.size() != alignment.rows.size())
    throw input_error(detail::concat("featurize: ", alignment.rows.size(), " rows, but deletion counts of ",
                                     alignment.deletions.size()));
  const index_t depth = alignment.size(), length = alignment.length();
  features result;
  result.options = options;
  result.msa = host_tensor<std::uint8_t>({depth, length});
  result.deletions = host_tensor<float>({depth, length});
  host_tensor<double> counts({length, token_gap + 1});
  for (index_t s = 0; s < depth; ++s) {
    const auto row = static_cast<std::size_t>(s);
    detail::check_row(alignment, row);
    for (index_t i = 0; i < length; ++i) {
      const auto column = static_cast<std::size_t>(i);
      const auto code = static_cast<std::size_t>(hhblits_index(alignment.rows[row][column]));
      const int token = hhblits_to_restype[code];
      result.msa(s, i) = static_cast<std::uint8_t>(token);
      result.deletions(s, i) = static_cast<float>(alignment.deletions[row][column]);
      counts(i, token) += 1;
    }
  }
  result.hhblits_profile = host_tensor<float>(counts.shape);
  for (std::size_t k = 0; k < counts.data.size(); ++k)
    result.hhblits_profile.data[k] = static_cast<float>(counts.data[k] / static_cast<double>(depth));

  result.aatype = host_tensor<int>({length});
  result.residue_index = host_tensor<int>({length});
  result.seq_mask = host_tensor<float>({length}, 1.0f);
  result.target_feat = host_tensor<float>({length, restype_count_with_x + 1});
  for (index_t i = 0; i < length; ++i) {
    result.aatype(i) = result.msa(0, i);
    result.residue_index(i) = static_cast<int>(i);
    result.target_feat(i, 1 + result.aatype(i)) = 1;
  }
  return result;
}

}  // namespace fathom
