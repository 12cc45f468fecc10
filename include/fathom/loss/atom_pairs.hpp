// SPDX-License-Identifier: Apache-2.0
// Sums over pairs of atoms without storing a pair: what clashes and renaming are computed with.
#pragma once

#include <utility>

#include <fathom/op/reduction.hpp>

namespace fathom::loss::detail {

/// [first, k] as [k, first], so that every quantity is contiguous.
template <plain_backend B>
tensor<B, 2> planes(const tensor<B, 2>& atoms) {
  return contiguous(permute(atoms, {1, 0}));
}

/// y_a = sum over b of f(quantities of a..., quantities of b...): first [k, a] and second [k, b], row-major -> [a].
template <class F, plain_backend B, std::size_t... K>
tensor<B, 1> reduce_pairs(const F& f, const tensor<B, 2>& first, const tensor<B, 2>& second,
                          std::index_sequence<K...>) {
  const extents<2> pairs{first.extent(1), second.extent(1)};
  const auto plane = [&](const tensor<B, 2>& of, std::size_t which, int axis) {
    auto view = of.view();
    view.data += static_cast<index_t>(which) * of.stride(0);
    for (int a = 0; a < 2; ++a) {
      view.extent[a] = pairs[static_cast<std::size_t>(a)];
      view.stride[a] = a == axis ? 1 : 0;
    }
    return view;
  };
  const auto column = fathom::detail::reduce_to<B, 2>(first.backend(), extents<2>{pairs[0], 1}, f,
                                                      plane(first, K, 0)..., plane(second, K, 1)...);
  return fathom::detail::reshaped<1>(column, extents<1>{pairs[0]});
}

}  // namespace fathom::loss::detail
