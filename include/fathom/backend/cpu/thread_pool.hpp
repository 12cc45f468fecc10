// SPDX-License-Identifier: Apache-2.0
// The one thread pool of the CPU backend: dynamic scheduling of numbered tasks, and scratch memory for each worker.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <fathom/backend/cpu/scratch.hpp>
#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace fathom::cpu_kernels {

namespace detail {
inline void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield" ::: "memory");
#endif
}
}  // namespace detail

/// `threads` workers, the calling thread being worker 0. A task may run on any worker and in any order: kernels must
/// write to places that depend on the task number alone, which makes results independent of the number of threads.
/// One caller at a time; calls from several threads queue up. A call from inside a task runs serially on its worker.
class thread_pool {
 public:
  explicit thread_pool(int threads) {
    if (threads < 1)
      throw error(fathom::detail::concat("thread_pool: the number of threads must be at least 1, got ", threads,
                                         ": pass std::thread::hardware_concurrency() for all of the machine"));
    scratch_.reserve(static_cast<std::size_t>(threads));
    for (int worker = 0; worker < threads; ++worker) scratch_.push_back(std::make_unique<scratch_arena>());
    workers_.reserve(static_cast<std::size_t>(threads - 1));
    try {
      for (int worker = 1; worker < threads; ++worker) workers_.emplace_back([this, worker] { serve(worker); });
    } catch (const std::system_error& reason) {
      const std::size_t started = workers_.size() + 1;
      stop();
      throw resource_error(fathom::detail::concat("thread_pool: the system refused thread ", started + 1, " of ",
                                                  threads, " (", reason.what(), "): ask for fewer threads"));
    }
  }
  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;
  ~thread_pool() { stop(); }

  /// Number of workers, the caller included.
  int size() const { return static_cast<int>(scratch_.size()); }

