// SPDX-License-Identifier: Apache-2.0
// Products of small tiles by one warp, in float32 arithmetic or on tensor cores. Both hold sums in the layout of the
// tensor cores' m16n8k16: of a 16 x 8 N tile, sum[n][e] of a lane is row lane / 4 + 8 (e / 2), column
// 8 n + 2 (lane % 4) + e % 2.
#pragma once

#include <fathom/cuda/kernels/intrinsics.cuh>

namespace fathom::cuda::kernels {

/// Row and column of a lane's element e of tile n.
FATHOM_DEVICE int row_of(int e) { return lane_number() / 4 + 8 * (e / 2); }
FATHOM_DEVICE int column_of(int n, int e) { return 8 * n + lane_number() % 4 * 2 + e % 2; }

template <int N>
FATHOM_DEVICE void clear(float (&sum)[N][4]) {
  FATHOM_UNROLL
  for (int n = 0; n < N; ++n) {
    FATHOM_UNROLL
    for (int e = 0; e < 4; ++e) sum[n][e] = 0.0f;
  }
}

/// Operands stay float32 and are multiplied by fused multiply-adds: the reference mode.
struct float_math {
  using stored = float;
  /// Width of a block's tile of columns for C channels.
  template <int C>
  static constexpr int columns = 32;
  /// What is stored between one row of a tile in shared memory and the next: aligned, and free of bank conflicts.
  template <int C>
  static constexpr int stride = C + 4;
  /// Elements of shared memory that one warp needs to multiply what it holds as sums, 16 x 8 N.
  template <int N>
  static constexpr int staging = 16 * (8 * N + 4);

  FATHOM_DEVICE static void put4(const shared_array<float>& to, int row, int column, int row_stride,
                                 const pack<float, 4>& x) {
    store4(to, row * row_stride + column, x);
  }

  /// sum += a b^T; a 16 x K, b 8 N x K
  template <int K, int N>
  FATHOM_DEVICE static void times_rows(float (&sum)[N][4], const shared_array<const float>& a, int a_stride,
                                       const shared_array<const float>& b, int b_stride) {
    const int g = lane_number() / 4, t = lane_number() % 4 * 2;
    FATHOM_UNROLL_4
    for (int k = 0; k < K; k += 4) {
      const auto a0 = load4(a, g * a_stride + k), a1 = load4(a, (g + 8) * a_stride + k);
      FATHOM_UNROLL
      for (int n = 0; n < N; ++n) {
        const auto b0 = load4(b, (8 * n + t) * b_stride + k), b1 = load4(b, (8 * n + t + 1) * b_stride + k);
        FATHOM_UNROLL
        for (int i = 0; i < 4; ++i) {
          sum[n][0] += a0.v[i] * b0.v[i];
          sum[n][1] += a0.v[i] * b1.v[i];
          sum[n][2] += a1.v[i] * b0.v[i];
          sum[n][3] += a1.v[i] * b1.v[i];
        }
      }
    }
  }

  /// sum += p b; p 16 x 8 M held as sums, b 8 M x 8 N. `own` is the warp's staging<M>.
  template <int M, int N>
  FATHOM_DEVICE static void times_columns(float (&sum)[N][4], const float (&p)[M][4], const shared_array<float>& own,
                                          const shared_array<const float>& b, int b_stride) {
    constexpr int own_stride = 8 * M + 4;
    const int g = lane_number() / 4, t = lane_number() % 4 * 2;
    __syncwarp();  // what was staged before is used up
    FATHOM_UNROLL
    for (int m = 0; m < M; ++m) {
      FATHOM_UNROLL
      for (int e = 0; e < 4; ++e) own[row_of(e) * own_stride + column_of(m, e)] = p[m][e];
    }
    __syncwarp();
    const shared_array<const float> a = own;
    FATHOM_UNROLL_4
    for (int k = 0; k < 8 * M; k += 4) {
      const auto a0 = load4(a, g * own_stride + k), a1 = load4(a, (g + 8) * own_stride + k);
      FATHOM_UNROLL
      for (int i = 0; i < 4; ++i) {
        FATHOM_UNROLL
        for (int n = 0; n < N; ++n) {
          const int at = (k + i) * b_stride + 8 * n + t;
          const float b0 = b[at], b1 = b[at + 1];
          sum[n][0] += a0.v[i] * b0;
          sum[n][1] += a0.v[i] * b1;
          sum[n][2] += a1.v[i] * b0;
          sum[n][3] += a1.v[i] * b1;
        }
      }
    }
  }
};

/// Operands are rounded to bfloat16 and multiplied on tensor cores; sums are float32.
struct bf16_math {
  using stored = bf16_pair;
  template <int C>
  static constexpr int columns = C > 32 ? 32 : 64;
  template <int C>
  static constexpr int stride = C / 2 + 4;
  template <int N>
  static constexpr int staging = 0;

