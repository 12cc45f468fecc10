// SPDX-License-Identifier: Apache-2.0
// Grow-only scratch memory with stack discipline: kernels take and give back working space without the heap.
#pragma once

#include <cstddef>
#include <fathom/core/config.hpp>
#include <fathom/core/memory.hpp>
#include <type_traits>
#include <vector>

namespace fathom::cpu_kernels {

/// One thread's arena. Blocks taken last are given back first; what was grown stays, and is merged into one block the
/// next time the arena is empty, so that a repeated computation allocates nothing after its second run. Which task runs
/// on which thread is a matter of chance: a pool reads peak() and calls reserve(), so that every thread's arena has
/// room for any task.
class scratch_arena {
 public:
  scratch_arena() = default;
  scratch_arena(const scratch_arena&) = delete;
  scratch_arena& operator=(const scratch_arena&) = delete;
  ~scratch_arena() { clear(); }

  /// Bytes held from the system, in use or not.
  std::size_t capacity() const {
    std::size_t bytes = 0;
    for (const block& each : blocks_) bytes += each.size;
    return bytes;
  }
  bool empty() const { return blocks_.empty() || (current_ == 0 && blocks_.front().used == 0); }
  /// Gives everything back to the system; nothing may be in use.
  void clear() {
    for (const block& each : blocks_) memory::deallocate(each.data, each.size);
    blocks_.clear();
    current_ = 0;
  }
  /// One block of `bytes` or more; nothing happens while something is in use.
  void reserve(std::size_t bytes) {
    if (!empty() || (blocks_.size() <= 1 && capacity() >= bytes)) return;
    const std::size_t all = capacity();
    clear();
    grow(all > bytes ? all : bytes);
  }

  /// Bytes in use now, and the most since the last reset_peak().
  std::size_t used() const { return used_; }
  std::size_t peak() const { return peak_; }
  void reset_peak() { peak_ = used_; }

  struct mark {
    std::size_t block = 0, used = 0, all = 0;
  };
  mark position() const { return blocks_.empty() ? mark{} : mark{current_, blocks_[current_].used, used_}; }

  void* take(std::size_t bytes) {
    bytes = (bytes + memory::default_alignment - 1) / memory::default_alignment * memory::default_alignment;
    if (empty() && blocks_.size() > 1) reserve(bytes);
    while (!blocks_.empty() && blocks_[current_].size - blocks_[current_].used < bytes && current_ + 1 < blocks_.size())
      ++current_;
    if (blocks_.empty() || blocks_[current_].size - blocks_[current_].used < bytes) {
      grow(bytes > minimum_block ? bytes : minimum_block);
      current_ = blocks_.size() - 1;
    }
    block& from = blocks_[current_];
    void* const data = from.data + from.used;
    from.used += bytes;
    used_ += bytes;
    if (used_ > peak_) peak_ = used_;
    return data;
  }
  void give_back(mark to) {
    for (std::size_t each = to.block + 1; each < blocks_.size(); ++each) blocks_[each].used = 0;
    if (!blocks_.empty()) blocks_[to.block].used = to.used;
    current_ = to.block;
    used_ = to.all;
  }

 private:
  static constexpr std::size_t minimum_block = 64 * 1024;
  struct block {
    std::byte* data = nullptr;
    std::size_t size = 0, used = 0;
  };
  void grow(std::size_t bytes) {
    blocks_.reserve(blocks_.size() + 1);
    blocks_.push_back(block{static_cast<std::byte*>(memory::allocate(bytes)), bytes, 0});
  }

  std::vector<block> blocks_;
  std::size_t current_ = 0, used_ = 0, peak_ = 0;
};

/// Uninitialised working space of `count` values, 64-byte aligned, given back at the end of the scope.
template <class T>
class scratch_buffer {
  static_assert(std::is_trivially_copyable_v<T>, "scratch memory is uninitialised: only plain values may live in it");

 public:
  scratch_buffer(scratch_arena& arena, index_t count) : arena_(&arena), mark_(arena.position()), size_(count) {
    data_ = count > 0 ? static_cast<T*>(arena.take(static_cast<std::size_t>(count) * sizeof(T))) : nullptr;
  }
  scratch_buffer(const scratch_buffer&) = delete;
  scratch_buffer& operator=(const scratch_buffer&) = delete;
  ~scratch_buffer() { arena_->give_back(mark_); }

  T* data() const { return data_; }
  index_t size() const { return size_; }
  T& operator[](index_t at) const { return data_[at]; }

 private:
  scratch_arena* arena_;
  scratch_arena::mark mark_;
  T* data_ = nullptr;
  index_t size_ = 0;
};

}  // namespace fathom::cpu_kernels
