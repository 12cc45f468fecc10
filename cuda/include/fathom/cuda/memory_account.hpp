// SPDX-License-Identifier: Apache-2.0
// What a context knows about its memory: bytes in use, a limit, and which buffers belong to a graph being recorded.
// Plain host code, so that it is tested where there is no GPU.
#pragma once

#include <atomic>
#include <cstddef>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fathom/core/error.hpp>

namespace fathom::cuda {

/// Bytes that handles of a context hold, and may hold.
struct memory_account {
  std::atomic<std::size_t> used{0};
  std::size_t limit = 0;  ///< 0: none
  std::size_t device_free = 0, device_total = 0;

  bool allows(std::size_t bytes) const { return limit == 0 || (bytes <= limit && used <= limit - bytes); }

  /// A sixteenth of the limit, at most and without a limit 512 MB: enough to fill a GPU.
  std::size_t chunk_bytes() const {
    constexpr std::size_t most = std::size_t(512) << 20, least = std::size_t(64) << 10;
    if (limit == 0) return most;
    const std::size_t share = limit / 16;
    return share < least ? least : share > most ? most : share;
  }

  /// Why `bytes` more cannot be had, and what to do.
  std::string refusal(std::size_t bytes, int device) const {
    std::string text = fathom::detail::concat("allocating ", bytes, " bytes on device ", device, ": ", used.load(),
                                              " bytes are in use");
    if (!allows(bytes))
      text += fathom::detail::concat(" and limit_memory allows ", limit);
    else
      text += fathom::detail::concat(", the device has ", device_free, " free of ", device_total);
    text += fathom::detail::concat(". Layers that work in chunks take up to ", chunk_bytes(),
                                   " bytes at a time beside their inputs and outputs");
    // A sixteenth of what fits now leaves room for the state itself.
    const std::size_t fits = limit != 0 ? limit : used + device_free;
    if (limit == 0 && chunk_bytes() > fits / 64)
      text += fathom::detail::concat("; context()->limit_memory(", fits / 4, ") makes that ", fits / 64);
    return text + "; else use fewer sequences or residues";
  }
};

/// Buffers while a graph is recorded: those made in it are its own and must go in it, those from before may only go
/// when it is complete.
class capture_account {
 public:
  void begin() {
    active_ = true;
    deferred_.clear();
  }
  void made(void* data) {
    if (active_)
      own_.insert(data);
    else if (!own_.empty())
      own_.erase(data);  // an address of an earlier recording, given out again
  }
  /// Whether a buffer that nobody needs any more goes back to the pool at once.
  bool frees_now(void* data) {
    const bool own = !own_.empty() && own_.erase(data) == 1;
    if (!active_) return !own;  // made in a recording that has ended without a launch: it never existed
    if (!own) deferred_.push_back(data);
    return own;
  }
  /// The number of own buffers that outlive the recording.
  std::size_t end() {
    active_ = false;
    return own_.size();
  }
  /// Buffers from before that went while it was recorded.
  std::vector<void*> deferred() { return std::exchange(deferred_, {}); }
  bool active() const { return active_; }

 private:
  bool active_ = false;
  std::unordered_set<void*> own_;
  std::vector<void*> deferred_;
};

}  // namespace fathom::cuda
