// SPDX-License-Identifier: Apache-2.0
// Several processes that train one model, behind an interface that MPI fills today and NCCL can: see mpi.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>

namespace fathom::train {

/// Another process of the group has stopped, and says why.
struct process_stopped : error {
  using error::error;
};

/// Processes 0 .. size - 1. Every call is made by all of them, in the same order.
class process_group {
 public:
  virtual ~process_group() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Processes of the group on this machine, this one among them.
  virtual int neighbours() const = 0;
  /// True for all where it is for one.
  virtual bool any(bool here) = 0;

  /// All-reduce in the order of ranks: `values`, zeros in the first process, go from each to the next one, add(first,
  /// last) puts this one's share on values[first, last), and the last one's values become everyone's. Sums have the
  /// bits of one process that adds all shares in that order; long vectors travel in pieces, so that all work at once.
  template <class T, class Add>
  void sum_in_order(std::vector<T>& values, const Add& add) {
    relay(values.data(), values.size() * sizeof(T),
          [&](std::size_t first, std::size_t last) { add(first / sizeof(T), last / sizeof(T)); });
  }

 protected:
  /// Bytes [first, last) of `data` are there from the process before when add(first, last) is called, and go to the
  /// next one after it; both are multiples of 8, or the end. At last all of `data` is that of the last process.
  virtual void relay(void* data, std::size_t bytes, const std::function<void(std::size_t, std::size_t)>& add) = 0;
};

/// The samples of one process: of each step's size * batch those from rank * batch on. Sample k = 0, 1, ... that this
/// process needs has the number share(k), so that all together see what one process with size * batch samples would.
struct sample_share {
  std::uint64_t first = 0;  ///< samples that all have seen before
  std::uint64_t batch = 1, rank = 0, size = 1;

  std::uint64_t operator()(std::uint64_t k) const { return first + (k / batch * size + rank) * batch + k % batch; }
};

/// Processes that a launcher (mpirun, srun) says it has started together, this one among them; 1 without a launcher.
inline int launched_processes() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS"})
    if (const char* const text = std::getenv(name)) return std::atoi(text) > 1 ? std::atoi(text) : 1;
  return 1;
}

}  // namespace fathom::train
