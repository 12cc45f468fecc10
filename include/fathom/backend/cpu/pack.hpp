// SPDX-License-Identifier: Apache-2.0
// A vector register as a value: the compilers' own vector type, so that no loop depends on what an optimiser
// vectorises.
#pragma once

#include <cstdint>
#include <cstring>
#include <fathom/backend/cpu/multiversion.hpp>
#include <fathom/core/config.hpp>

namespace fathom::cpu_kernels {

namespace detail {
template <class T, int Bytes>
struct pack_types {
  typedef T type __attribute__((vector_size(Bytes)));
};
template <class T>
struct pack_types<T, 0> {
  using type = T;
};
template <class T>
struct bits_of;
template <>
struct bits_of<float> {
  using type = std::uint32_t;
};
template <>
struct bits_of<double> {
  using type = std::uint64_t;
};
}  // namespace detail

/// Bytes / sizeof(T) values with elementwise operators and `mask ? a : b`; Bytes = 0 is a plain T. Packs are handed to
/// functions by reference: by value their calling convention would depend on the instruction set.
template <class T, int Bytes>
using pack = typename detail::pack_types<T, Bytes>::type;

/// The unsigned integers of the same layout.
template <class T, int Bytes>
using pack_bits = typename detail::pack_types<typename detail::bits_of<T>::type, Bytes>::type;

/// Values in one pack.
template <class T, int Bytes>
inline constexpr index_t pack_size = Bytes == 0 ? 1 : static_cast<index_t>(Bytes / static_cast<int>(sizeof(T)));

/// to = from, bit for bit.
template <class To, class From>
FATHOM_INLINE void copy_bits(const From& from, To& to) {
  static_assert(sizeof(To) == sizeof(From), "copy_bits: both sides must have the same size");
  std::memcpy(&to, &from, sizeof(To));
}

/// to = the pack at `from`, at any alignment.
template <class Pack, class T>
FATHOM_INLINE void load(Pack& to, const T* from) {
  std::memcpy(&to, from, sizeof(Pack));
}
template <class Pack, class T>
FATHOM_INLINE void store(const Pack& from, T* to) {
  std::memcpy(to, &from, sizeof(Pack));
}

/// The first `count` values, then `fill`.
template <class Pack, class T>
FATHOM_INLINE void load_part(Pack& to, const T* from, index_t count, T fill) {
  T values[sizeof(Pack) / sizeof(T)];
  for (index_t i = 0; i < static_cast<index_t>(sizeof(Pack) / sizeof(T)); ++i) values[i] = i < count ? from[i] : fill;
  std::memcpy(&to, values, sizeof(Pack));
}
template <class Pack, class T>
FATHOM_INLINE void store_part(const Pack& from, T* to, index_t count) {
  T values[sizeof(Pack) / sizeof(T)];
  std::memcpy(values, &from, sizeof(Pack));
  for (index_t i = 0; i < count; ++i) to[i] = values[i];
}

/// Sum of a pack's values, pairwise.
template <class T, class Pack>
FATHOM_INLINE T sum_of(const Pack& of) {
  if constexpr (sizeof(Pack) > 16) {
    using Half = pack<T, static_cast<int>(sizeof(Pack) / 2)>;
    Half lower, upper;
    std::memcpy(&lower, &of, sizeof(Half));
    std::memcpy(&upper, reinterpret_cast<const char*>(&of) + sizeof(Half), sizeof(Half));
    lower += upper;
    return sum_of<T>(lower);
  } else if constexpr (sizeof(Pack) == 4 * sizeof(T)) {
    return (of[0] + of[2]) + (of[1] + of[3]);
  } else {
    return of[0] + of[1];
  }
}
/// Largest of a pack's values.
template <class T, class Pack>
FATHOM_INLINE T max_of(const Pack& of) {
  if constexpr (sizeof(Pack) > 16) {
    using Half = pack<T, static_cast<int>(sizeof(Pack) / 2)>;
    Half lower, upper;
    std::memcpy(&lower, &of, sizeof(Half));
    std::memcpy(&upper, reinterpret_cast<const char*>(&of) + sizeof(Half), sizeof(Half));
    lower = lower < upper ? upper : lower;
    return max_of<T>(lower);
  } else {
    T largest = of[0];
    for (int i = 1; i < static_cast<int>(sizeof(Pack) / sizeof(T)); ++i) largest = largest < of[i] ? of[i] : largest;
    return largest;
  }
}

}  // namespace fathom::cpu_kernels
