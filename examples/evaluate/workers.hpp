// SPDX-License-Identifier: Apache-2.0
// A loop over several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

inline std::size_t worker_count(int threads) {
  return threads > 0 ? static_cast<std::size_t>(threads)
                     : std::max<std::size_t>(1, std::thread::hardware_concurrency());
}

/// body(k, worker) for k = 0 .. count - 1, in any order, on `workers` threads. The first exception stops all and comes
/// out.
template <class Body>
void for_each_on_workers(std::size_t workers, std::size_t count, const Body& body) {
  std::atomic<std::size_t> next{0};
  std::exception_ptr failure;
  std::mutex mutex;
  const auto work = [&](std::size_t worker) {
    try {
      for (std::size_t k; (k = next.fetch_add(1)) < count;) body(k, worker);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(mutex);
      if (!failure) failure = std::current_exception();
      next = count;
    }
  };
  std::vector<std::thread> threads;
  for (std::size_t w = 1; w < workers && w < count; ++w) threads.emplace_back(work, w);
  work(0);
  for (auto& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
}
