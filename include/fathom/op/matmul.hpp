// SPDX-License-Identifier: Apache-2.0
// Batched matrix product over the last two axes.
#pragma once

#include <fathom/op/layout.hpp>

namespace fathom {

namespace detail {
/// Extents of a[..., m, k] b[..., k, n]: leading axes broadcast.
template <int R>
extents<R> product_extents(const char* name, const extents<R>& a, const extents<R>& b) {
  static_assert(R >= 2, "fathom: matmul needs tensors of rank 2 or more");
  extents<R> e{};
  bool fits = a[R - 1] == b[R - 2];
  for (std::size_t axis = 0; axis + 2 < e.size(); ++axis) {
    fits = fits && (a[axis] == b[axis] || a[axis] == 1 || b[axis] == 1);
    e[axis] = a[axis] == 1 ? b[axis] : a[axis];
  }
  if (!fits)
    throw shape_error(concat(name, ": extents ", to_string_extents(a), " and ", to_string_extents(b),
                             " do not multiply; expected [..., m, k] and [..., k, n] with equal leading axes"));
  e[R - 2] = a[R - 2];
  e[R - 1] = b[R - 1];
  return e;
}
/// The leading axes of `view` broadcast to those of `e`.
template <class T, int R>
strided_view<T> batch_view(strided_view<T> view, const extents<R>& e) {
  for (int axis = 0; axis + 2 < R; ++axis) {
    if (view.extent[axis] == 1) view.stride[axis] = 0;
    view.extent[axis] = e[static_cast<std::size_t>(axis)];
  }
  return view;
}
/// alpha a b on a plain backend.
template <plain_backend B, int R>
tensor<B, R> product(const tensor<B, R>& a, const tensor<B, R>& b, double alpha = 1) {
  using T = scalar_of<B>;
  const auto e = product_extents<R>("matmul", a.shape(), b.shape());
  tensor<B, R> c(a.backend(), e);
  a.backend().gemm(static_cast<T>(alpha), batch_view<const T, R>(a.view(), e), batch_view<const T, R>(b.view(), e),
                   T(0), c.mutable_view());
  return c;
}
/// x with its last two axes swapped, as a view.
template <plain_backend B, int R>
tensor<B, R> transposed(const tensor<B, R>& x) {
  auto e = x.shape(), s = x.strides();
  std::swap(e[R - 1], e[R - 2]);
  std::swap(s[R - 1], s[R - 2]);
  return x.reinterpret(e, s);
}
/// Sums away the leading axes along which a tensor of extents `target` was repeated.
template <plain_backend B, int R>
tensor<B, R> unbatched(const tensor<B, R>& x, const extents<R>& target) {
  return x.shape() == target ? x : reduce_to<B, R>(x.backend(), target, functor::identity{}, x.view());
}
}  // namespace detail

/// c = alpha a b
struct matmul_op {
  static constexpr const char* name = "matmul";
  template <class B, int R>
  static auto forward(const tensor<B, R>& a, const tensor<B, R>& b, double alpha) {
    return op_result{detail::product(a, b, alpha), std::tuple(a, b, alpha)};
  }
  template <class B, int R>
  static auto vjp(const std::tuple<tensor<B, R>, tensor<B, R>, double>& residuals, const tensor<B, R>& dc) {
    const auto& [a, b, alpha] = residuals;
    return std::tuple(detail::unbatched(detail::product(dc, detail::transposed(b), alpha), a.shape()),
                      detail::unbatched(detail::product(detail::transposed(a), dc, alpha), b.shape()), none{});
  }
};

/// alpha a[..., m, k] b[..., k, n]; leading axes of extent 1 repeat. Strided inputs (transposes) are read in place.
template <class B, int R>
tensor<B, R> matmul(const tensor<B, R>& a, const tensor<B, R>& b, double alpha = 1) {
  return apply<matmul_op>(a, b, alpha);
}

}  // namespace fathom
