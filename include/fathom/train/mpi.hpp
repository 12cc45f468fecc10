// SPDX-License-Identifier: Apache-2.0
// A process_group over MPI. Empty without FATHOM_WITH_MPI, which whoever links MPI defines.
#pragma once

#include <fathom/train/process_group.hpp>

#ifdef FATHOM_WITH_MPI

// Only the C interface is used.
#ifndef OMPI_SKIP_MPICXX
#define OMPI_SKIP_MPICXX 1
#endif
#ifndef MPICH_SKIP_MPICXX
#define MPICH_SKIP_MPICXX 1
#endif
#include <mpi.h>

#include <algorithm>

namespace fathom::train {

/// All processes that mpirun has started. One object in a program; MPI starts and ends with it. Its calls come from one
/// thread, that of the training step.
class mpi_group final : public process_group {
 public:
  mpi_group() {
    int given = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &given), "MPI_Init_thread");
    check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
    MPI_Comm machine = MPI_COMM_NULL;
    check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &machine),
          "MPI_Comm_split_type");
    check(MPI_Comm_size(machine, &neighbours_), "MPI_Comm_size");
    check(MPI_Comm_free(&machine), "MPI_Comm_free");
  }
  mpi_group(const mpi_group&) = delete;
  mpi_group& operator=(const mpi_group&) = delete;
  ~mpi_group() override { MPI_Finalize(); }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int neighbours() const override { return neighbours_; }

  bool any(bool here) override {
    int mine = here ? 1 : 0, all = 0;
    check(MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_LOR, MPI_COMM_WORLD), "MPI_Allreduce");
    return all != 0;
  }

  /// Ends all processes; the launcher's exit code is `code`.
  void abort(int code) { MPI_Abort(MPI_COMM_WORLD, code); }

 protected:
  void relay(void* data, std::size_t bytes, const std::function<void(std::size_t, std::size_t)>& add) override {
    constexpr std::size_t piece = std::size_t(1) << 18;
    constexpr int tag = 1;
    auto* const values = static_cast<char*>(data);
    for (std::size_t first = 0; first < bytes; first += piece) {
      const std::size_t last = std::min(bytes, first + piece);
      const int count = static_cast<int>(last - first);
      if (rank_ > 0)
        check(MPI_Recv(values + first, count, MPI_BYTE, rank_ - 1, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE), "MPI_Recv");
      add(first, last);
      if (rank_ + 1 < size_)
        check(MPI_Send(values + first, count, MPI_BYTE, rank_ + 1, tag, MPI_COMM_WORLD), "MPI_Send");
    }
    for (std::size_t first = 0; first < bytes; first += piece)
      check(MPI_Bcast(values + first, static_cast<int>(std::min(piece, bytes - first)), MPI_BYTE, size_ - 1,
                      MPI_COMM_WORLD),
            "MPI_Bcast");
  }

 private:
  static void check(int code, const char* call) {
    if (code == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING] = {};
    int length = 0;
    MPI_Error_string(code, text, &length);
    throw resource_error(fathom::detail::concat(call, " failed: ", text));
  }

  int rank_ = 0, size_ = 1, neighbours_ = 1;
};

}  // namespace fathom::train

#endif  // FATHOM_WITH_MPI
