// SPDX-License-Identifier: Apache-2.0
// What the network sees of an alignment: features of the query, and the clustered alignment drawn for each pass.
#pragma once

#include <fathom/core/config.hpp>
#include <fathom/features/assemble.hpp>
#include <fathom/features/choose.hpp>
#include <fathom/features/feature_data.hpp>

namespace fathom {

/// Features of a query and its alignment, made by featurize(). pass_features are drawn from it, anew for every
/// recycling pass and each a function of (options.seed, pass) alone.
struct features : feature_data {
  /// Draws the rows of pass `pass` (0, 1, ...): the query and random others as centres, a random part of the rest as
  /// extra rows, and what is hidden.
  row_choice choose(index_t pass) const { return choose_rows(*this, pass); }
  /// Clusters the rows as told. Each of `others` joins the centre with which it agrees in most positions (gaps and
  /// hidden positions do not count, the first of equals wins); profile and mean deletions are those of a centre and its
  /// members.
  pass_features assemble(const row_choice& choice) const { return assemble_pass(*this, choice); }
  /// assemble(choose(pass))
  pass_features draw(index_t pass) const { return assemble(choose(pass)); }
};

}  // namespace fathom
