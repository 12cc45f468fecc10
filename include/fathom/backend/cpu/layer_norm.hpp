// SPDX-License-Identifier: Apache-2.0
// Layer normalisation over the last axis of strided rows, forward and backward, threaded over fixed bands of rows.
#pragma once

#include <algorithm>
#include <cmath>
#include <fathom/backend/cpu/pack.hpp>
#include <fathom/backend/cpu/thread_pool.hpp>
#include <fathom/core/config.hpp>

namespace fathom::cpu_kernels {

/// y[r, :] = (x[r, :] - mean_r) * rstd_r * weight + bias, rstd_r = 1 / sqrt(var_r + eps), var_r the mean square
/// deviation (two passes). Rows of `channels` contiguous values lie x_stride, y_stride apart; y may be x.
template <class T>
struct layer_norm_args {
  index_t rows = 0, channels = 0;
  const T* x = nullptr;
  index_t x_stride = 0;
  const T* weight = nullptr;  ///< [channels]; null means ones
  const T* bias = nullptr;    ///< [channels]; null means zeros
  T eps = T(1e-5);
  T* y = nullptr;
  index_t y_stride = 0;
  T* mean = nullptr;  ///< [rows]; forward writes it when given, backward reads it or computes it again
  T* rstd = nullptr;  ///< [rows]; as mean, both or none
};

namespace detail {

template <class T, int Bytes>
FATHOM_INLINE void row_moments(const T* x, index_t channels, T eps, T& mean, T& rstd) {
  using P = pack<T, Bytes>;
  constexpr index_t L = pack_size<T, Bytes>;
  P sum[2] = {P{}, P{}}, value;
  index_t c = 0;
  for (; c + 2 * L <= channels; c += 2 * L) {
    load(value, x + c);
    sum[0] += value;
    load(value, x + c + L);
    sum[1] += value;
  }
  for (; c < channels; c += L) {
    load_part(value, x + c, channels - c, T(0));
    sum[0] += value;
  }
  sum[0] += sum[1];
  mean = sum_of<T>(sum[0]) / static_cast<T>(channels);
  sum[0] = sum[1] = P{};
  for (c = 0; c + 2 * L <= channels; c += 2 * L) {
    load(value, x + c);
    value -= mean;
    sum[0] += value * value;
    load(value, x + c + L);
    value -= mean;
    sum[1] += value * value;
  }
  for (; c < channels; c += L) {
    load_part(value, x + c, channels - c, mean);
    value -= mean;
    sum[0] += value * value;
  }
  sum[0] += sum[1];
  rstd = T(1) / std::sqrt(sum_of<T>(sum[0]) / static_cast<T>(channels) + eps);
}

template <class T>
struct layer_norm_rows {
  template <int Bytes>
  static FATHOM_INLINE void run(const layer_norm_args<T>* args, index_t first, index_t last) {
    using P = pack<T, Bytes>;
    constexpr index_t L = pack_size<T, Bytes>;
    const layer_norm_args<T> a = *args;
    for (index_t r = first; r < last; ++r) {
      const T* const x = a.x + r * a.x_stride;
      T* const y = a.y + r * a.y_stride;
      T mean, rstd;
      row_moments<T, Bytes>(x, a.channels, a.eps, mean, rstd);
      if (a.mean != nullptr) {
        a.mean[r] = mean;
        a.rstd[r] = rstd;
      }
      index_t c = 0;
      for (; c + L <= a.channels; c += L) {
        P value, factor = P{} + T(1), offset = P{};
        load(value, x + c);
        if (a.weight != nullptr) load(factor, a.weight + c);
        if (a.bias != nullptr) load(offset, a.bias + c);
        value = (value - mean) * rstd;
        value = value * factor + offset;
        store(value, y + c);
      }
      if (c < a.channels) {
        const index_t rest = a.channels - c;
        P value, factor = P{} + T(1), offset = P{};
        load_part(value, x + c, rest, T(0));
        if (a.weight != nullptr) load_part(factor, a.weight + c, rest, T(0));
        if (a.bias != nullptr) load_part(offset, a.bias + c, rest, T(0));
        value = (value - mean) * rstd;
        value = value * factor + offset;
        store_part(value, y + c, rest);
      }
    }
  }
};

template <class T>
struct layer_norm_gradient {
  const T* dy;
  index_t dy_stride;
  T* dx;
  index_t dx_stride;
};

// One band of rows: dx, and the band's share of dweight and dbias into `partial` [2, channels].
template <class T>
struct layer_norm_backward_rows {
  template <int Bytes>
  static FATHOM_INLINE void run(const layer_norm_args<T>* args, const layer_norm_gradient<T>* gradient, index_t first,
                                index_t last, T* partial) {
    using P = pack<T, Bytes>;
    constexpr index_t L = pack_size<T, Bytes>;
    const layer_norm_args<T> a = *args;
    const layer_norm_gradient<T> g = *gradient;
    const T inverse = T(1) / static_cast<T>(a.channels);
    for (index_t c = 0; c < 2 * a.channels; ++c) partial[c] = T(0);
    for (index_t r = first; r < last; ++r) {
      const T* const x = a.x + r * a.x_stride;
      const T* const dy = g.dy + r * g.dy_stride;
      T mean, rstd;
      if (a.mean != nullptr) {
        mean = a.mean[r];
        rstd = a.rstd[r];
      } else {
        row_moments<T, Bytes>(x, a.channels, a.eps, mean, rstd);
      }
      P plain = P{}, weighted = P{};
      for (index_t c = 0; c < a.channels; c += L) {
        const index_t rest = a.channels - c;
        P normal, slope, factor = P{} + T(1);
        P dweight, dbias;
        if (rest >= L) {
          load(normal, x + c);
          load(slope, dy + c);
          load(dweight, partial + c);
          load(dbias, partial + a.channels + c);
          if (a.weight != nullptr) load(factor, a.weight + c);
        } else {
          load_part(normal, x + c, rest, mean);
          load_part(slope, dy + c, rest, T(0));
          load_part(dweight, partial + c, rest, T(0));
          load_part(dbias, partial + a.channels + c, rest, T(0));
          if (a.weight != nullptr) load_part(factor, a.weight + c, rest, T(0));
        }
        normal = (normal - mean) * rstd;
        dweight += slope * normal;
        dbias += slope;
        slope *= factor;
        plain += slope;
        weighted += slope * normal;
        if (rest >= L) {
          store(dweight, partial + c);
          store(dbias, partial + a.channels + c);
        } else {
          store_part(dweight, partial + c, rest);
          store_part(dbias, partial + a.channels + c, rest);
        }
      }
      if (g.dx == nullptr) continue;
      T* const dx = g.dx + r * g.dx_stride;
      const T mean_plain = sum_of<T>(plain) * inverse, mean_weighted = sum_of<T>(weighted) * inverse;
      for (index_t c = 0; c < a.channels; c += L) {
        const index_t rest = a.channels - c;
        P normal, slope, factor = P{} + T(1);
        if (rest >= L) {
          load(normal, x + c);
          load(slope, dy + c);
          if (a.weight != nullptr) load(factor, a.weight + c);
        } else {
          load_part(normal, x + c, rest, mean);
          load_part(slope, dy + c, rest, T(0));
          if (a.weight != nullptr) load_part(factor, a.weight + c, rest, T(0));
        }
        normal = (normal - mean) * rstd;
        slope = (slope * factor - mean_plain - normal * mean_weighted) * rstd;
        if (rest >= L)
          store(slope, dx + c);
        else
          store_part(slope, dx + c, rest);
      }
    }
  }
};

// out[c] = sum over parts of partial[part * stride + c], in order: the same bits whoever computed the parts.
template <class T>
struct sum_parts {
  template <int Bytes>
  static FATHOM_INLINE void run(const T* partial, index_t parts, index_t stride, index_t count, T* out) {
    using P = pack<T, Bytes>;
    constexpr index_t L = pack_size<T, Bytes>;
    for (index_t c = 0; c < count; c += L) {
      const index_t rest = std::min(L, count - c);
      P sum = P{}, value;
      for (index_t part = 0; part < parts; ++part) {
        if (rest == L)
          load(value, partial + part * stride + c);
        else
          load_part(value, partial + part * stride + c, rest, T(0));
        sum += value;
      }
      if (rest == L)
        store(sum, out + c);
      else
        store_part(sum, out + c, rest);
    }
  }
};

}  // namespace detail

/// Forward of layer_norm_args.
template <class T>
void layer_norm_forward(thread_pool& pool, const layer_norm_args<T>& args) {
  if (args.rows <= 0 || args.channels <= 0) return;
  const index_t band = std::max<index_t>(1, 16384 / args.channels);
  const auto rows = [&](index_t task, int) {
    run_multiversion<detail::layer_norm_rows<T>>(&args, task * band, std::min(args.rows, (task + 1) * band));
  };
  pool.parallel_for((args.rows + band - 1) / band, rows);
}

/// Cotangents for the cotangent dy of y: dx (null: not wanted; may be dy), dweight and dbias [channels] (null: not
/// wanted), all overwritten. args.y is not used; args.mean and args.rstd may be null, they are then computed again.
template <class T>
void layer_norm_backward(thread_pool& pool, const layer_norm_args<T>& args, const T* dy, index_t dy_stride, T* dx,
                         index_t dx_stride, T* dweight, T* dbias) {
  if (args.channels <= 0) return;
  const detail::layer_norm_gradient<T> gradient{dy, dy_stride, dx, dx_stride};
  const index_t band = std::max<index_t>({1, 16384 / args.channels, (args.rows + 255) / 256});
  const index_t bands = args.rows <= 0 ? 0 : (args.rows + band - 1) / band;
  const auto partial = pool.scratch<T>(pool.current_worker(), bands * 2 * args.channels);
  pool.parallel_for(bands, [&](index_t task, int) {
    run_multiversion<detail::layer_norm_backward_rows<T>>(&args, &gradient, task * band,
                                                          std::min(args.rows, (task + 1) * band),
                                                          partial.data() + task * 2 * args.channels);
  });
  const T* const parts = partial.data();
  if (dweight != nullptr)
    run_multiversion<detail::sum_parts<T>>(parts, bands, 2 * args.channels, args.channels, dweight);
  if (dbias != nullptr)
    run_multiversion<detail::sum_parts<T>>(parts + (bands > 0 ? args.channels : 0), bands, 2 * args.channels,
                                           args.channels, dbias);
}

}  // namespace fathom::cpu_kernels
