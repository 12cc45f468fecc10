// SPDX-License-Identifier: Apache-2.0
// CUDA's execution model on the CPU, for tests of kernels where there is no GPU: every thread of a block is a fibre
// that runs until it waits for others. Include before any header of fathom/cuda/kernels.
//
// What it shows: results, barriers that some threads miss, warps whose lanes call different things, shared memory used
// before it is written (it starts as NaN) or out of its range, and with AddressSanitizer every access outside of a
// buffer. A missing barrier shows as a result that depends on the order in which threads run: run twice, with
// order::ascending and order::descending. What it does not show: speed, occupancy, memory ordering inside a warp.
#pragma once

#include <ucontext.h>

#include <cstdint>
#include <cstring>
#include <exception>
#include <limits>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define FATHOM_EMULATOR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FATHOM_EMULATOR_ASAN 1
#endif
#endif
#if defined(FATHOM_EMULATOR_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif

#define FATHOM_CUDA_EMULATED 1
#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)

namespace fathom::emulator {

/// A kernel broke a rule of CUDA; what() says which thread did what.
struct fault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};

/// Who runs first between two barriers.
enum class order { ascending, descending };

template <class... Part>
[[noreturn]] void complain(const Part&... part) {
  std::ostringstream text;
  (text << ... << part);
  throw fault(text.str());
}

inline constexpr unsigned warp_size = 32;

/// One block at a time on one host thread; the stacks are kept for the next block.
class machine {
 public:
  static machine& here() {
    static thread_local machine one;
    return one;
  }

  template <class Body>
  void run(dim3 grid, dim3 block, std::size_t shared_bytes, order who, const Body& body) {
    const unsigned threads = block.x * block.y * block.z;
    if (threads == 0 || threads % warp_size != 0 || threads > 1024)
      complain("a block has ", threads, " threads; expected full warps, 1024 threads at most");
    grid_ = grid;
    block_ = block;
    order_ = who;
    shared_.resize((shared_bytes + sizeof(long double) - 1) / sizeof(long double) + 1);
    shared_bytes_ = shared_bytes;
    call_ = [](const void* it) { (*static_cast<const Body*>(it))(); };
    body_ = &body;
    for (block_at_.z = 0; block_at_.z < grid.z; ++block_at_.z)
      for (block_at_.y = 0; block_at_.y < grid.y; ++block_at_.y)
        for (block_at_.x = 0; block_at_.x < grid.x; ++block_at_.x) run_block(threads);
  }

  const dim3& grid() const { return grid_; }
  const dim3& block() const { return block_; }
  const dim3& block_at() const { return block_at_; }
  dim3 thread_at() const {
    return {running_ % block_.x, running_ / block_.x % block_.y, running_ / (block_.x * block_.y)};
  }
  unsigned lane() const { return running_ % warp_size; }
  unsigned char* shared() { return reinterpret_cast<unsigned char*>(shared_.data()); }
  std::size_t shared_bytes() const { return shared_bytes_; }

  /// "thread 3 of block 7"
  std::string who() const { return who(running_); }

  void block_barrier() { wait_at("__syncthreads", all_threads_); }

  /// All lanes of the warp come here with the same `name`; the last one runs combine(in, out) for all of them, where
  /// in[lane] and out[lane] point to what each of them passed.
  template <class In, class Out, class Combine>
  void warp_collective(const char* name, const In& in, Out& out, const Combine& combine) {
    meeting& warp = warps_[running_ / warp_size];
    warp.in[lane()] = &in;
    warp.out[lane()] = &out;
    if (warp.arrived + 1 == warp_size && std::strcmp(warp.name, name) == 0) combine(warp.in, warp.out);
    wait_at(name, warp);
  }

 private:
  struct meeting {
    unsigned expected = 0, arrived = 0, passed = 0;
    const char* name = nullptr;
    const void* in[warp_size] = {};
    void* out[warp_size] = {};
  };
  enum class state { ready, waiting, done };
  struct fibre {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    state now = state::ready;
    const char* at = "";
    const meeting* with = nullptr;
#if defined(FATHOM_EMULATOR_ASAN)
    void* fake = nullptr;
#endif
  };
  static constexpr std::size_t stack_bytes = std::size_t(256) << 10;

