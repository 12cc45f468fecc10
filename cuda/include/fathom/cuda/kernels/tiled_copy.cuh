// SPDX-License-Identifier: Apache-2.0
// A copy between two orders of axes through shared memory, so that reads and writes both take whole sectors.
#pragma once

#include <fathom/backend/device_kernels.hpp>
#include <fathom/cuda/kernels/intrinsics.cuh>
#include <fathom/tensor/tensor.hpp>

namespace fathom::cuda::kernels {

/// How copies change the type of numbers.
struct copy_as {
  template <class T>
  FATHOM_HD static T convert(T x, const T*) {
    return x;
  }
  FATHOM_HD static bf16 convert(float x, const bf16*) { return to_bf16(x); }
};
/// The same for map.
template <class To>
struct copied_as {
  template <class T>
  FATHOM_HD To operator()(T x) const {
    return copy_as::convert(x, static_cast<const To*>(nullptr));
  }
};

/// to[o, r, c] = from[o, r, c]: columns are 1 apart in `from`, rows 1 apart in `to`; o is any number of axes.
template <class T, class To = T>
struct tiled_copy {
  static constexpr int threads = 256, side = 32, warps = threads / 32;
  static constexpr std::size_t shared_bytes = shared_size<T>(side * (side + 1));
  const T* from;
  To* to;
  index_t rows, columns, from_row, to_column;
  device::lattice<2> outer;  ///< offsets in from and to

  index_t blocks() const { return outer.size * ((rows + side - 1) / side) * ((columns + side - 1) / side); }

  FATHOM_DEVICE void operator()() const {
    shared_memory memory;
    const auto tile = memory.take<T>(side * (side + 1));
    const index_t over = (columns + side - 1) / side, down = (rows + side - 1) / side;
    const index_t block = block_number(), above = block / over, matrix = above / down;
    const index_t row0 = (above - matrix * down) * side, column0 = (block - above * over) * side;
    index_t at[2];
    outer.locate(matrix, at);
    for (int r = warp_number(); r < side; r += warps)
      if (row0 + r < rows && column0 + lane_number() < columns)
        tile[r * (side + 1) + lane_number()] = from[at[0] + (row0 + r) * from_row + column0 + lane_number()];
    __syncthreads();
    for (int c = warp_number(); c < side; c += warps)
      if (column0 + c < columns && row0 + lane_number() < rows)
        to[at[1] + (column0 + c) * to_column + row0 + lane_number()] =
            copied_as<To>{}(tile[lane_number() * (side + 1) + c]);
  }
};

/// to = from, of the same extents, where their fastest axes differ and are long enough for tiles; else false, and
/// nothing is done.
template <class B, class To, class T>
bool copy_tiled(const B& b, const strided_view<To>& to, const strided_view<const T>& from) {
  constexpr index_t shortest = 8;
  const auto fastest = [](const auto& view) {
    int found = -1;
    for (int axis = 0; axis < view.rank; ++axis)
      if (view.extent[axis] > 1 && view.stride[axis] == 1) found = axis;
    return found;
  };
  const int column = fastest(from), row = fastest(to);
  if (column < 0 || row < 0 || column == row || from.extent[column] < shortest || from.extent[row] < shortest)
    return false;
  tiled_copy<T, To> body{from.data,         to.data, from.extent[row], from.extent[column], from.stride[row],
                         to.stride[column], {}};
  for (int axis = 0; axis < from.rank; ++axis)
    if (axis != row && axis != column) body.outer.append(from.extent[axis], {from.stride[axis], to.stride[axis]});
  launch_blocks(b, body.blocks(), body, "copy", to);
  return true;
}
/// y = x, of the same extents.
template <class B, int R, class To>
void copy_into(tensor<B, R, To>& y, const tensor<B, R>& x) {
  if (!copy_tiled(x.backend(), y.mutable_view(), x.view()))
    x.backend().map(copied_as<To>{}, y.mutable_view(), x.view());
}

/// x with its last axis contiguous: itself, or a row-major copy.
template <class B, int R>
tensor<B, R> with_rows(const tensor<B, R>& x) {
  if (x.extent(-1) == 1 || x.stride(-1) == 1) return x;
  tensor<B, R> y(x.backend(), x.shape());
  copy_into(y, x);
  return y;
}

}  // namespace fathom::cuda::kernels
