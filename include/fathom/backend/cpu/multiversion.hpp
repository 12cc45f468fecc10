// SPDX-License-Identifier: Apache-2.0
// Plain loops compiled for several instruction sets, the widest one that the processor has chosen at run time.
#pragma once

#include <fathom/core/config.hpp>

// Unlike the target_clones attribute this works for templates, with every clang, and in inline functions of several
// translation units, since nothing but ordinary template instantiations is emitted.
#if !defined(FATHOM_NO_TARGET_CLONES) && defined(__x86_64__) && !defined(__CUDACC__) && !defined(__AVX2__) && \
    (defined(__GNUC__) || defined(__clang__))
#define FATHOM_HAS_MULTIVERSION 1
#else
#define FATHOM_HAS_MULTIVERSION 0
#endif

#if defined(__GNUC__) || defined(__clang__)
/// For the bodies handed to run_multiversion and everything hot they call: code that is not inlined into the version
/// is compiled for the baseline.
#define FATHOM_INLINE __attribute__((always_inline)) inline
#else
#define FATHOM_INLINE inline
#endif

namespace fathom::cpu_kernels {

#if FATHOM_HAS_MULTIVERSION

namespace detail {
enum class instruction_set { baseline, avx2, avx512 };

inline instruction_set detect_instruction_set() {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return instruction_set::baseline;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq"))
    return instruction_set::avx512;
  return instruction_set::avx2;
}
inline const instruction_set chosen_instruction_set = detect_instruction_set();

// Feature lists rather than arch=...: the tuning of Intel's server parts would halve the vector width.
template <class Body, class... Argument>
__attribute__((noinline, target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"))) void run_avx512(Argument... argument) {
  Body::template run<64>(argument...);
}
template <class Body, class... Argument>
__attribute__((noinline, target("avx2,fma"))) void run_avx2(Argument... argument) {
  Body::template run<32>(argument...);
}
template <class Body, class... Argument>
__attribute__((noinline)) void run_baseline(Argument... argument) {
  Body::template run<16>(argument...);
}
}  // namespace detail

/// Calls Body::run<Bytes>(arguments...), a static FATHOM_INLINE function template without result, compiled for this
/// processor; Bytes is the width of its vector registers (for pack.hpp). Arguments are passed by value: numbers,
/// pointers, small plain structs.
template <class Body, class... Argument>
void run_multiversion(Argument... argument) {
  switch (detail::chosen_instruction_set) {
    case detail::instruction_set::avx512:
      return detail::run_avx512<Body, Argument...>(argument...);
    case detail::instruction_set::avx2:
      return detail::run_avx2<Body, Argument...>(argument...);
    default:
      return detail::run_baseline<Body, Argument...>(argument...);
  }
}

#else

template <class Body, class... Argument>
void run_multiversion(Argument... argument) {
#if defined(__AVX512F__)
  Body::template run<64>(argument...);
#elif defined(__AVX__)
  Body::template run<32>(argument...);
#else
  Body::template run<16>(argument...);
#endif
}

#endif

}  // namespace fathom::cpu_kernels
