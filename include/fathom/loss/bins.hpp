// SPDX-License-Identifier: Apache-2.0
// Bin numbers: the labels of losses that predict distances and scores as classes.
#pragma once

#include <fathom/autodiff/autodiff.hpp>
#include <fathom/op/elementwise.hpp>

namespace fathom {

namespace functor {
/// Number of squared edges below x; the edges are equally spaced from `first` to `last`.
struct squared_edges_below {
  double first, last;
  index_t edges;
  template <class T>
  FATHOM_HD index_t operator()(T x) const {
    const double step = edges > 1 ? (last - first) / static_cast<double>(edges - 1) : 0.0;
    index_t below = 0;
    for (index_t k = 0; k < edges; ++k) {
      const T edge = T(first + step * static_cast<double>(k));
      below += x > edge * edge ? 1 : 0;
    }
    return below;
  }
};
/// floor(x bins) in [0, bins)
struct unit_bin {
  index_t bins;
  template <class T>
  FATHOM_HD index_t operator()(T x) const {
    const T scaled = x * T(bins);
    if (!(scaled > T(0))) return 0;
    return scaled >= T(bins) ? bins - 1 : static_cast<index_t>(scaled);
  }
};
}  // namespace functor

namespace loss {

namespace detail {
template <plain_backend B, int R, class F>
tensor<B, R, index_t> numbers(const tensor<B, R>& x, const F& f) {
  tensor<B, R, index_t> y(x.backend(), x.shape());
  x.backend().map(f, y.mutable_view(), x.view());
  return y;
}
template <class B, int R, class F>
tensor<autodiff<B>, R, index_t> numbers(const tensor<autodiff<B>, R>& x, const F& f) {
  return constant(x.backend(), numbers(x.primal(), f));
}
}  // namespace detail

/// How many of the bin edges, `edges` distances equally spaced from `first` to `last`, are shorter than the distance
/// whose square is given.
template <class B, int R>
tensor<B, R, index_t> squared_distance_bin(const tensor<B, R>& squared, double first, double last, index_t edges) {
  return detail::numbers(squared, functor::squared_edges_below{first, last, edges});
}
/// Which of `bins` equal parts of [0, 1] a value lies in.
template <class B, int R>
tensor<B, R, index_t> unit_interval_bin(const tensor<B, R>& x, index_t bins) {
  return detail::numbers(x, functor::unit_bin{bins});
}

}  // namespace loss
}  // namespace fathom
