// SPDX-License-Identifier: Apache-2.0
// A row of up to a thousand values in the registers of one warp.
#pragma once

#include <type_traits>

#include <fathom/backend/device_kernels.hpp>
#include <fathom/cuda/kernels/intrinsics.cuh>

namespace fathom::cuda::kernels {

/// The longest row that warp_row holds.
inline constexpr index_t longest_row = 1024;

/// Lane l holds the values 128 n + 4 l ... + 3 for n < Quads; what lies beyond `length` is `fill`.
template <class T, int Quads>
struct warp_row {
  T v[Quads][4];

  FATHOM_DEVICE static int first(int n) { return 128 * n + 4 * lane_number(); }

  /// `aligned`: four values can be read at once, and length is a multiple of four.
  FATHOM_DEVICE void load(const T* from, int length, bool aligned, T fill = T(0)) {
    FATHOM_UNROLL
    for (int n = 0; n < Quads; ++n) {
      const int at = first(n);
      if (aligned && at < length) {
        const auto x = load4(from + at);
        FATHOM_UNROLL
        for (int e = 0; e < 4; ++e) v[n][e] = x.v[e];
      } else {
        FATHOM_UNROLL
        for (int e = 0; e < 4; ++e) v[n][e] = at + e < length ? from[at + e] : fill;
      }
    }
  }
  FATHOM_DEVICE void store(T* to, int length, bool aligned) const {
    FATHOM_UNROLL
    for (int n = 0; n < Quads; ++n) {
      const int at = first(n);
      if (aligned) {
        if (at < length) store4(to + at, pack<T, 4>{{v[n][0], v[n][1], v[n][2], v[n][3]}});
      } else {
        FATHOM_UNROLL
        for (int e = 0; e < 4; ++e)
          if (at + e < length) to[at + e] = v[n][e];
      }
    }
  }
  /// f(value, its number) for every value of the row, those beyond the length left out.
  template <class F>
  FATHOM_DEVICE void each(int length, const F& f) {
    FATHOM_UNROLL
    for (int n = 0; n < Quads; ++n) {
      FATHOM_UNROLL
      for (int e = 0; e < 4; ++e)
        if (first(n) + e < length) f(n, e);
    }
  }
};

/// Calls f with the Quads that hold `length` values.
template <class F>
void by_quads(index_t length, const F& f) {
  if (length <= 128)
    f(std::integral_constant<int, 1>{});
  else if (length <= 256)
    f(std::integral_constant<int, 2>{});
  else if (length <= 512)
    f(std::integral_constant<int, 4>{});
  else
    f(std::integral_constant<int, 8>{});
}

}  // namespace fathom::cuda::kernels