  /// Runs f(task, worker) for task = 0 .. tasks-1, worker in [0, size()). Returns when all have run. An exception
  /// stops the remaining tasks and is thrown here (that of the lowest task number when there are several).
  template <class F>
  void parallel_for(index_t tasks, F&& f) {
    if (tasks <= 0) return;
    if (inside_ == this) {
      for (index_t task = 0; task < tasks; ++task) f(task, worker_);
      return;
    }
    const std::lock_guard<std::mutex> one_caller(caller_mutex_);
    const place here(this, 0);
    if (tasks == 1 || workers_.empty()) {
      for (index_t task = 0; task < tasks; ++task) f(task, 0);
      return;
    }
    prepare_scratch();
    using Function = std::remove_reference_t<F>;
    call_ = [](void* function, index_t task, int worker) { (*static_cast<Function*>(function))(task, worker); };
    function_ = const_cast<void*>(static_cast<const void*>(std::addressof(f)));
    tasks_ = tasks;
    failure_ = nullptr;
    failed_task_ = tasks;
    next_.store(0, std::memory_order_relaxed);
    open();
    run_tasks(0);
    close();
    note_scratch();
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

  /// Working space of one worker; only that worker's task (or, outside of tasks, the caller for worker 0) may use it.
  template <class T>
  scratch_buffer<T> scratch(int worker, index_t count) {
    return scratch_buffer<T>(*scratch_[static_cast<std::size_t>(worker)], count);
  }
  /// The worker that runs the current code: to be used by kernels that are called both inside and outside of tasks.
  int current_worker() const { return inside_ == this ? worker_ : 0; }
  /// Bytes of scratch memory held by all workers.
  std::size_t scratch_capacity() const {
    std::size_t bytes = 0;
    for (const auto& each : scratch_) bytes += each->capacity();
    return bytes;
  }
  /// Gives the scratch memory back to the system; no task may be running and no buffer alive.
  void release_scratch() {
    const std::lock_guard<std::mutex> one_caller(caller_mutex_);
    for (auto& each : scratch_)
      if (each->empty()) each->clear();
    widest_task_ = widest_caller_ = 0;
  }

 private:
  // state_ = job number (upper bits) | open flag | workers inside the job. A worker may enter only while the flag is
  // up, and the caller leaves only when the flag is down and nobody is inside: a worker that wakes late does nothing,
  // and the caller never waits for one that sleeps.
  static constexpr std::uint64_t open_flag = std::uint64_t(1) << 16;
  static constexpr std::uint64_t inside_mask = open_flag - 1;
  static constexpr std::uint64_t job_step = open_flag << 1;
  static constexpr int spins = 2000;

  // Marks the thread as being inside a task of this pool, and restores what was there.
  struct place {
    place(const thread_pool* pool, int worker) : pool_before(inside_), worker_before(worker_) {
      inside_ = pool;
      worker_ = worker;
    }
    ~place() {
      inside_ = pool_before;
      worker_ = worker_before;
    }
    const thread_pool* pool_before;
    int worker_before;
  };

  // Any worker may get any task the next time: all arenas grow to what one task has needed, the caller's to that beside
  // what it held itself. Called while no worker is inside a job.
  void prepare_scratch() {
    scratch_[0]->reserve(widest_caller_);
    for (std::size_t worker = 1; worker < scratch_.size(); ++worker) scratch_[worker]->reserve(widest_task_);
    for (auto& each : scratch_) each->reset_peak();
  }
  void note_scratch() {
    std::size_t task = scratch_[0]->peak() - scratch_[0]->used();
    for (std::size_t worker = 1; worker < scratch_.size(); ++worker) task = std::max(task, scratch_[worker]->peak());
    widest_task_ = std::max(widest_task_, task);
    widest_caller_ = std::max(widest_caller_, scratch_[0]->used() + task);
  }

  void open() {
    state_.store((state_.load(std::memory_order_relaxed) & ~inside_mask) + job_step + open_flag);
    if (sleeping_.load() > 0) {
      { const std::lock_guard<std::mutex> order(sleep_mutex_); }
      wake_.notify_all();
    }
  }
  void close() {
    state_.fetch_sub(open_flag);
    for (int spin = 0; spin < spins; ++spin) {
      if ((state_.load(std::memory_order_acquire) & inside_mask) == 0) return;
      detail::pause_briefly();
    }
    std::unique_lock<std::mutex> lock(sleep_mutex_);
    caller_sleeps_.store(true);
    done_.wait(lock, [this] { return (state_.load() & inside_mask) == 0; });
    caller_sleeps_.store(false);
  }
  void run_tasks(int worker) {
    for (index_t task; (task = next_.fetch_add(1, std::memory_order_relaxed)) < tasks_;) {
      try {
        call_(function_, task, worker);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(failure_mutex_);
        if (task < failed_task_) {
          failed_task_ = task;
          failure_ = std::current_exception();
        }
        next_.store(tasks_, std::memory_order_relaxed);
      }
    }
  }
  bool joinable(std::uint64_t state, std::uint64_t last_job) const {
    return (state & open_flag) != 0 && state / job_step != last_job;
  }
  void serve(int worker) {
    const place here(this, worker);
    std::uint64_t last_job = 0;
    for (;;) {
      std::uint64_t state = state_.load(std::memory_order_acquire);
      for (int spin = 0; spin < spins && !joinable(state, last_job) && !stopping_.load(); ++spin) {
        detail::pause_briefly();
        state = state_.load(std::memory_order_acquire);
      }
      if (!joinable(state, last_job)) {
        std::unique_lock<std::mutex> lock(sleep_mutex_);
        sleeping_.fetch_add(1);
        wake_.wait(lock, [&] { return stopping_.load() || joinable(state_.load(), last_job); });
        sleeping_.fetch_sub(1);
        if (stopping_.load()) return;
        continue;
      }
      if (!state_.compare_exchange_strong(state, state + 1, std::memory_order_acquire)) continue;
      last_job = state / job_step;
      run_tasks(worker);
      if ((state_.fetch_sub(1) & (open_flag | inside_mask)) == 1 && caller_sleeps_.load()) {
        { const std::lock_guard<std::mutex> order(sleep_mutex_); }
        done_.notify_one();
      }
    }
  }
  void stop() {
    {
      const std::lock_guard<std::mutex> lock(sleep_mutex_);
      stopping_.store(true);
    }
    wake_.notify_all();
    for (std::thread& each : workers_) each.join();
    workers_.clear();
  }

  inline static thread_local const thread_pool* inside_ = nullptr;
  inline static thread_local int worker_ = 0;

  alignas(64) std::atomic<std::uint64_t> state_{0};
  alignas(64) std::atomic<index_t> next_{0};
  alignas(64) std::atomic<int> sleeping_{0};
  std::atomic<bool> caller_sleeps_{false};
  std::atomic<bool> stopping_{false};
  void (*call_)(void*, index_t, int) = nullptr;
  void* function_ = nullptr;
  index_t tasks_ = 0;
  index_t failed_task_ = 0;
  std::exception_ptr failure_;
  std::mutex caller_mutex_, sleep_mutex_, failure_mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::unique_ptr<scratch_arena>> scratch_;
  std::size_t widest_task_ = 0, widest_caller_ = 0;  // bytes of scratch
  std::vector<std::thread> workers_;
};

}  // namespace fathom::cpu_kernels
