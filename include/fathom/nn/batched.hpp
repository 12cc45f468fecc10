// SPDX-License-Identifier: Apache-2.0
// The optional leading batch axis: a function of single examples, applied to each and stacked.
#pragma once

#include <algorithm>
#include <vector>

#include <fathom/op/layout.hpp>

namespace fathom {

/// stack over b of f(xs[b]...): every x has a leading axis of the batch's extent, or of 1, which repeats.
template <class F, class First, class... Rest>
auto batched(const F& f, const First& first, const Rest&... rest) {
  index_t n = first.extent(0);
  ((n = std::max(n, rest.extent(0))), ...);
  const auto check = [&](const auto& x) {
    if (x.extent(0) != n && x.extent(0) != 1)
      throw shape_error(detail::concat("batched: a batch of ", n, " and a tensor of extents ",
                                       to_string_extents(x.shape()), "; expected a leading axis of ", n, " or 1"));
  };
  check(first);
  (check(rest), ...);
  if (n == 0) throw shape_error("batched: the batch is empty");
  const auto at = [](const auto& x, index_t b) { return select(x, 0, x.extent(0) == 1 ? 0 : b); };
  std::vector<decltype(f(at(first, 0), at(rest, 0)...))> parts;
  for (index_t b = 0; b < n; ++b) parts.push_back(f(at(first, b), at(rest, b)...));
  return stack(parts, 0);
}

}  // namespace fathom