  std::string who(unsigned thread) const {
    std::ostringstream text;
    text << "thread " << thread << " of block " << block_at_.x;
    if (grid_.y > 1 || grid_.z > 1) text << ", " << block_at_.y << ", " << block_at_.z;
    return text.str();
  }

  void run_block(unsigned threads) {
    // Bytes of all ones are a NaN in every floating-point type.
    std::memset(shared_.data(), 0xFF, shared_.size() * sizeof(long double));
    while (fibres_.size() < threads) {
      fibres_.push_back(std::make_unique<fibre>());
      fibres_.back()->stack.reset(new char[stack_bytes]);
    }
    count_ = threads;
    all_threads_ = {};
    all_threads_.expected = threads;
    warps_.assign(threads / warp_size, meeting{});
    for (auto& warp : warps_) warp.expected = warp_size;
    problem_ = nullptr;
    for (unsigned t = 0; t < threads; ++t) {
      fibre& f = *fibres_[t];
      f.now = state::ready;
      getcontext(&f.context);
      f.context.uc_stack.ss_sp = f.stack.get();
      f.context.uc_stack.ss_size = stack_bytes;
      f.context.uc_link = &scheduler_;
      makecontext(&f.context, &machine::enter, 0);
    }
    unsigned done = 0;
    while (done < threads) {
      bool moved = false;
      for (unsigned n = 0; n < threads; ++n) {
        running_ = order_ == order::ascending ? n : threads - 1 - n;
        fibre& f = *fibres_[running_];
        if (f.now != state::ready) continue;
        moved = true;
        to_fibre(f);
        if (problem_) std::rethrow_exception(problem_);
        if (f.now == state::done) ++done;
      }
      if (!moved) stuck(done);
    }
  }

  static void enter() {
    machine& m = here();
#if defined(FATHOM_EMULATOR_ASAN)
    __sanitizer_finish_switch_fiber(nullptr, &m.scheduler_stack_, &m.scheduler_size_);
#endif
    try {
      m.call_(m.body_);
    } catch (...) {
      m.problem_ = std::current_exception();
    }
    m.fibres_[m.running_]->now = state::done;
#if defined(FATHOM_EMULATOR_ASAN)
    __sanitizer_start_switch_fiber(nullptr, m.scheduler_stack_, m.scheduler_size_);
#endif
  }
  void to_fibre(fibre& f) {
#if defined(FATHOM_EMULATOR_ASAN)
    __sanitizer_start_switch_fiber(&scheduler_fake_, f.stack.get(), stack_bytes);
#endif
    swapcontext(&scheduler_, &f.context);
#if defined(FATHOM_EMULATOR_ASAN)
    __sanitizer_finish_switch_fiber(scheduler_fake_, nullptr, nullptr);
#endif
  }
  void to_scheduler(fibre& f) {
#if defined(FATHOM_EMULATOR_ASAN)
    f.fake = nullptr;
    __sanitizer_start_switch_fiber(&f.fake, scheduler_stack_, scheduler_size_);
#endif
    swapcontext(&f.context, &scheduler_);
#if defined(FATHOM_EMULATOR_ASAN)
    __sanitizer_finish_switch_fiber(f.fake, &scheduler_stack_, &scheduler_size_);
#endif
  }

  // Suspends the running fibre until everybody who is expected has come.
  void wait_at(const char* name, meeting& with) {
    fibre& mine = *fibres_[running_];
    if (with.arrived > 0 && std::strcmp(with.name, name) != 0)
      complain(who(), " calls ", name, " while other lanes of its warp wait at ", with.name,
               "; all lanes must take the same way");
    with.name = name;
    mine.at = name;
    mine.with = &with;
    if (++with.arrived < with.expected) {
      mine.now = state::waiting;
      to_scheduler(mine);
      return;
    }
    with.arrived = 0;
    ++with.passed;
    for (unsigned t = 0; t < count_; ++t)
      if (fibres_[t]->now == state::waiting && fibres_[t]->with == &with) fibres_[t]->now = state::ready;
  }

