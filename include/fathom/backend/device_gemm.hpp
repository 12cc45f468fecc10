// SPDX-License-Identifier: Apache-2.0
// Strided matrix products in the words of a column-major, strided-batched GEMM, the only one that cuBLAS has. Plain host
// code, so that it is tested where there is no GPU.
#pragma once

#include <utility>

#include <fathom/backend/device_kernels.hpp>

namespace fathom::device {

/// c = alpha op(first) op(second) + beta c, all column-major: for every point of `outer`, one strided batch.
struct gemm_plan {
  /// False where an operand has no unit stride, or rows that overlap: then gemm_tile does the work.
  bool possible = false;
  /// True where `first` is b and `second` is a: a row-major product is the column-major one of the transposes.
  bool swapped = false;
  bool first_transposed = false, second_transposed = false;
  index_t rows = 0, columns = 0, depth = 0;
  index_t first_leading = 0, second_leading = 0, out_leading = 0;
  index_t batch = 1, first_step = 0, second_step = 0, out_step = 0;
  /// Offsets of first, second and out for what one batch stride cannot say.
  lattice<3> outer;
};

namespace detail {
struct matrix_shape {
  index_t rows, columns, row_stride, column_stride;
  void transpose() {
    std::swap(rows, columns);
    std::swap(row_stride, column_stride);
  }
  bool column_major() const {
    return (row_stride == 1 || rows == 1) && (columns == 1 || column_stride >= (rows > 1 ? rows : 1));
  }
  index_t leading() const { return columns == 1 ? (rows > 1 ? rows : 1) : column_stride; }
};
}  // namespace detail

/// The plan for c = alpha a b + beta c over the last two axes; no extent may be 0.
template <class U>
gemm_plan plan_gemm(const strided_view<const U>& a, const strided_view<const U>& b, const strided_view<U>& c) {
  const int r = c.rank;
  const auto matrix = [r](const auto& x) {
    return detail::matrix_shape{x.extent[r - 2], x.extent[r - 1], x.stride[r - 2], x.stride[r - 1]};
  };
  detail::matrix_shape first = matrix(a), second = matrix(b), out = matrix(c);
  gemm_plan plan;
  if (!out.column_major()) {
    plan.swapped = true;
    std::swap(first, second);
    first.transpose(), second.transpose(), out.transpose();
  }
  plan.rows = out.rows;
  plan.columns = out.columns;
  plan.depth = first.columns;
  plan.first_transposed = !first.column_major();
  plan.second_transposed = !second.column_major();
  if (plan.first_transposed) first.transpose();
  if (plan.second_transposed) second.transpose();
  plan.possible = out.column_major() && first.column_major() && second.column_major();
  plan.first_leading = first.leading();
  plan.second_leading = second.leading();
  plan.out_leading = out.leading();

  lattice<3> all;
  const auto& left = plan.swapped ? b : a;
  const auto& right = plan.swapped ? a : b;
  for (int axis = 0; axis < r - 2; ++axis) all.append(c.extent[axis], {left.stride[axis], right.stride[axis], c.stride[axis]});
  int longest = -1;
  for (int axis = 0; axis < all.rank; ++axis)
    if (longest < 0 || all.extent[axis] > all.extent[longest]) longest = axis;
  for (int axis = 0; axis < all.rank; ++axis)
    if (axis != longest) plan.outer.append(all.extent[axis], {all.stride[0][axis], all.stride[1][axis], all.stride[2][axis]});
  if (longest >= 0) {
    plan.batch = all.extent[longest];
    plan.first_step = all.stride[0][longest];
    plan.second_step = all.stride[1][longest];
    plan.out_step = all.stride[2][longest];
  }
  return plan;
}

}  // namespace fathom::device
