// SPDX-License-Identifier: Apache-2.0
// Samples made ahead of time on background threads, handed out in order.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <fathom/train/sample.hpp>

namespace fathom::train {

/// Sample number n of a stream, made by `make(n)`. What comes out does not depend on the number of threads.
///
///     loader samples([&](std::uint64_t n) { return make_sample(chains[draw(n).chain], draw(n)); }, 0);
///     const auto first = samples.next();
template <class Make>
class loader {
 public:
  /// Starts at sample `first`; at most `ahead` samples wait.
  explicit loader(Make make, std::uint64_t first = 0, int threads = 1, std::uint64_t ahead = 32)
      : make_(std::move(make)), next_made_(first), next_out_(first), ahead_(ahead) {
    for (int k = 0; k < threads; ++k) threads_.emplace_back([this] { work(); });
  }
  loader(const loader&) = delete;
  loader& operator=(const loader&) = delete;
  ~loader() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  /// Waits for the next sample. Throws what making it threw.
  sample next() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return ready_.count(next_out_) != 0; });
    auto found = ready_.extract(next_out_++);
    lock.unlock();
    changed_.notify_all();
    if (found.mapped().second) std::rethrow_exception(found.mapped().second);
    return std::move(found.mapped().first);
  }
  std::vector<sample> next(index_t count) {
    std::vector<sample> batch;
    for (index_t k = 0; k < count; ++k) batch.push_back(next());
    return batch;
  }

 private:
  void work() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return stop_ || next_made_ < next_out_ + ahead_; });
      if (stop_) return;
      const std::uint64_t n = next_made_++;
      lock.unlock();
      std::pair<sample, std::exception_ptr> made;
      try {
        made.first = make_(n);
      } catch (...) {
        made.second = std::current_exception();
      }
      lock.lock();
      ready_.emplace(n, std::move(made));
      changed_.notify_all();
    }
  }

  Make make_;
  std::uint64_t next_made_, next_out_, ahead_;
  bool stop_ = false;
  std::map<std::uint64_t, std::pair<sample, std::exception_ptr>> ready_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::thread> threads_;
};

}  // namespace fathom::train
