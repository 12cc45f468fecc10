// SPDX-License-Identifier: Apache-2.0
// Strided copies that change the order of axes, in squares where the two sides' unit strides are on different axes.
#pragma once

#include <algorithm>
#include <cstring>
#include <fathom/backend/cpu/thread_pool.hpp>
#include <fathom/backend/cpu/transpose.hpp>
#include <fathom/core/config.hpp>

namespace fathom::cpu_kernels {

/// Extents and strides of one copy; up to 8 axes in any order, any strides.
struct permute_plan {
  static constexpr int most_axes = 8;
  int axes = 0;
  index_t extent[most_axes] = {}, from[most_axes] = {}, to[most_axes] = {};

  void add(index_t count, index_t from_stride, index_t to_stride) {
    if (axes == most_axes)
      throw shape_error(
          fathom::detail::concat("permute_plan: more than ", most_axes, " axes: merge or loop over some"));
    extent[axes] = count;
    from[axes] = from_stride;
    to[axes] = to_stride;
    ++axes;
  }
  void remove(int axis) {
    for (int i = axis; i + 1 < axes; ++i) {
      extent[i] = extent[i + 1];
      from[i] = from[i + 1];
      to[i] = to[i + 1];
    }
    --axes;
  }
  /// The axis that `stride` steps through one by one, or -1.
  int unit_axis(const index_t* stride) const {
    for (int axis = 0; axis < axes; ++axis)
      if (stride[axis] == 1 && extent[axis] > 1) return axis;
    return -1;
  }
};

namespace detail {

// Axes of one element go, and neighbours that run on in both arrays become one.
inline permute_plan simplified(permute_plan plan) {
  for (int axis = plan.axes - 1; axis >= 0; --axis)
    if (plan.extent[axis] == 1) plan.remove(axis);
  for (bool merged = true; merged;) {
    merged = false;
    for (int outer = 0; outer < plan.axes && !merged; ++outer)
      for (int inner = 0; inner < plan.axes && !merged; ++inner)
        if (outer != inner && plan.from[outer] == plan.extent[inner] * plan.from[inner] &&
            plan.to[outer] == plan.extent[inner] * plan.to[inner]) {
          plan.extent[inner] *= plan.extent[outer];
          plan.remove(outer);
          merged = true;
        }
  }
  return plan;
}

// Offsets of the at-th position over the remaining axes, the last one fastest.
inline void offsets(const permute_plan& plan, index_t at, index_t& from, index_t& to) {
  from = to = 0;
  for (int axis = plan.axes - 1; axis >= 0; --axis) {
    const index_t here = at % plan.extent[axis];
    at /= plan.extent[axis];
    from += here * plan.from[axis];
    to += here * plan.to[axis];
  }
}

}  // namespace detail

/// to[sum i_a to_a] = from[sum i_a from_a] for every index (i_a); the arrays may not overlap.
template <class T>
void permute(thread_pool& pool, const permute_plan& wanted, const T* from, T* to) {
  for (int axis = 0; axis < wanted.axes; ++axis)
    if (wanted.extent[axis] <= 0) return;
  permute_plan plan = detail::simplified(wanted);
  const int from_unit = plan.unit_axis(plan.from), to_unit = plan.unit_axis(plan.to);
  // The inner piece: `rows` runs of `columns` elements, contiguous in the source where there is a unit axis.
  index_t rows = 1, columns = 1, from_row = 0, from_column = 1, to_row = 0, to_column = 1;
  if (from_unit >= 0 && to_unit >= 0 && from_unit != to_unit) {
    columns = plan.extent[from_unit];
    to_column = plan.to[from_unit];
    rows = plan.extent[to_unit];
    from_row = plan.from[to_unit];
    to_row = 1;
    plan.remove(std::max(from_unit, to_unit));
    plan.remove(std::min(from_unit, to_unit));
  } else if (plan.axes > 0) {
    const int inner = from_unit >= 0 ? from_unit : to_unit >= 0 ? to_unit : plan.axes - 1;
    columns = plan.extent[inner];
    from_column = plan.from[inner];
    to_column = plan.to[inner];
    plan.remove(inner);
  }
  index_t pieces = 1;
  for (int axis = 0; axis < plan.axes; ++axis) pieces *= plan.extent[axis];
  // Long columns of one piece are shared out too.
  const index_t row_block = rows > 1 ? 64 : 1, row_blocks = (rows + row_block - 1) / row_block;
  const index_t column_block = std::max<index_t>(64, 16384 / row_block);
  const index_t column_blocks = (columns + column_block - 1) / column_block;
  const index_t tiles = row_blocks * column_blocks, total = pieces * tiles;
  const index_t group = std::max<index_t>(1, 16384 / (std::min(rows, row_block) * std::min(columns, column_block)));
  pool.parallel_for((total + group - 1) / group, [&](index_t task, int) {
    for (index_t at = task * group; at < std::min(total, (task + 1) * group); ++at) {
      index_t from_at, to_at;
      detail::offsets(plan, at / tiles, from_at, to_at);
      const index_t row = at % tiles / column_blocks * row_block, column = at % column_blocks * column_block;
      const index_t height = std::min(row_block, rows - row), width = std::min(column_block, columns - column);
      const T* const in = from + from_at + row * from_row + column * from_column;
      T* const out = to + to_at + row * to_row + column * to_column;
      if (rows > 1)
        transpose(height, width, T(1), in, from_row, out, to_column);
      else if (from_column == 1 && to_column == 1)
        std::memcpy(out, in, static_cast<std::size_t>(width) * sizeof(T));
      else
        for (index_t i = 0; i < width; ++i) out[i * to_column] = in[i * from_column];
    }
  });
}

}  // namespace fathom::cpu_kernels
