// SPDX-License-Identifier: Apache-2.0
// How long a GPU is busy with kernels and copies while something runs, by CUPTI. Always nothing without
// FATHOM_WITH_CUPTI, which whoever links CUPTI defines.
#pragma once

#include <optional>

#ifdef FATHOM_WITH_CUPTI

#include <cupti.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace fathom::bench {

namespace detail {

inline std::atomic<std::uint64_t> busy_nanoseconds{0};

inline void CUPTIAPI give_buffer(std::uint8_t** buffer, std::size_t* size, std::size_t* most_records) {
  *size = std::size_t(1) << 20;
  *buffer = static_cast<std::uint8_t*>(std::aligned_alloc(64, *size));
  *most_records = 0;
}
inline void CUPTIAPI take_buffer(CUcontext, std::uint32_t, std::uint8_t* buffer, std::size_t, std::size_t valid) {
  CUpti_Activity* record = nullptr;
  while (cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) {
    if (record->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
      const auto* const kernel = reinterpret_cast<const CUpti_ActivityKernel10*>(record);
      busy_nanoseconds += kernel->end - kernel->start;
    } else if (record->kind == CUPTI_ACTIVITY_KIND_MEMCPY) {
      const auto* const copy = reinterpret_cast<const CUpti_ActivityMemcpy6*>(record);
      busy_nanoseconds += copy->end - copy->start;
    }
  }
  std::free(buffer);
}

}  // namespace detail

/// Seconds of kernels and copies on one stream that `run`, which waits for them, puts there; nothing where CUPTI
/// refuses.
template <class Run>
std::optional<double> kernel_seconds(const Run& run) {
  const CUpti_ActivityKind kinds[] = {CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMCPY};
  bool possible = cuptiActivityRegisterCallbacks(detail::give_buffer, detail::take_buffer) == CUPTI_SUCCESS;
  for (const auto kind : kinds) possible = possible && cuptiActivityEnable(kind) == CUPTI_SUCCESS;
  if (!possible) return std::nullopt;
  detail::busy_nanoseconds = 0;
  run();
  possible = cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED) == CUPTI_SUCCESS;
  for (const auto kind : kinds) (void)cuptiActivityDisable(kind);
  const double seconds = static_cast<double>(detail::busy_nanoseconds.load()) * 1e-9;
  return possible && seconds > 0 ? std::optional(seconds) : std::nullopt;
}

}  // namespace fathom::bench

#else

namespace fathom::bench {
template <class Run>
std::optional<double> kernel_seconds(const Run&) {
  return std::nullopt;
}
}  // namespace fathom::bench

#endif
