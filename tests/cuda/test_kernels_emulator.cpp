// SPDX-License-Identifier: Apache-2.0
// The emulator itself: kernels that are right give the right numbers, kernels that break CUDA's rules are named.
#include "emulator/cuda_on_cpu.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include <fathom/cuda/kernels/tile.cuh>

namespace {

using namespace fathom::cuda::kernels;
namespace emulator = fathom::emulator;
using emulator::order;

/// What goes wrong when one block of 64 threads runs.
template <class Body>
std::string fault_of(const Body& body, std::size_t shared_bytes = 0) {
  try {
    emulator::run({1}, {64}, shared_bytes, body);
  } catch (const emulator::fault& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("cuda: the emulator gives every thread its place in three dimensions") {
  std::vector<int> seen(2 * 3 * 2 * 64, 0);
  emulator::run({2, 3, 2}, {8, 4, 2}, 0, [&] {
    const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    ++seen[block * 64 + thread];
  });
  CHECK(seen == std::vector<int>(seen.size(), 1));
}

TEST_CASE("cuda: barriers, shuffles and atomics of the emulator") {
  for (const order who : {order::ascending, order::descending}) {
    std::vector<int> reversed(64), sums(64), below(64);
    int all = 0;
    emulator::run(
        {1}, {64}, 64 * sizeof(int),
        [&] {
          shared_memory memory;
          const auto numbers = memory.take<int>(64);
          const int me = thread_number();
          numbers[me] = me;
          __syncthreads();
          reversed[static_cast<std::size_t>(me)] = numbers[63 - me];
          sums[static_cast<std::size_t>(me)] = sum_over_lanes(me);
          below[static_cast<std::size_t>(me)] = __shfl_down_sync(full_warp, me, 1);
          __syncwarp();
          atomicAdd(&all, me);
        },
        who);
    for (int t = 0; t < 64; ++t) {
      CHECK(reversed[static_cast<std::size_t>(t)] == 63 - t);
      CHECK(sums[static_cast<std::size_t>(t)] == (t < 32 ? 31 * 16 : 31 * 16 + 32 * 32));
      CHECK(below[static_cast<std::size_t>(t)] == (t % 32 == 31 ? t : t + 1));
    }
    CHECK(all == 63 * 32);
  }
}

TEST_CASE("cuda: products of the emulated tensor cores, by rows and by columns") {
  // a 16 x 32 times b 16 x 32 transposed, and that times the first 16 columns of b.
  const auto left = [](int i, int k) { return static_cast<float>((i * 7 + k * 3) % 5 - 2); };
  const auto right = [](int j, int k) { return static_cast<float>((j * 5 + k) % 3 - 1); };
  std::vector<float> by_rows(16 * 16), by_columns(16 * 16);
  emulator::run({1}, {32}, 32 * 20 * 4 * 2, [&] {
    shared_memory memory;
    const auto a = memory.take<bf16_pair>(16 * 20), b = memory.take<bf16_pair>(16 * 20);
    for (int i = lane_number(); i < 16; i += 32)
      for (int k = 0; k < 32; k += 4) {
        bf16_math::put4(a, i, k, 20, {{left(i, k), left(i, k + 1), left(i, k + 2), left(i, k + 3)}});
        bf16_math::put4(b, i, k, 20, {{right(i, k), right(i, k + 1), right(i, k + 2), right(i, k + 3)}});
      }
    __syncwarp();
    float sum[2][4], product[2][4];
    clear(sum);
    clear(product);
    bf16_math::times_rows<32>(sum, a, 20, b, 20);
    bf16_math::times_columns(product, sum, a, b, 20);
    for (int n = 0; n < 2; ++n)
      for (int e = 0; e < 4; ++e) {
        const auto at = static_cast<std::size_t>(row_of(e) * 16 + column_of(n, e));
        by_rows[at] = sum[n][e];
        by_columns[at] = product[n][e];
      }
  });
  // Small whole numbers: bfloat16 holds them exactly, and the sums up to 64 that are multiplied again.
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 16; ++j) {
      float expected = 0, second = 0;
      for (int k = 0; k < 32; ++k) expected += left(i, k) * right(j, k);
      CHECK(by_rows[static_cast<std::size_t>(i * 16 + j)] == expected);
      for (int k = 0; k < 16; ++k) second += by_rows[static_cast<std::size_t>(i * 16 + k)] * right(k, j);
      CHECK(by_columns[static_cast<std::size_t>(i * 16 + j)] == second);
    }
  }
}

TEST_CASE("cuda: a thread that leaves while others wait is named") {
  const std::string text = fault_of([] {
    __syncthreads();
    if (thread_number() == 5) return;
    __syncthreads();
  });
  CAPTURE(text);
  CHECK(
      text ==
      "63 threads wait for ever, the first of them thread 0 of block 0 at __syncthreads number 2; thread 5 of block 0 "
      "has left the kernel");
}

TEST_CASE("cuda: lanes of a warp that go different ways are named") {
  const std::string mixed = fault_of([] {
    if (lane_number() < 3)
      __syncwarp();
    else
      sum_over_lanes(1.0f);
  });
  CAPTURE(mixed);
  CHECK(
      mixed ==
      "thread 3 of block 0 calls __shfl_xor_sync while other lanes of its warp wait at __syncwarp; all lanes must take "
      "the same way");
  const std::string split = fault_of([] {
    if (thread_number() < 32)
      __syncthreads();
    else if (lane_number() > 0)
      __syncwarp();
    else
      __syncthreads();
  });
  CAPTURE(split);
  CHECK(split.find("64 threads wait for ever, the first of them thread 0 of block 0 at __syncthreads number 1") == 0);
}

TEST_CASE("cuda: shared memory out of range, out of alignment, or more than was asked for is named") {
  const auto use = [](int at, int count) {
    return fault_of(
        [=] {
          shared_memory memory;
          const auto first = memory.take<float>(32);
          memory.take<float>(32);
          if (thread_number() == 40) first.pointer(at, count);
        },
        256);
  };
  CHECK(use(28, 4) == "");
  CHECK(use(32, 1) == "thread 40 of block 0 uses elements 32 to 32 of an array of 32 in shared memory");
  CHECK(use(-1, 1) == "thread 40 of block 0 uses elements -1 to -1 of an array of 32 in shared memory");
  CHECK(use(2, 4).find("reads 4 elements at once from element 2 of shared memory, which is not aligned") !=
        std::string::npos);
  CHECK(fault_of([] { shared_memory().take<float>(65); }, 256) ==
        "thread 0 of block 0 takes 272 bytes of shared memory where the launch gave 256");
}

TEST_CASE("cuda: shared memory that nobody wrote is not a number, and a missing barrier shows in the order") {
  float untouched = 0;
  emulator::run({1}, {32}, 64, [&] { untouched = shared_memory().take<float>(16)[3]; });
  CHECK(untouched != untouched);
  const auto racing = [](order who) {
    std::vector<int> got(64);
    emulator::run(
        {1}, {64}, 64 * sizeof(int),
        [&] {
          const auto numbers = shared_memory().take<int>(64);
          numbers[thread_number()] = thread_number();
          got[static_cast<std::size_t>(thread_number())] = numbers[(thread_number() + 1) % 64];
        },
        who);
    return got;
  };
  CHECK(racing(order::ascending) != racing(order::descending));
}
