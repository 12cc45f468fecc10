// SPDX-License-Identifier: Apache-2.0
// What the CUDA backend does on the host alone: its account of memory, and training in several processes over a link.
#include <doctest/doctest.h>

#include <condition_variable>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fathom/autodiff/chunked.hpp>
#include <fathom/backend/reference.hpp>

#include "../../cuda/include/fathom/cuda/linked_group.hpp"
#include "../../cuda/include/fathom/cuda/memory_account.hpp"

using namespace fathom;

TEST_CASE("cuda: a limit on memory is kept, and chunks follow it") {
  cuda::memory_account account;
  CHECK(account.allows(std::size_t(1) << 50));
  CHECK(account.chunk_bytes() == std::size_t(512) << 20);
  account.limit = std::size_t(1) << 30;
  CHECK(account.chunk_bytes() == std::size_t(64) << 20);
  account.used = (std::size_t(1) << 30) - 100;
  CHECK(account.allows(100));
  CHECK_FALSE(account.allows(101));
  CHECK_FALSE(account.allows(static_cast<std::size_t>(-1)));
  account.limit = 1000;
  CHECK_FALSE(account.allows(1));
  CHECK(account.chunk_bytes() == std::size_t(64) << 10);
}

namespace {

/// Like the CPU's oracle, but with chunks of its own length.
struct wide_backend : reference<double> {
  index_t chunk_of(index_t rows) const { return 3 * rows; }
};
struct count_calls {
  int* calls;
  template <class S, class X>
  auto operator()(const S&, const X& x) const {
    ++*calls;
    return x * 0.5;
  }
};
template <class B>
int chunks_of_two(index_t rows) {
  int calls = 0;
  const auto y = chunked(count_calls{&calls}, std::tuple(), 2, full<2>(B{}, {rows, 3}, 4.0));
  CHECK(to_host(y).data == std::vector<double>(static_cast<std::size_t>(3 * rows), 2.0));
  return calls;
}

}  // namespace

TEST_CASE("cuda: a backend's own chunks, all equally long") {
  CHECK(chunks_of_two<reference<double>>(20) == 10);
  CHECK(chunks_of_two<wide_backend>(20) == 4);  // of 5 rows, not of 6, 6, 6 and 2
  CHECK(chunks_of_two<wide_backend>(5) == 1);
}

TEST_CASE("cuda: a refusal says what was asked, what is in use and what would help") {
  cuda::memory_account account;
  account.used = 5000;
  account.limit = 6000;
  const std::string limited = account.refusal(2000, 3);
  CHECK(limited.find("allocating 2000 bytes on device 3: 5000 bytes are in use and limit_memory allows 6000") == 0);
  CHECK(limited.find("up to 65536 bytes at a time") != std::string::npos);
  account.limit = 0;
  account.device_free = 1000;
  account.device_total = 8000;
  const std::string full = account.refusal(2000, 0);
  CHECK(full.find("the device has 1000 free of 8000") != std::string::npos);
  CHECK(full.find("context()->limit_memory(1500) makes that 93") != std::string::npos);
}

TEST_CASE("cuda: a recording frees its own buffers only, and the others when it is complete") {
  cuda::capture_account account;
  int before = 0, own = 0, kept = 0;
  CHECK(account.frees_now(&before));
  account.begin();
  account.made(&own);
  account.made(&kept);
  CHECK(account.frees_now(&own));
  CHECK_FALSE(account.frees_now(&before));
  CHECK(account.end() == 1);
  CHECK(account.deferred() == std::vector<void*>{&before});
  CHECK_FALSE(account.frees_now(&kept));  // it was never there
  CHECK(account.frees_now(&kept));        // another buffer at the same address is
  account.begin();
  CHECK(account.end() == 0);
  CHECK(account.deferred().empty());
}

namespace {

/// Mailboxes between threads that stand for processes.
struct post_office {
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::pair<int, int>, std::vector<std::string>> mail;  ///< of (from, to)

  void put(int from, int to, std::string text) {
    const std::lock_guard<std::mutex> lock(mutex);
    mail[{from, to}].push_back(std::move(text));
    changed.notify_all();
  }
  std::string take(int from, int to) {
    std::unique_lock<std::mutex> lock(mutex);
    auto& box = mail[{from, to}];
    changed.wait(lock, [&] { return !box.empty(); });
    std::string text = std::move(box.front());
    box.erase(box.begin());
    return text;
  }
};

class thread_link {
 public:
  thread_link(post_office& office, int rank, int size) : office_(&office), rank_(rank), size_(size) {}
  int rank() const { return rank_; }
  int size() const { return size_; }
  int neighbours() const { return size_; }
  void send(const void* data, std::size_t bytes, int to) {
    office_->put(rank_, to, std::string(static_cast<const char*>(data), bytes));
  }
  void receive(void* data, std::size_t bytes, int from) {
    const std::string text = office_->take(from, rank_);
    REQUIRE(text.size() == bytes);
    std::memcpy(data, text.data(), bytes);
  }
  void broadcast(void* data, std::size_t bytes, int from) {
    for (int to = 0; rank_ == from && to < size_; ++to)
      if (to != from) send(data, bytes, to);
    if (rank_ != from) receive(data, bytes, from);
  }
  bool any(bool here) {
    for (int to = 0; to < size_; ++to) send(&here, 1, to);
    bool all = false;
    for (int from = 0; from < size_; ++from) {
      bool there = false;
      receive(&there, 1, from);
      all = all || there;
    }
    return all;
  }

 private:
  post_office* office_;
  int rank_, size_;
};

}  // namespace

TEST_CASE("cuda: a linked group sums in the order of ranks, with the bits of one process") {
  // More than one piece of 1 MB, and an odd end.
  constexpr std::size_t n = 300001;
  constexpr int size = 3;
  const auto share = [](int rank, std::size_t i) {
    return 1.0f / static_cast<float>(i + 1) + 1e-3f * static_cast<float>(rank * 7 + 1);
  };
  std::vector<float> expected(n, 0.0f);
  for (int rank = 0; rank < size; ++rank)
    for (std::size_t i = 0; i < n; ++i) expected[i] += share(rank, i);

  post_office office;
  std::vector<std::vector<float>> sums(size, std::vector<float>(n, 0.0f));
  std::vector<std::pair<bool, bool>> agreed(size);
  std::vector<std::thread> processes;
  for (int rank = 0; rank < size; ++rank)
    processes.emplace_back([&, rank] {
      cuda::linked_group group{thread_link(office, rank, size)};
      train::process_group& seen = group;
      const auto own = static_cast<std::size_t>(rank);
      agreed[own] = {seen.any(seen.rank() == 1), seen.any(false)};
      seen.sum_in_order(sums[own], [&](std::size_t first, std::size_t last) {
        for (std::size_t i = first; i < last; ++i) sums[own][i] += share(rank, i);
      });
    });
  for (auto& one : processes) one.join();
  for (int rank = 0; rank < size; ++rank) {
    CAPTURE(rank);
    const auto own = static_cast<std::size_t>(rank);
    CHECK(agreed[own] == std::pair(true, false));
    CHECK(std::memcmp(sums[own].data(), expected.data(), n * sizeof(float)) == 0);
  }
}