  FATHOM_DEVICE static void put4(const shared_array<bf16_pair>& to, int row, int column, int row_stride,
                                 const pack<float, 4>& x) {
    const pack<bf16_pair, 2> both{{pack_bf16(x.v[0], x.v[1]), pack_bf16(x.v[2], x.v[3])}};
    *reinterpret_cast<pack<bf16_pair, 2>*>(to.pointer(row * row_stride + column / 2, 2)) = both;
  }

  // Matrices of 8 x 8 in the order in which one ldmatrix brings the operands of two products.
  template <int K, int N>
  FATHOM_DEVICE static void times_rows(float (&sum)[N][4], const shared_array<const bf16_pair>& a, int a_stride,
                                       const shared_array<const bf16_pair>& b, int b_stride) {
    static_assert(N % 2 == 0 && K % 16 == 0, "tensor cores take 16 columns at a time");
    const int lane = lane_number();
    __syncwarp();  // the lanes may come from different branches
    const auto a_row = a + lane % 16 * a_stride + lane / 16 * 4;
    const auto b_row = b + (lane / 16 * 8 + lane % 8) * b_stride + lane / 8 % 2 * 4;
    FATHOM_UNROLL
    for (int k = 0; k < K / 2; k += 8) {
      bf16_pair left[4];
      load_matrices<false>(left, a_row + k);
      FATHOM_UNROLL
      for (int n = 0; n < N; n += 2) {
        bf16_pair right[4];
        load_matrices<false>(right, b_row + (8 * n * b_stride + k));
        multiply_bf16(sum[n], left, right[0], right[1]);
        multiply_bf16(sum[n + 1], left, right[2], right[3]);
      }
    }
  }

  template <int M, int N>
  FATHOM_DEVICE static void times_columns(float (&sum)[N][4], const float (&p)[M][4], const shared_array<bf16_pair>&,
                                          const shared_array<const bf16_pair>& b, int b_stride) {
    static_assert(N % 2 == 0 && M % 2 == 0, "tensor cores take 16 columns at a time");
    const int lane = lane_number();
    __syncwarp();  // the lanes may come from different branches
    const auto b_row = b + lane % 16 * b_stride + lane / 16 * 4;
    FATHOM_UNROLL
    for (int m = 0; m < M; m += 2) {
      const bf16_pair left[4] = {pack_bf16(p[m][0], p[m][1]), pack_bf16(p[m][2], p[m][3]),
                                 pack_bf16(p[m + 1][0], p[m + 1][1]), pack_bf16(p[m + 1][2], p[m + 1][3])};
      FATHOM_UNROLL
      for (int n = 0; n < N; n += 2) {
        bf16_pair right[4];
        load_matrices<true>(right, b_row + (8 * m * b_stride + 4 * n));
        multiply_bf16(sum[n], left, right[0], right[1]);
        multiply_bf16(sum[n + 1], left, right[2], right[3]);
      }
    }
  }
};

/// A matrix in memory whose rows are contiguous. `aligned` where four elements can be read at once.
template <class T>
struct row_matrix {
  T* data = nullptr;
  index_t stride = 0;
};

/// Copies Rows x C, times `factor`, to shared memory; what lies beyond `rows` and `channels` becomes 0.
template <class Math, int Rows, int C, int Threads>
FATHOM_DEVICE void load_tile(const shared_array<typename Math::stored>& to, const row_matrix<const float>& from,
                             int rows, int channels, bool aligned, float factor = 1.0f) {
  constexpr int across = C / 4;
  FATHOM_UNROLL_4
  for (int i = thread_number(); i < Rows * across; i += Threads) {
    const int row = i / across, c = i % across * 4;
    pack<float, 4> x{{0, 0, 0, 0}};
    if (row < rows) {
      const float* const at = from.data + row * from.stride + c;
      if (aligned && c + 4 <= channels) {
        x = load4(at);
      } else {
        FATHOM_UNROLL
        for (int e = 0; e < 4; ++e)
          if (c + e < channels) x.v[e] = at[e];
      }
    }
    FATHOM_UNROLL
    for (int e = 0; e < 4; ++e) x.v[e] *= factor;
    Math::put4(to, row, c, Math::template stride<C>, x);
  }
}

}  // namespace fathom::cuda::kernels
