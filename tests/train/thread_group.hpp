// SPDX-License-Identifier: Apache-2.0
// A process_group whose processes are threads of this one.
#pragma once

#include <condition_variable>
#include <cstring>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <fathom/train/process_group.hpp>

/// What the threads share: they take turns in the order of ranks, then all go on.
class turns {
 public:
  explicit turns(int size) : size_(size) {}
  int size() const { return size_; }

  /// act(held) of every rank, one after the other; `held` is what the rank before left. Then see(held) of all.
  template <class Act, class See>
  void take(int rank, const Act& act, const See& see) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return next_ == rank; });
    act(held_);
    ++next_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return next_ >= size_; });
    see(held_);
    // Nobody begins anew before all have seen.
    if (++next_ == 2 * size_) {
      next_ = 0;
      ++round_;
      changed_.notify_all();
    } else {
      changed_.wait(lock, [&, round = round_] { return round_ != round; });
    }
  }

 private:
  int size_, next_ = 0;
  unsigned round_ = 0;
  std::vector<char> held_;
  std::mutex mutex_;
  std::condition_variable changed_;
};

class thread_group final : public fathom::train::process_group {
 public:
  thread_group(turns& shared, int rank) : shared_(shared), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return shared_.size(); }
  int neighbours() const override { return shared_.size(); }
  bool any(bool here) override {
    bool all = false;
    shared_.take(
        rank_,
        [&](std::vector<char>& held) {
          if (rank_ == 0) held.assign(1, 0);
          if (here) held[0] = 1;
        },
        [&](const std::vector<char>& held) { all = held[0] != 0; });
    return all;
  }

 protected:
  void relay(void* data, std::size_t bytes, const std::function<void(std::size_t, std::size_t)>& add) override {
    auto* const values = static_cast<char*>(data);
    // In two pieces, as long vectors travel.
    const std::size_t middle = bytes / 16 * 8;
    for (const auto& [first, last] : {std::pair{std::size_t(0), middle}, {middle, bytes}}) {
      const std::size_t from = first, n = last - first;
      shared_.take(
          rank_,
          [&](std::vector<char>& held) {
            if (rank_ > 0 && n > 0) std::memcpy(values + from, held.data(), n);
            add(from, from + n);
            held.assign(values + from, values + from + n);
          },
          [&](const std::vector<char>& held) {
            if (n > 0) std::memcpy(values + from, held.data(), n);
          });
    }
  }

 private:
  turns& shared_;
  int rank_;
};

/// run(group) on a thread for each of `size` processes; the first exception comes out.
template <class Run>
void on_threads(int size, const Run& run) {
  turns shared(size);
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      thread_group group(shared, rank);
      try {
        run(group);
      } catch (...) {
        failures[static_cast<std::size_t>(rank)] = std::current_exception();
      }
    });
  for (auto& t : threads) t.join();
  for (const auto& f : failures)
    if (f) std::rethrow_exception(f);
}
