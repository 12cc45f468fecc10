// SPDX-License-Identifier: Apache-2.0
// Tensor storage that is used again instead of going back to the system: fresh pages cost more than the arithmetic on
// them. What is kept never raises the peak: it goes back before in use and kept together pass the most ever in use.
#pragma once

#include <algorithm>
#include <cstddef>
#include <fathom/core/memory.hpp>
#include <map>
#include <mutex>

namespace fathom::cpu_kernels {

/// Blocks by size; a request takes the smallest kept block that is at most a quarter too large. Thread-safe.
class block_cache {
 public:
  struct block {
    void* data = nullptr;
    std::size_t bytes = 0;
  };

  block_cache() = default;
  block_cache(const block_cache&) = delete;
  block_cache& operator=(const block_cache&) = delete;
  ~block_cache() { release(); }

  block take(std::size_t bytes) {
    bytes = std::max<std::size_t>(bytes, 1);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const auto found = kept_.lower_bound(bytes);
      if (found != kept_.end() && found->first <= bytes + bytes / 4 + 64) {
        const block b{found->second, found->first};
        kept_.erase(found);
        kept_bytes_ -= b.bytes;
        used_bytes_ += b.bytes;
        most_used_bytes_ = std::max(most_used_bytes_, used_bytes_);
        return b;
      }
      most_used_bytes_ = std::max(most_used_bytes_, used_bytes_ + bytes);
      shrink_to(most_used_bytes_ - used_bytes_ - bytes);
    }
    block fresh{nullptr, bytes};
    try {
      fresh.data = memory::allocate(bytes);
    } catch (const resource_error&) {
      release();  // what is kept may be what is missing
      fresh.data = memory::allocate(bytes);
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    used_bytes_ += bytes;
    return fresh;
  }

  void give_back(const block& b) {
    const std::lock_guard<std::mutex> lock(mutex_);
    used_bytes_ -= b.bytes;
    kept_.emplace(b.bytes, b.data);
    kept_bytes_ += b.bytes;
    shrink_to(std::max<std::size_t>(smallest_bound, used_bytes_ / 4));
  }

  /// Returns everything that is kept to the system.
  void release() {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [bytes, data] : kept_) memory::deallocate(data, bytes);
    kept_.clear();
    kept_bytes_ = 0;
    most_used_bytes_ = used_bytes_;
  }

 private:
  static constexpr std::size_t smallest_bound = std::size_t(32) << 20;

  void shrink_to(std::size_t bound) {
    while (kept_bytes_ > bound) {
      const auto largest = std::prev(kept_.end());
      memory::deallocate(largest->second, largest->first);
      kept_bytes_ -= largest->first;
      kept_.erase(largest);
    }
  }

  std::mutex mutex_;
  std::multimap<std::size_t, void*> kept_;
  std::size_t kept_bytes_ = 0, used_bytes_ = 0, most_used_bytes_ = 0;
};

}  // namespace fathom::cpu_kernels