  [[noreturn]] void stuck(unsigned done) const {
    unsigned waiting = 0, first = count_, left = count_;
    for (unsigned t = 0; t < count_; ++t) {
      if (fibres_[t]->now == state::done) {
        if (left == count_) left = t;
      } else {
        if (first == count_) first = t;
        ++waiting;
      }
    }
    const fibre& f = *fibres_[first];
    std::ostringstream others;
    if (done > 0)
      others << who(left) << " has left the kernel"
             << (done > 1 ? " with " + std::to_string(done - 1) + " others" : "");
    else
      others << "the others wait elsewhere";
    complain(waiting, " threads wait for ever, the first of them ", who(first), " at ", f.at, " number ",
             f.with->passed + 1, "; ", others.str());
  }

  dim3 grid_, block_, block_at_;
  order order_ = order::ascending;
  std::vector<long double> shared_;
  std::size_t shared_bytes_ = 0;
  std::vector<std::unique_ptr<fibre>> fibres_;
  std::vector<meeting> warps_;
  meeting all_threads_;
  unsigned count_ = 0, running_ = 0;
  ucontext_t scheduler_;
#if defined(FATHOM_EMULATOR_ASAN)
  const void* scheduler_stack_ = nullptr;
  std::size_t scheduler_size_ = 0;
  void* scheduler_fake_ = nullptr;
#endif
  std::exception_ptr problem_;
  void (*call_)(const void*) = nullptr;
  const void* body_ = nullptr;
};

/// body() once for each thread of each block.
template <class Body>
void run(dim3 grid, dim3 block, std::size_t shared_bytes, const Body& body, order who = order::ascending) {
  machine::here().run(grid, block, shared_bytes, who, body);
}

/// What all lanes of a warp get from what each of them has.
template <class T, class Source>
T exchange(const char* name, T mine, Source source) {
  T result{};
  machine::here().warp_collective(name, mine, result, [&](const void* const* in, void* const* out) {
    for (unsigned lane = 0; lane < warp_size; ++lane) {
      const unsigned from = source(lane);
      *static_cast<T*>(out[lane]) = *static_cast<const T*>(in[from < warp_size ? from : lane]);
    }
  });
  return result;
}
inline void expect_full_warp(const char* name, unsigned mask) {
  if (mask != 0xFFFFFFFFu) complain(name, " is emulated for full warps only; its mask was ", mask);
}

}  // namespace fathom::emulator

// CUDA's own names, read where the running fibre is.
#define threadIdx (::fathom::emulator::machine::here().thread_at())
#define blockIdx (::fathom::emulator::machine::here().block_at())
#define blockDim (::fathom::emulator::machine::here().block())
#define gridDim (::fathom::emulator::machine::here().grid())

inline void __syncthreads() { fathom::emulator::machine::here().block_barrier(); }
inline void __syncwarp(unsigned mask = 0xFFFFFFFFu) {
  fathom::emulator::expect_full_warp("__syncwarp", mask);
  fathom::emulator::exchange("__syncwarp", 0, [](unsigned lane) { return lane; });
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int with) {
  fathom::emulator::expect_full_warp("__shfl_xor_sync", mask);
  return fathom::emulator::exchange("__shfl_xor_sync", value,
                                    [with](unsigned lane) { return lane ^ static_cast<unsigned>(with); });
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by) {
  fathom::emulator::expect_full_warp("__shfl_down_sync", mask);
  return fathom::emulator::exchange("__shfl_down_sync", value, [by](unsigned lane) { return lane + by; });
}
template <class T>
T __shfl_sync(unsigned mask, T value, int from) {
  fathom::emulator::expect_full_warp("__shfl_sync", mask);
  return fathom::emulator::exchange("__shfl_sync", value,
                                    [from](unsigned) { return static_cast<unsigned>(from) % 32; });
}
template <class T>
T atomicAdd(T* to, T value) {
  const T before = *to;
  *to += value;
  return before;
}
