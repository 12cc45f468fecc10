// SPDX-License-Identifier: Apache-2.0
// Processes with a GPU each that train one model over NCCL. Empty without FATHOM_WITH_NCCL, which whoever links NCCL
// defines.
#pragma once

#ifdef FATHOM_WITH_NCCL

#include <nccl.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include <fathom/cuda/buffer.hpp>
#include <fathom/cuda/linked_group.hpp>

namespace fathom::cuda {

/// The name under which processes find each other: made by one of them, handed to the others by whatever started them
/// (MPI, a file).
inline ncclUniqueId new_nccl_group() {
  ncclUniqueId id;
  if (const ncclResult_t status = ncclGetUniqueId(&id); status != ncclSuccess)
    throw cuda_error(fathom::detail::concat("ncclGetUniqueId failed: ", ncclGetErrorString(status)));
  return id;
}

/// Process `rank` of `size` on the GPU of `c`; returns when all have called it. Bytes travel through a buffer on the
/// GPU.
class nccl_link {
 public:
  nccl_link(std::shared_ptr<context> c, const ncclUniqueId& id, int rank, int size, int neighbours)
      : context_(std::move(c)), rank_(rank), size_(size), neighbours_(neighbours) {
    const device_guard here(context_->device());
    ncclComm_t made = nullptr;
    check(ncclCommInitRank(&made, size, id, rank), "ncclCommInitRank");
    group_ = std::shared_ptr<ncclComm>(made, [](ncclComm_t group) { (void)ncclCommDestroy(group); });
  }

  int rank() const { return rank_; }
  int size() const { return size_; }
  /// Processes on this machine, this one among them.
  int neighbours() const { return neighbours_; }

  void send(const void* data, std::size_t bytes, int to) {
    const device_guard here(context_->device());
    upload(*context_, room(bytes), static_cast<const char*>(data), static_cast<index_t>(bytes));
    check(ncclSend(room(bytes), bytes, ncclChar, to, group_.get(), context_->stream()), "ncclSend");
    context_->synchronize();
  }
  void receive(void* data, std::size_t bytes, int from) {
    const device_guard here(context_->device());
    check(ncclRecv(room(bytes), bytes, ncclChar, from, group_.get(), context_->stream()), "ncclRecv");
    download(*context_, static_cast<char*>(data), room(bytes), static_cast<index_t>(bytes));
    context_->synchronize();
  }
  void broadcast(void* data, std::size_t bytes, int from) {
    const device_guard here(context_->device());
    if (rank_ == from) upload(*context_, room(bytes), static_cast<const char*>(data), static_cast<index_t>(bytes));
    check(ncclBroadcast(room(bytes), room(bytes), bytes, ncclChar, from, group_.get(), context_->stream()),
          "ncclBroadcast");
    download(*context_, static_cast<char*>(data), room(bytes), static_cast<index_t>(bytes));
    context_->synchronize();
  }
  bool any(bool here) {
    const device_guard on_device(context_->device());
    char value = here ? 1 : 0;
    upload(*context_, room(1), &value, 1);
    check(ncclAllReduce(room(1), room(1), 1, ncclChar, ncclMax, group_.get(), context_->stream()), "ncclAllReduce");
    download(*context_, &value, room(1), 1);
    context_->synchronize();
    return value != 0;
  }

 private:
  char* room(std::size_t bytes) {
    if (bytes > room_bytes_) {
      room_ = device_buffer<char>(context_, static_cast<index_t>(bytes));
      room_bytes_ = bytes;
    }
    return room_.get();
  }
  void check(ncclResult_t status, const char* call) const {
    if (status == ncclSuccess) return;
    throw cuda_error(
        fathom::detail::concat("process ", rank_, " of ", size_, ": ", call, " failed: ", ncclGetErrorString(status)));
  }

  std::shared_ptr<context> context_;
  int rank_, size_, neighbours_;
  std::shared_ptr<ncclComm> group_;
  std::shared_ptr<char> room_;
  std::size_t room_bytes_ = 0;
};

/// Data-parallel training: trainer::join(group), as with mpi_group. Sums have the bits of one process.
using nccl_group = linked_group<nccl_link>;

/// The processes of `meeting` (MPI, say) as a group over NCCL, this one with the GPU of `c`. `meeting` stays alive.
inline nccl_group join_over_nccl(train::process_group& meeting, const std::shared_ptr<context>& c) {
  // The first one's name for the group goes round as a sum that nobody else adds to.
  std::vector<std::uint64_t> own((sizeof(ncclUniqueId) + 7) / 8, 0), name = own;
  if (meeting.rank() == 0) {
    const ncclUniqueId made = new_nccl_group();
    std::memcpy(own.data(), &made, sizeof made);
  }
  meeting.sum_in_order(name, [&](std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) name[i] += own[i];
  });
  ncclUniqueId id;
  std::memcpy(&id, name.data(), sizeof id);
  return nccl_group(nccl_link(c, id, meeting.rank(), meeting.size(), meeting.neighbours()));
}

}  // namespace fathom::cuda

#endif  // FATHOM_WITH_NCCL
