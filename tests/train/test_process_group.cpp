// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include <fathom/core/philox.hpp>
#include <fathom/train/process_group.hpp>

#include "thread_group.hpp"

using namespace fathom;

TEST_CASE("train: sums of several processes have the bits of one that adds everything in order") {
  constexpr std::size_t length = 1001;
  const auto share = [](int rank, std::size_t i) {
    return static_cast<float>(philox_uniform(static_cast<std::uint64_t>(rank), i) - 0.3) * (i % 7 == 0 ? 1e6f : 1.0f);
  };
  std::vector<float> want(length, 0.0f);
  for (int rank = 0; rank < 3; ++rank)
    for (std::size_t i = 0; i < length; ++i) want[i] += share(rank, i);
  std::vector<std::vector<float>> got(3);
  on_threads(3, [&](train::process_group& group) {
    for (int round = 0; round < 2; ++round) {
      std::vector<float> sum(length, 0.0f);
      group.sum_in_order(sum, [&](std::size_t first, std::size_t last) {
        for (std::size_t i = first; i < last; ++i) sum[i] += share(group.rank(), i);
      });
      got[static_cast<std::size_t>(group.rank())] = sum;
    }
  });
  for (const auto& sum : got) CHECK(sum == want);
}

TEST_CASE("train: one process that says so is enough for all") {
  on_threads(4, [](train::process_group& group) {
    if (group.any(false)) throw error("nobody said so");
    for (int rank = 0; rank < 4; ++rank)
      if (!group.any(group.rank() == rank)) throw error("somebody said so");
  });
}

TEST_CASE("train: the processes' shares of a step's samples are those of one process with the whole batch") {
  constexpr std::uint64_t batch = 3, size = 4, steps = 5, seen = 17;
  for (std::uint64_t step = 0; step < steps; ++step) {
    std::vector<std::uint64_t> numbers;
    for (std::uint64_t rank = 0; rank < size; ++rank)
      for (std::uint64_t k = step * batch; k < (step + 1) * batch; ++k)
        numbers.push_back(train::sample_share{seen, batch, rank, size}(k));
    std::vector<std::uint64_t> want;
    for (std::uint64_t n = 0; n < size * batch; ++n) want.push_back(seen + step * size * batch + n);
    CHECK(numbers == want);
  }
  CHECK(train::sample_share{}(41) == 41);
}
