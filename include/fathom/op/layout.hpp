// SPDX-License-Identifier: Apache-2.0
// Axes: permute, slice, select, reshape, unsqueeze, broadcast, concatenate, stack. On a plain backend all but the last
// two (and a reshape of strided data) are views that share storage.
#pragma once

#include <array>
#include <tuple>
#include <vector>

#include <fathom/op/elementwise.hpp>
#include <fathom/op/kernel.hpp>

namespace fathom {

namespace detail {
template <int R>
int checked_axis(const char* name, int axis) {
  const int a = axis < 0 ? axis + R : axis;
  if (a < 0 || a >= R) throw shape_error(concat(name, ": axis ", axis, " of a tensor of rank ", R));
  return a;
}
}  // namespace detail

/// y.axis(k) = x.axis(axes[k])
struct permute_op {
  static constexpr const char* name = "permute";
  template <class B, int R>
  static auto forward(const tensor<B, R>& x, const std::array<int, static_cast<std::size_t>(R)>& axes) {
    return op_result{view(x, axes), axes};
  }
  template <class B, int R>
  static auto vjp(const std::array<int, static_cast<std::size_t>(R)>& axes, const tensor<B, R>& dy) {
    std::array<int, static_cast<std::size_t>(R)> inverse{};
    for (std::size_t k = 0; k < axes.size(); ++k) inverse[static_cast<std::size_t>(axes[k])] = static_cast<int>(k);
    return std::tuple(view(dy, inverse), none{});
  }

