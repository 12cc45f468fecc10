// SPDX-License-Identifier: Apache-2.0
// Thread pool, scratch arena and byte counter of the CPU backend.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <fathom/backend/cpu/thread_pool.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using fathom::index_t;
using fathom::memory_counter;
using fathom::cpu_kernels::scratch_arena;
using fathom::cpu_kernels::scratch_buffer;
using fathom::cpu_kernels::thread_pool;

TEST_CASE("backend: parallel_for runs every task once, on valid workers, for any number of threads") {
  for (const int threads : {1, 2, 3, 4, 7}) {
    thread_pool pool(threads);
    CHECK(pool.size() == threads);
    for (const index_t tasks : {0, 1, 2, 5, 64, 1000}) {
      std::vector<int> runs(static_cast<std::size_t>(tasks), 0);
      std::atomic<bool> bad_worker{false};
      pool.parallel_for(tasks, [&](index_t task, int worker) {
        ++runs[static_cast<std::size_t>(task)];
        if (worker < 0 || worker >= threads || worker != pool.current_worker()) bad_worker = true;
      });
      CHECK_FALSE(bad_worker.load());
      for (const int count : runs) CHECK(count == 1);
    }
  }
}

TEST_CASE("backend: many short jobs in a row, with pauses that let the workers fall asleep") {
  thread_pool pool(4);
  std::vector<long> sums(16, 0);
  for (int job = 0; job < 3000; ++job) {
    pool.parallel_for(16, [&](index_t task, int) { sums[static_cast<std::size_t>(task)] += job; });
    if (job % 500 == 499) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  for (const long sum : sums) CHECK(sum == 3000L * 2999 / 2);
}

TEST_CASE("backend: idle workers use no processor time") {
  thread_pool pool(4);
  pool.parallel_for(64, [](index_t, int) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const double used = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  CHECK(used < 0.1);
}

TEST_CASE("backend: tasks really run on several threads") {
  thread_pool pool(2);
  std::atomic<int> arrived{0};
  // Each task waits for the other one: a serial pool would hit the deadline.
  std::atomic<bool> late{false};
  pool.parallel_for(2, [&](index_t, int) {
    ++arrived;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (arrived.load() < 2 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    if (arrived.load() < 2) late = true;
  });
  CHECK_FALSE(late.load());
}

TEST_CASE("backend: a nested parallel_for runs serially on its worker") {
  thread_pool pool(3);
  std::vector<int> count(6 * 10, 0);
  std::atomic<bool> moved{false};
  pool.parallel_for(6, [&](index_t outer, int outer_worker) {
    const auto thread = std::this_thread::get_id();
    pool.parallel_for(10, [&](index_t inner, int inner_worker) {
      if (inner_worker != outer_worker || thread != std::this_thread::get_id()) moved = true;
      ++count[static_cast<std::size_t>(outer * 10 + inner)];
    });
  });
  CHECK_FALSE(moved.load());
  for (const int each : count) CHECK(each == 1);
}

TEST_CASE("backend: a pool inside a task of another pool works") {
  thread_pool outer(2), inner(2);
  std::atomic<int> count{0};
  outer.parallel_for(4, [&](index_t, int) { inner.parallel_for(5, [&](index_t, int) { ++count; }); });
  CHECK(count.load() == 20);
}

TEST_CASE("backend: an exception of a task reaches the caller and the pool stays usable") {
  for (const int threads : {1, 4}) {
    thread_pool pool(threads);
    for (int repeat = 0; repeat < 20; ++repeat) {
      std::string text;
      try {
        pool.parallel_for(50, [](index_t task, int) {
          if (task == 7) throw std::runtime_error("task seven");
        });
      } catch (const std::runtime_error& reason) {
        text = reason.what();
      }
      CHECK(text == "task seven");
      std::atomic<int> count{0};
      pool.parallel_for(50, [&](index_t, int) { ++count; });
      CHECK(count.load() == 50);
    }
  }
}

TEST_CASE("backend: a thread count below one is refused") {
  CHECK_THROWS_WITH_AS(thread_pool(0), doctest::Contains("at least 1, got 0"), fathom::error);
}

TEST_CASE("backend: callers from two threads queue up") {
  thread_pool pool(3);
  std::atomic<long> count{0};
  const auto work = [&] {
    for (int job = 0; job < 300; ++job) pool.parallel_for(8, [&](index_t, int) { ++count; });
  };
  std::thread other(work);
  work();
  other.join();
  CHECK(count.load() == 2L * 300 * 8);
}

TEST_CASE("backend: scratch is aligned, nests, grows without moving, and allocates nothing once warm") {
  const std::int64_t before = memory_counter::current();
  {
    thread_pool pool(2);
    const auto run = [&] {
      auto a = pool.scratch<float>(0, 1000);
      float* const a_data = a.data();
      a[999] = 3.f;
      for (int inner = 0; inner < 3; ++inner) {
        auto b = pool.scratch<double>(0, 40000 + inner * 30000);
        b[0] = 1;
        CHECK(reinterpret_cast<std::uintptr_t>(b.data()) % 64 == 0);
        CHECK((b.data() + b.size() <= reinterpret_cast<double*>(a.data()) ||
               reinterpret_cast<double*>(a.data() + a.size()) <= b.data()));
      }
      auto none = pool.scratch<float>(0, 0);
      CHECK(none.size() == 0);
      CHECK(a.data() == a_data);
      CHECK(a[999] == 3.f);
    };
    run();
    run();
    const std::int64_t allocations = memory_counter::allocations();
    for (int repeat = 0; repeat < 5; ++repeat) run();
    CHECK(memory_counter::allocations() == allocations);
    CHECK(memory_counter::current() - before >= static_cast<std::int64_t>(pool.scratch_capacity()));
    CHECK(pool.scratch_capacity() >= 100000 * sizeof(double));
    pool.release_scratch();
    CHECK(pool.scratch_capacity() == 0);
  }
  CHECK(memory_counter::current() == before);
}

TEST_CASE("backend: a scratch buffer is given back when its task throws") {
  thread_pool pool(1);
  CHECK_THROWS(pool.parallel_for(1, [&](index_t, int worker) {
    auto space = pool.scratch<float>(worker, 100);
    throw std::runtime_error("inside");
  }));
  float* first = nullptr;
  { first = pool.scratch<float>(0, 10).data(); }
  CHECK(pool.scratch<float>(0, 10).data() == first);
}

TEST_CASE("backend: the byte counter follows allocations and keeps the peak") {
  const std::int64_t start = memory_counter::current();
  memory_counter::reset_peak();
  void* const a = fathom::memory::allocate(1000);
  void* const b = fathom::memory::allocate(3000, 256);
  CHECK(reinterpret_cast<std::uintptr_t>(b) % 256 == 0);
  fathom::memory::deallocate(a, 1000);
  CHECK(memory_counter::current() - start == 3000);
  CHECK(memory_counter::peak() - start == 4000);
  fathom::memory::deallocate(b, 3000, 256);
  CHECK(memory_counter::current() == start);
  CHECK(fathom::memory::allocate(0) == nullptr);
  {
    std::vector<double, fathom::memory::counted_allocator<double>> values(100);
    CHECK(memory_counter::current() - start == 800);
  }
  CHECK_THROWS_AS(fathom::memory::allocate(static_cast<std::size_t>(1) << 60), fathom::resource_error);
}
