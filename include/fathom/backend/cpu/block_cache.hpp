// SPDX-License-Identifier: Apache-2.0
// Tensor storage that is used again instead of going back to the system: fresh pages cost more than the arithmetic on
// them. A computation that is repeated takes nothing from the system after its first run.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fathom/core/memory.hpp>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace fathom::cpu_kernels {

/// Blocks cut from segments of the system's memory: the smallest free piece that is large enough is split, and
/// neighbours that are free again become one. Segments without a block in use are kept as long as all of them together
/// do not pass the most bytes ever in use by more than a sixteenth and a megabyte. Thread-safe.
class block_cache {
 public:
  struct block {
    void* data = nullptr;
    std::size_t bytes = 0;
    std::uint32_t number = 0;
  };

  block_cache() = default;
  block_cache(const block_cache&) = delete;
  block_cache& operator=(const block_cache&) = delete;
  ~block_cache() { release(); }

  block take(std::size_t bytes) {
    bytes = (std::max<std::size_t>(bytes, 1) + unit - 1) / unit * unit;
    const std::lock_guard<std::mutex> lock(mutex_);
    std::uint32_t number = best_free(bytes);
    const std::size_t before = most_used_;
    most_used_ = std::max(most_used_, used_ + bytes);
    if (number == nothing) {
      try {
        number = add_segment(std::max(bytes, smallest_segment));
      } catch (...) {
        most_used_ = before;
        throw;
      }
    }
    split(number, bytes);
    bytes = pieces_[number].bytes;  // a rest too small to be of use stays with it
    pieces_[number].free = false;
    count_free(-static_cast<std::int64_t>(bytes));
    used_ += bytes;
    return {pieces_[number].data, bytes, number};
  }

  void give_back(const block& b) {
    const std::lock_guard<std::mutex> lock(mutex_);
    used_ -= b.bytes;
    count_free(static_cast<std::int64_t>(b.bytes));
    pieces_[b.number].free = true;
    std::uint32_t number = b.number;
    join_next(number);
    if (const auto previous = pieces_[number].previous; previous != nothing && pieces_[previous].free) {
      join_next(previous);
      number = previous;
    }
    if (total_ > bound() && is_segment(number)) drop(number);
  }

  /// Returns everything that is kept to the system.
  void release() {
    const std::lock_guard<std::mutex> lock(mutex_);
    shrink_to(0);
    most_used_ = used_;
  }

 private:
  static constexpr std::size_t unit = memory::default_alignment, smallest_segment = std::size_t(64) << 10;
  static constexpr std::uint32_t nothing = ~std::uint32_t(0);

  // A stretch of a segment; previous and next are its neighbours there.
  struct piece {
    std::byte* data = nullptr;
    std::size_t bytes = 0;
    std::uint32_t previous = nothing, next = nothing;
    bool free = false;
  };

  /// Most that segments may take together: what was once in use, and some room for what does not fit exactly.
  std::size_t bound() const { return most_used_ + most_used_ / 16 + (std::size_t(1) << 20); }
  void count_free(std::int64_t bytes) { memory_counter::add_idle(bytes); }
  bool is_segment(std::uint32_t number) const {
    return pieces_[number].free && pieces_[number].previous == nothing && pieces_[number].next == nothing;
  }
  std::uint32_t best_free(std::size_t bytes) const {
    std::uint32_t best = nothing;
    for (std::uint32_t number = 0; number < pieces_.size(); ++number)
      if (pieces_[number].free && pieces_[number].bytes >= bytes &&
          (best == nothing || pieces_[number].bytes < pieces_[best].bytes))
        best = number;
    return best;
  }
  std::uint32_t new_piece(const piece& p) {
    if (spare_.empty()) {
      spare_.reserve(pieces_.size() + 1);
      pieces_.push_back(p);
      return static_cast<std::uint32_t>(pieces_.size() - 1);
    }
    const std::uint32_t number = spare_.back();
    spare_.pop_back();
    pieces_[number] = p;
    return number;
  }
  void forget(std::uint32_t number) {
    pieces_[number] = piece{};
    spare_.push_back(number);
  }
  void split(std::uint32_t number, std::size_t bytes) {
    if (pieces_[number].bytes < bytes + 4 * unit) return;
    const piece rest{pieces_[number].data + bytes, pieces_[number].bytes - bytes, number, pieces_[number].next, true};
    const std::uint32_t other = new_piece(rest);
    if (rest.next != nothing) pieces_[rest.next].previous = other;
    pieces_[number].bytes = bytes;
    pieces_[number].next = other;
  }
  void join_next(std::uint32_t number) {
    const std::uint32_t other = pieces_[number].next;
    if (other == nothing || !pieces_[other].free) return;
    pieces_[number].bytes += pieces_[other].bytes;
    pieces_[number].next = pieces_[other].next;
    if (pieces_[number].next != nothing) pieces_[pieces_[number].next].previous = number;
    forget(other);
  }
  std::uint32_t add_segment(std::size_t bytes) {
    shrink_to(bound() > bytes ? bound() - bytes : 0);
    piece p;
    try {
      p.data = static_cast<std::byte*>(memory::allocate(bytes));
    } catch (const resource_error&) {
      shrink_to(0);  // what is kept may be what is missing
      p.data = static_cast<std::byte*>(memory::allocate(bytes));
    }
    p.bytes = bytes;
    p.free = true;
    total_ += bytes;
    count_free(static_cast<std::int64_t>(bytes));
    return new_piece(p);
  }
  void drop(std::uint32_t number) {
    const piece p = pieces_[number];
    memory::deallocate(p.data, p.bytes);
    total_ -= p.bytes;
    count_free(-static_cast<std::int64_t>(p.bytes));
    forget(number);
  }
  // Segments that hold nothing go, the largest first, until `most` bytes remain or none is left.
  void shrink_to(std::size_t most) {
    while (total_ > most) {
      std::uint32_t largest = nothing;
      for (std::uint32_t number = 0; number < pieces_.size(); ++number)
        if (is_segment(number) && (largest == nothing || pieces_[number].bytes > pieces_[largest].bytes))
          largest = number;
      if (largest == nothing) return;
      drop(largest);
    }
  }

  std::mutex mutex_;
  std::vector<piece> pieces_;
  std::vector<std::uint32_t> spare_;
  std::size_t total_ = 0, used_ = 0, most_used_ = 0;
};

/// Puts the counts of a std::shared_ptr in front of the storage it owns, so that a tensor costs no call of the heap;
/// the block goes back when the last owner lets go.
template <class T>
class owner_in_block {
 public:
  using value_type = T;
  /// Bytes kept free for it at the start of a block.
  static constexpr std::size_t size = 128;

  owner_in_block(std::shared_ptr<block_cache> cache, const block_cache::block& b)
      : cache_(std::move(cache)), block_(b) {}
  template <class U>
  owner_in_block(const owner_in_block<U>& other) : cache_(other.cache_), block_(other.block_) {}

  T* allocate(std::size_t) const {
    static_assert(sizeof(T) <= size && alignof(T) <= memory::default_alignment);
    return static_cast<T*>(block_.data);
  }
  void deallocate(T*, std::size_t) const { cache_->give_back(block_); }
  template <class U>
  bool operator==(const owner_in_block<U>& other) const {
    return block_.data == other.block_.data;
  }

 private:
  template <class>
  friend class owner_in_block;
  std::shared_ptr<block_cache> cache_;
  block_cache::block block_;
};
/// The deleter that belongs to it.
struct leave_alone {
  void operator()(const void*) const {}
};

}  // namespace fathom::cpu_kernels
