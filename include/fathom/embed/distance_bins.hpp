// SPDX-License-Identifier: Apache-2.0
// Distances between points as one-hot bins (AF2 Suppl. Alg. 32 and 1.9.8): constants, no gradient flows through them.
#pragma once

#include <limits>

#include <fathom/op/reduction.hpp>

namespace fathom {

/// Bin b starts at first + b (last - first) / (count - 1) and ends where the next one starts; the last one is open.
struct distance_bin_edges {
  double first, last;
  index_t count;
};

namespace functor {
/// 1 where lower < x < upper, both strictly.
struct strictly_between {
  template <class T>
  FATHOM_HD T operator()(T x, T lower, T upper) const {
    return x > lower && x < upper ? T(1) : T(0);
  }
};
}  // namespace functor

/// a [n, 3], b [m, 3] to [n, m, bins]
struct distance_bins_op {
  static constexpr const char* name = "distance_bins";

  template <class B>
  static auto forward(const tensor<B, 2>& a, const tensor<B, 2>& b, const distance_bin_edges& edges) {
    using T = scalar_of<B>;
    if (edges.count < 2) throw error(detail::concat(name, ": needs two bins or more, got ", edges.count));
    host_tensor<T> lower({edges.count}), upper({edges.count}, std::numeric_limits<T>::infinity());
    const double width = (edges.last - edges.first) / static_cast<double>(edges.count - 1);
    for (index_t bin = 0; bin < edges.count; ++bin) {
      const double edge = edges.first + static_cast<double>(bin) * width;
      lower(bin) = static_cast<T>(edge * edge);
      if (bin > 0) upper(bin - 1) = lower(bin);
    }
    const auto squared = unsqueeze(sum_squared_difference(unsqueeze(a, 1), unsqueeze(b, 0)), 2);
    const extents<3> e{a.extent(0), b.extent(0), edges.count};
    tensor<B, 3> y(a.backend(), e);
    const auto from = from_host<1>(a.backend(), lower), to = from_host<1>(a.backend(), upper);
    a.backend().map(functor::strictly_between{}, y.mutable_view(), detail::broadcast_to_view(squared.view(), e),
                    detail::broadcast_to_view(from.view(), e), detail::broadcast_to_view(to.view(), e));
    return op_result{y, none{}};
  }
  template <class Cotangent>
  static auto vjp(const none&, const Cotangent&) {
    return std::tuple(none{}, none{}, none{});
  }
};

/// One-hot bins of the distances from points a [n, 3] to points b [m, 3]: [n, m, bins]. Points nearer than the first
/// edge fall into no bin.
template <class B>
tensor<B, 3> distance_bins(const tensor<B, 2>& a, const tensor<B, 2>& b, const distance_bin_edges& edges) {
  return apply<distance_bins_op>(a, b, edges);
}

}  // namespace fathom
