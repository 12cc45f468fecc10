// SPDX-License-Identifier: Apache-2.0
// What one pass hands to the next (AF2 Suppl. Alg. 2, lines 2-4 and 32).
#pragma once

#include <vector>

#include <fathom/op/layout.hpp>
#include <fathom/tensor/tensor.hpp>

namespace fathom {

/// First row of m [i, c_m], z [i, j, c_z], pseudo-beta positions [i, 3] in Angstrom.
template <backend B>
struct recycled_state {
  using backend_type = B;
  tensor<B, 2> m;
  tensor<B, 3> z;
  tensor<B, 2> x;

  void visit(auto&& v) {
    v("m", m);
    v("z", z);
    v("x", x);
  }
  template <class B2>
  using rebind = recycled_state<B2>;
};

/// m [s, i, c] with `row` [i, c] added to its first row.
template <backend B>
tensor<B, 3> add_to_first_row(const tensor<B, 3>& m, const tensor<B, 2>& row) {
  const index_t s = m.extent(0);
  const auto first = slice(m, 0, 0, 1) + unsqueeze(row, 0);
  return s == 1 ? first : concatenate(std::vector{first, slice(m, 0, 1, s)}, 0);
}

}  // namespace fathom
