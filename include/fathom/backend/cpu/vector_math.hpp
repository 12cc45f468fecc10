// SPDX-License-Identifier: Apache-2.0
// Branch-free exp and sigmoid on packs (a scalar is a pack of one), and their array forms.
#pragma once

#include <cstdint>
#include <fathom/backend/cpu/pack.hpp>
#include <fathom/core/config.hpp>

#if defined(__FAST_MATH__)
#error \
    "fathom: vector_math.hpp rounds by adding a large number and subtracting it, which -ffast-math removes: build without it"
#endif

namespace fathom::cpu_kernels {

namespace detail {

// x = n ln 2 + r, |r| <= ln 2 / 2; exp(r) = 1 + r + r^2 g(r) with g a Chebyshev fit; 2^n in two factors, so that the
// result underflows gradually. The rounding constant is 1.5 * 2^(digits - 1): the sum's low bits are the integer n.
template <int Bytes>
FATHOM_INLINE void exp_in_place(pack<float, Bytes>& x) {
  using P = pack<float, Bytes>;
  using U = pack_bits<float, Bytes>;
  const P lowest = P{} - 104.0f, highest = P{} + 89.0f;
  x = x < lowest ? lowest : x;
  x = x > highest ? highest : x;
  const P shifted = x * 1.44269504088896341f + 12582912.0f;
  const P n = shifted - 12582912.0f;
  P r = x - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  P g = r * 0.0013926213466f + 0.0083632029716f;
  g = g * r + 0.0416665544377f;
  g = g * r + 0.1666657684600f;
  g = g * r + 0.5f;
  const P p = (r * r) * g + r + 1.0f;
  U biased;
  copy_bits(shifted, biased);
  biased = biased - (0x4B400000u - 256u);
  const U half = biased >> 1;
  const U first_bits = (half - 1u) << 23, second_bits = (biased - half - 1u) << 23;
  P first, second;
  copy_bits(first_bits, first);
  copy_bits(second_bits, second);
  x = p * first * second;
}

template <int Bytes>
FATHOM_INLINE void exp_in_place(pack<double, Bytes>& x) {
  using P = pack<double, Bytes>;
  using U = pack_bits<double, Bytes>;
  const P lowest = P{} - 746.0, highest = P{} + 710.0;
  x = x < lowest ? lowest : x;
  x = x > highest ? highest : x;
  const P shifted = x * 1.4426950408889634074 + 6755399441055744.0;
  const P n = shifted - 6755399441055744.0;
  P r = x - n * 6.93147180369123816490e-01;
  r = r - n * 1.90821492927058770002e-10;
  P g = r * 2.5100424157005066788e-8 + 2.7620138719733995569e-7;
  g = g * r + 2.7557268378684192873e-6;
  g = g * r + 2.4801521190217727651e-5;
  g = g * r + 1.9841269863105968748e-4;
  g = g * r + 1.3888888917281793308e-3;
  g = g * r + 8.3333333333300513464e-3;
  g = g * r + 4.1666666666623991516e-2;
  g = g * r + 1.6666666666666667456e-1;
  g = g * r + 0.5;
  const P p = (r * r) * g + r + 1.0;
  U biased;
  copy_bits(shifted, biased);
  biased = biased - (std::uint64_t(0x4338000000000000) - 2048u);
  const U half = biased >> 1;
  const U first_bits = (half - std::uint64_t(1)) << 52, second_bits = (biased - half - std::uint64_t(1)) << 52;
  P first, second;
  copy_bits(first_bits, first);
  copy_bits(second_bits, second);
  x = p * first * second;
}

template <class T, int Bytes>
FATHOM_INLINE void sigmoid_in_place(pack<T, Bytes>& x) {
  using P = pack<T, Bytes>;
  const P zero = P{}, one = zero + T(1);
  P e = x < zero ? x : -x;
  exp_in_place<Bytes>(e);
  x = (x < zero ? e : one) / (one + e);
}

}  // namespace detail

/// exp(x) within about 1 ulp (measured: 1.1), underflow gradual, 0, infinity and not-a-number where they belong.
FATHOM_INLINE float vector_exp(float x) {
  detail::exp_in_place<0>(x);
  return x;
}
FATHOM_INLINE double vector_exp(double x) {
  detail::exp_in_place<0>(x);
  return x;
}

/// 1 / (1 + exp(-x)) within about 2 ulp (measured: 2.3), without overflow for any x.
template <class T>
FATHOM_INLINE T vector_sigmoid(T x) {
  detail::sigmoid_in_place<T, 0>(x);
  return x;
}

namespace detail {

struct exp_function {
  template <class T, int Bytes>
  static FATHOM_INLINE void apply(pack<T, Bytes>& x) {
    exp_in_place<Bytes>(x);
  }
};
struct sigmoid_function {
  template <class T, int Bytes>
  static FATHOM_INLINE void apply(pack<T, Bytes>& x) {
    sigmoid_in_place<T, Bytes>(x);
  }
};

// The tail goes through the same instructions as the rest: a value's bits do not depend on its position.
template <class T, class Function>
struct map_loop {
  template <int Bytes>
  static FATHOM_INLINE void run(index_t n, const T* x, T* y) {
    constexpr index_t L = pack_size<T, Bytes>;
    index_t i = 0;
    for (; i + L <= n; i += L) {
      pack<T, Bytes> value;
      load(value, x + i);
      Function::template apply<T, Bytes>(value);
      store(value, y + i);
    }
    if (i == n) return;
    pack<T, Bytes> value;
    load_part(value, x + i, n - i, T(0));
    Function::template apply<T, Bytes>(value);
    store_part(value, y + i, n - i);
  }
};

}  // namespace detail

/// y[i] = exp(x[i]); y may be x.
template <class T>
void exp_n(index_t n, const T* x, T* y) {
  run_multiversion<detail::map_loop<T, detail::exp_function>>(n, x, y);
}

/// y[i] = 1 / (1 + exp(-x[i])); y may be x.
template <class T>
void sigmoid_n(index_t n, const T* x, T* y) {
  run_multiversion<detail::map_loop<T, detail::sigmoid_function>>(n, x, y);
}

}  // namespace fathom::cpu_kernels
