// SPDX-License-Identifier: Apache-2.0
// Where a backend takes over the solvers' arithmetic on trees, all leaves at once.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include <fathom/op/elementwise.hpp>
#include <fathom/tensor/tensor.hpp>

namespace fathom::ode {

/// Arrays of `size` values that belong to one leaf of a tree, all contiguous but the weights of an error norm, of which
/// every value counts for `repeat` values.
template <class T>
struct leaf_arrays {
  index_t size = 0, repeat = 1;
  std::vector<const T*> at;
};

/// A backend whose launches cost more than small leaves' work does all leaves at once: it specialises this with
/// `at_once` = true, the largest number of terms that it takes, and
///
///     static void combine(const B&, leaves, c, terms);      at = {out, y or null, k...}: out = y + sum_m c[m] k[m]
///     static std::vector<std::array<double, 2>> errors(const B&, leaves, c, terms, tol);
///
/// with `leaves` a std::vector<leaf_arrays<T>>; errors gives the sums of w r^2 and of w for at = {w or null, y0, y1,
/// k...}, see state_traits, and waits once for all of them.
template <class B>
struct leaf_kernels {
  static constexpr bool at_once = false;
  static constexpr std::size_t most_terms = 0;
};

namespace detail {

/// Appends the values of x; false where they are not contiguous.
template <class T, class B, int R>
bool append_values(leaf_arrays<T>& arrays, const tensor<B, R, T>& x) {
  arrays.at.push_back(x.data());
  return x.is_contiguous();
}

/// How many values of a tensor of x's extents each value of `weights` counts for; 0 where that is not one number.
template <class B, int R, class T>
index_t weight_repeats(const tensor<B, R, T>& weights, const tensor<B, R, T>& x) {
  const auto wide = fathom::detail::broadcast_to_view(weights.view(), x.shape());
  index_t repeat = 1, step = 1;
  int axis = R - 1;
  for (; axis >= 0 && (wide.stride[axis] == 0 || wide.extent[axis] == 1); --axis) repeat *= wide.extent[axis];
  for (; axis >= 0; --axis) {
    if (wide.extent[axis] != 1 && wide.stride[axis] != step) return 0;
    step *= wide.extent[axis];
  }
  return repeat;
}

}  // namespace detail
}  // namespace fathom::ode
