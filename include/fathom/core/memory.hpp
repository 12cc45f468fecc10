// SPDX-License-Identifier: Apache-2.0
// Every buffer of the library comes from here, so that its bytes can be counted: current, peak, number of allocations.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <new>

namespace fathom {

/// Process-wide count of the bytes handed out by memory::allocate and not yet returned (requested sizes, without the
/// allocator's own overhead). Safe to read and to reset from any thread.
struct memory_counter {
  /// Bytes in use now.
  static std::int64_t current() { return bytes_.load(std::memory_order_relaxed); }
  /// Largest value of current() since the start or the last reset_peak().
  static std::int64_t peak() { return peak_.load(std::memory_order_relaxed); }
  /// Calls of memory::allocate since the start: the difference over a warm evaluation is 0 when nothing is allocated.
  static std::int64_t allocations() { return allocations_.load(std::memory_order_relaxed); }
  /// Bytes of current() that hold nothing: storage that caches keep for reuse.
  static std::int64_t idle() { return idle_.load(std::memory_order_relaxed); }
  /// Bytes of current() that hold something.
  static std::int64_t in_use() { return current() - idle(); }
  /// A cache has taken `bytes` (negative: given away).
  static void add_idle(std::int64_t bytes) {
    idle_.fetch_add(bytes, std::memory_order_relaxed);
    if (bytes < 0) note(in_use());
  }
  /// Largest value of in_use() since the last watch().
  static std::int64_t watched() { return watched_.load(std::memory_order_relaxed); }
  static void watch() { watched_.store(in_use(), std::memory_order_relaxed); }
  /// Starts a new peak at current().
  static void reset_peak() { peak_.store(current(), std::memory_order_relaxed); }

  static void add(std::size_t bytes) {
    const std::int64_t now = bytes_.fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_relaxed) +
                             static_cast<std::int64_t>(bytes);
    allocations_.fetch_add(1, std::memory_order_relaxed);
    std::int64_t seen = peak_.load(std::memory_order_relaxed);
    while (seen < now && !peak_.compare_exchange_weak(seen, now, std::memory_order_relaxed)) {
    }
    note(now - idle());
  }
  static void remove(std::size_t bytes) {
    bytes_.fetch_sub(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
  }

 private:
  static void note(std::int64_t now) {
    std::int64_t seen = watched_.load(std::memory_order_relaxed);
    while (seen < now && !watched_.compare_exchange_weak(seen, now, std::memory_order_relaxed)) {
    }
  }

  inline static std::atomic<std::int64_t> bytes_{0};
  inline static std::atomic<std::int64_t> peak_{0};
  inline static std::atomic<std::int64_t> watched_{0};
  inline static std::atomic<std::int64_t> idle_{0};
  inline static std::atomic<std::int64_t> allocations_{0};
};

namespace memory {

/// A cache line, and the widest vector register of today's processors.
inline constexpr std::size_t default_alignment = 64;
/// More than any machine has: a larger request comes from extents that overflowed, and is not passed on.
inline constexpr std::size_t largest_request = static_cast<std::size_t>(-1) >> 17;

/// Uninitialised storage of `bytes` bytes at a multiple of `alignment` (a power of two); null for 0 bytes.
/// Throws resource_error, with the number of bytes, when the system has none left.
inline void* allocate(std::size_t bytes, std::size_t alignment = default_alignment) {
  if (bytes == 0) return nullptr;
  void* const data =
      bytes > largest_request ? nullptr : ::operator new(bytes, std::align_val_t(alignment), std::nothrow);
  if (data == nullptr)
    throw resource_error(detail::concat("memory::allocate: the system refused ", bytes, " bytes (",
                                        memory_counter::current(),
                                        " are in use): use fewer sequences or residues, or smaller chunks"));
  memory_counter::add(bytes);
  return data;
}

/// Returns what allocate(bytes, alignment) gave; null is allowed.
inline void deallocate(void* data, std::size_t bytes, std::size_t alignment = default_alignment) noexcept {
  if (data == nullptr) return;
  ::operator delete(data, std::align_val_t(alignment));
  memory_counter::remove(bytes);
}

/// Standard allocator over allocate/deallocate, for containers whose bytes must be counted.
template <class T>
struct counted_allocator {
  using value_type = T;
  counted_allocator() = default;
  template <class U>
  counted_allocator(const counted_allocator<U>&) noexcept {}
  T* allocate(std::size_t count) {
    if (count > static_cast<std::size_t>(-1) / sizeof(T)) throw std::bad_alloc();
    return static_cast<T*>(memory::allocate(count * sizeof(T)));
  }
  void deallocate(T* data, std::size_t count) noexcept { memory::deallocate(data, count * sizeof(T)); }
  template <class U>
  bool operator==(const counted_allocator<U>&) const noexcept {
    return true;
  }
};

}  // namespace memory
}  // namespace fathom