 private:
  template <class B, int R, std::size_t N>
  static tensor<B, R> view(const tensor<B, R>& x, const std::array<int, N>& axes) {
    extents<R> e{}, s{};
    std::array<bool, N> seen{};
    for (std::size_t k = 0; k < N; ++k) {
      const auto from = static_cast<std::size_t>(detail::checked_axis<R>(name, axes[k]));
      if (seen[from]) throw shape_error(detail::concat(name, ": axis ", axes[k], " is named twice"));
      seen[from] = true;
      e[k] = x.shape()[from];
      s[k] = x.strides()[from];
    }
    return x.reinterpret(e, s);
  }
};

/// y = x[..., from:to, ...] along one axis
struct slice_op {
  static constexpr const char* name = "slice";
  template <class B, int R>
  static auto forward(const tensor<B, R>& x, int axis, index_t from, index_t to) {
    const auto a = static_cast<std::size_t>(detail::checked_axis<R>(name, axis));
    if (from < 0 || to < from || to > x.shape()[a])
      throw shape_error(detail::concat(name, ": [", from, ", ", to, ") of axis ", a, " with extent ", x.shape()[a]));
    auto e = x.shape();
    e[a] = to - from;
    return op_result{x.reinterpret(e, x.strides(), from * x.strides()[a]), std::tuple(x.shape(), a, from)};
  }
  template <class B, int R>
  static auto vjp(const std::tuple<extents<R>, std::size_t, index_t>& residuals, const tensor<B, R>& dy) {
    const auto& [whole, axis, from] = residuals;
    auto dx = full<R>(dy.backend(), whole, scalar_of<B>(0));
    auto window = dx.reinterpret(dy.shape(), dx.strides(), from * dx.strides()[axis]);
    dy.backend().map(detail::copy_value{}, window.mutable_view(), dy.view());
    return std::tuple(dx, none{}, none{}, none{});
  }
  /// Adds what vjp gives to *dx, which is empty before the first time: the slice's part of it alone is touched.
  template <class B, int R>
  static void add_cotangent(const std::tuple<extents<R>, std::size_t, index_t>& residuals, const tensor<B, R>& dy,
                            tensor<B, R>* dx) {
    const auto& [whole, axis, from] = residuals;
    const bool fresh = dx->empty();
    if (fresh)
      *dx = full<R>(dy.backend(), whole, scalar_of<B>(0));
    else if (!dx->is_unique() || !dx->is_contiguous())
      *dx = clone(*dx);
    auto window = dx->reinterpret(dy.shape(), dx->strides(), from * dx->strides()[axis]);
    if (fresh)
      dy.backend().map(detail::copy_value{}, window.mutable_view(), dy.view());
    else
      detail::add_into(window, dy);
  }
};

namespace detail {
/// x under other extents: a view where only axes of extent 1 come or go, or x is row-major; else of a row-major copy.
template <int R2, class B, int R>
tensor<B, R2> reshaped(const tensor<B, R>& x, const extents<R2>& e) {
  extents<R2> s = row_major_strides<R2>(e);
  std::size_t from = 0;
  bool same = true;
  for (std::size_t to = 0; to < e.size() && same; ++to) {
    if (e[to] == 1) continue;
    while (from < x.shape().size() && x.shape()[from] == 1) ++from;
    same = from < x.shape().size() && x.shape()[from] == e[to];
    if (same) s[to] = x.strides()[from++];
  }
  while (from < x.shape().size() && x.shape()[from] == 1) ++from;
  if (same && from == x.shape().size()) return x.reinterpret(e, s);
  return contiguous(x).reinterpret(e, row_major_strides<R2>(e));
}
}  // namespace detail

/// The same elements in row-major order under other extents.
template <int R2>
struct reshape_op {
  static constexpr const char* name = "reshape";
  template <class B, int R>
  static auto forward(const tensor<B, R>& x, const extents<R2>& e) {
    if (detail::product<R2>(e) != x.size())
      throw shape_error(detail::concat(name, ": ", to_string_extents(x.shape()), " has ", x.size(), " elements, ",
                                       to_string_extents(e), " has ", detail::product<R2>(e)));
    return op_result{detail::reshaped<R2>(x, e), x.shape()};
  }
  template <class B, std::size_t R>
  static auto vjp(const std::array<index_t, R>& before, const tensor<B, R2>& dy) {
    return std::tuple(detail::reshaped<static_cast<int>(R)>(dy, before), none{});
  }
};

/// Repeats axes of extent 1, and adds leading axes.
template <int R2>
struct broadcast_op {
  static constexpr const char* name = "broadcast_to";
  template <class B, int R>
  static auto forward(const tensor<B, R>& x, const extents<R2>& e) {
    static_assert(R <= R2, "fathom: broadcast_to cannot remove axes");
    if (detail::broadcast_extents<R, R2>(name, x.shape(), e) != e)
      detail::throw_extents(name, "the input", x.shape(), e);
    const auto wide = detail::broadcast_to_view(x.view(), e);
    extents<R2> s{};
    for (std::size_t a = 0; a < s.size(); ++a) s[a] = wide.stride[a];
    return op_result{x.reinterpret(e, s), x.shape()};
  }
  template <class B, std::size_t R>
  static auto vjp(const std::array<index_t, R>& before, const tensor<B, R2>& dy) {
    return std::tuple(
        detail::reduce_to<B, static_cast<int>(R)>(dy.backend(), before, functor::identity{}, dy.view()), none{});
  }
};

/// Joins tensors along one axis.
struct concatenate_op {
  static constexpr const char* name = "concatenate";
  template <class B, int R>
  static auto forward(const std::vector<tensor<B, R>>& xs, int axis) {
    const auto a = static_cast<std::size_t>(detail::checked_axis<R>(name, axis));
    if (xs.empty()) throw shape_error("concatenate: no tensors");
    auto e = xs.front().shape();
    e[a] = 0;
    std::vector<index_t> lengths;
    for (const auto& x : xs) {
      auto expected = e;
      expected[a] = x.shape()[a];
      detail::expect_extents<R>(name, "an input", x, expected);
      lengths.push_back(x.shape()[a]);
    }
    for (const auto length : lengths) e[a] += length;
    tensor<B, R> y(xs.front().backend(), e);
    index_t from = 0;
    for (const auto& x : xs) {
      auto window = y.reinterpret(x.shape(), y.strides(), from * y.strides()[a]);
      x.backend().map(detail::copy_value{}, window.mutable_view(), x.view());
      from += x.shape()[a];
    }
    return op_result{y, std::tuple(a, lengths)};
  }
  template <class B, int R>
  static auto vjp(const std::tuple<std::size_t, std::vector<index_t>>& residuals, const tensor<B, R>& dy) {
    const auto& [a, lengths] = residuals;
    std::vector<tensor<B, R>> dx;
    index_t from = 0;
    for (const auto length : lengths) {
      auto e = dy.shape();
      e[a] = length;
      dx.push_back(dy.reinterpret(e, dy.strides(), from * dy.strides()[a]));
      from += length;
    }
    return std::tuple(dx, none{});
  }
};

/// Joins two tensors along one axis, without the lists that concatenate takes from the heap.
struct join_op {
  static constexpr const char* name = "join";
  template <class B, int R>
  static auto forward(const tensor<B, R>& x, const tensor<B, R>& y, int axis) {
    const auto a = static_cast<std::size_t>(detail::checked_axis<R>(name, axis));
    auto e = x.shape();
    e[a] = y.shape()[a];
    detail::expect_extents<R>(name, "the second input", y, e);
    const index_t first = x.shape()[a];
    e[a] += first;
    tensor<B, R> both(x.backend(), e);
    auto left = both.reinterpret(x.shape(), both.strides());
    auto right = both.reinterpret(y.shape(), both.strides(), first * both.strides()[a]);
    x.backend().map(detail::copy_value{}, left.mutable_view(), x.view());
    y.backend().map(detail::copy_value{}, right.mutable_view(), y.view());
    return op_result{both, std::tuple(a, first)};
  }
  template <class B, int R>
  static auto vjp(const std::tuple<std::size_t, index_t>& residuals, const tensor<B, R>& dy) {
    const auto& [a, first] = residuals;
    auto left = dy.shape(), right = dy.shape();
    left[a] = first;
    right[a] -= first;
    return std::tuple(dy.reinterpret(left, dy.strides()),
                      dy.reinterpret(right, dy.strides(), first * dy.strides()[a]), none{});
  }
};

template <class B, int R>
tensor<B, R> permute(const tensor<B, R>& x, const std::array<int, static_cast<std::size_t>(R)>& axes) {
  return apply<permute_op>(x, axes);
}
/// Swaps two axes.
template <class B, int R>
tensor<B, R> transpose(const tensor<B, R>& x, int first, int second) {
  std::array<int, static_cast<std::size_t>(R)> axes{};
  for (std::size_t k = 0; k < axes.size(); ++k) axes[k] = static_cast<int>(k);
  std::swap(axes[static_cast<std::size_t>(detail::checked_axis<R>("transpose", first))],
            axes[static_cast<std::size_t>(detail::checked_axis<R>("transpose", second))]);
  return apply<permute_op>(x, axes);
}
template <class B, int R>
tensor<B, R> slice(const tensor<B, R>& x, int axis, index_t from, index_t to) {
  return apply<slice_op>(x, axis, from, to);
}
template <int R2, class B, int R>
tensor<B, R2> reshape(const tensor<B, R>& x, const extents<R2>& e) {
  return apply<reshape_op<R2>>(x, e);
}
template <int R2, class B, int R>
tensor<B, R2> broadcast_to(const tensor<B, R>& x, const extents<R2>& e) {
  return apply<broadcast_op<R2>>(x, e);
}
/// Inserts an axis of extent 1.
template <class B, int R>
tensor<B, R + 1> unsqueeze(const tensor<B, R>& x, int axis) {
  const auto a = static_cast<std::size_t>(detail::checked_axis<R + 1>("unsqueeze", axis));
  extents<R + 1> e{};
  for (std::size_t k = 0, from = 0; k < e.size(); ++k) e[k] = k == a ? 1 : x.shape()[from++];
  return reshape<R + 1>(x, e);
}
/// Drops an axis of extent 1.
template <class B, int R>
tensor<B, R - 1> squeeze(const tensor<B, R>& x, int axis) {
  const auto a = static_cast<std::size_t>(detail::checked_axis<R>("squeeze", axis));
  extents<R - 1> e{};
  for (std::size_t k = 0, to = 0; k < x.shape().size(); ++k)
    if (k != a) e[to++] = x.shape()[k];
  return reshape<R - 1>(x, e);
}
/// x[..., i, ...]: one element of an axis, which disappears.
template <class B, int R>
tensor<B, R - 1> select(const tensor<B, R>& x, int axis, index_t i) {
  return squeeze(slice(x, axis, i, i + 1), axis);
}
template <class B, int R>
tensor<B, R> concatenate(const std::vector<tensor<B, R>>& xs, int axis) {
  return apply<concatenate_op>(xs, axis);
}
/// concatenate({x, y}, axis)
template <class B, int R>
tensor<B, R> join(const tensor<B, R>& x, const tensor<B, R>& y, int axis) {
  return apply<join_op>(x, y, axis);
}
/// Joins tensors along a new axis.
template <class B, int R>
tensor<B, R + 1> stack(const std::vector<tensor<B, R>>& xs, int axis) {
  std::vector<tensor<B, R + 1>> wide;
  for (const auto& x : xs) wide.push_back(unsqueeze(x, axis));
  return concatenate(wide, axis);
}

}  // namespace fathom
