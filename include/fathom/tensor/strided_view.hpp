// SPDX-License-Identifier: Apache-2.0
// A borrowed, rank-erased strided window on memory: the only thing a backend kernel sees.
#pragma once

#include <type_traits>

#include <fathom/core/config.hpp>

namespace fathom {

/// Highest rank of a tensor.
inline constexpr int max_rank = 7;

/// data[sum_a index[a] * stride[a]]; strides count elements, 0 repeats (broadcast). A kernel is instantiated per
/// functor and scalar, never per rank.
template <class T>
struct strided_view {
  T* data = nullptr;
  int rank = 0;
  index_t extent[max_rank] = {};
  index_t stride[max_rank] = {};

  FATHOM_HD index_t size() const {
    index_t n = 1;
    for (int a = 0; a < rank; ++a) n *= extent[a];
    return n;
  }
  template <class U>
    requires(!std::is_const_v<T> && std::is_same_v<U, const T>)
  FATHOM_HD operator strided_view<U>() const {
    strided_view<U> view{data, rank, {}, {}};
    for (int a = 0; a < rank; ++a) {
      view.extent[a] = extent[a];
      view.stride[a] = stride[a];
    }
    return view;
  }
  /// Position of the element with row-major number `linear`.
  FATHOM_HD index_t offset(index_t linear) const {
    index_t at = 0;
    for (int a = rank - 1; a >= 0; --a) {
      at += (linear % extent[a]) * stride[a];
      linear /= extent[a];
    }
    return at;
  }
};

namespace detail {
/// True where the elements lie in row-major order without gaps.
template <class T>
FATHOM_HD bool is_row_major(const strided_view<T>& view) {
  index_t expected = 1;
  for (int a = view.rank - 1; a >= 0; --a) {
    if (view.extent[a] != 1 && view.stride[a] != expected) return false;
    expected *= view.extent[a];
  }
  return true;
}

/// A row-major window on `data` with the extents of `like`.
template <class T, class U>
strided_view<T> row_major_like(T* data, const strided_view<U>& like) {
  strided_view<T> view{data, like.rank, {}, {}};
  index_t step = 1;
  for (int a = like.rank - 1; a >= 0; --a) {
    view.extent[a] = like.extent[a];
    view.stride[a] = step;
    step *= like.extent[a];
  }
  return view;
}

/// The same elements seen with `extents` of `rank` axes: missing leading axes and extents of 1 repeat.
template <class T>
strided_view<T> broadcast_view(const strided_view<T>& view, int rank, const index_t* extents) {
  strided_view<T> wide{view.data, rank, {}, {}};
  for (int a = 0; a < rank; ++a) {
    const int from = a - (rank - view.rank);
    wide.extent[a] = extents[a];
    wide.stride[a] = from < 0 || (view.extent[from] == 1 && extents[a] != 1) ? 0 : view.stride[from];
  }
  return wide;
}
}  // namespace detail

}  // namespace fathom
