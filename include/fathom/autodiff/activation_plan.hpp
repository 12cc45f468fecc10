// SPDX-License-Identifier: Apache-2.0
// Which chunks keep their graphs between recording and differentiating one evaluation: all below a limit of bytes, or,
// after one evaluation that was measured, those that spare most work for the bytes that are left.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/memory.hpp>

namespace fathom {

/// While one lives, chunked layers recorded by this thread keep the graphs of their chunks, instead of running them
/// again in the backward pass, as long as the bytes in use (memory_counter::in_use) stay below `up_to`. Gradients have
/// the same bits either way; a kept evaluation costs three products where a recomputed one costs four.
class keep_activations {
 public:
  explicit keep_activations(std::int64_t up_to) : before_(limit_) { limit_ = up_to; }
  ~keep_activations() { limit_ = before_; }
  keep_activations(const keep_activations&) = delete;
  keep_activations& operator=(const keep_activations&) = delete;

  /// Whether a chunk recorded now would be kept.
  static bool now() { return limit_ > 0 && memory_counter::in_use() < limit_; }

 private:
  std::int64_t before_;
  inline static thread_local std::int64_t limit_ = 0;
};

/// What the chunked layers of an evaluation take, measured once, and what is kept of the evaluations that follow. A
/// plan serves one function evaluated again and again: layers are told apart by their order, and one that has other
/// extents than the measured one keeps nothing. Gradients have the same bits whatever is kept.
class activation_plan {
 public:
  /// One chunked layer: `rows` in chunks of `chunk`, the graph of a chunk taking `bytes`.
  struct layer {
    index_t rows = 0, chunk = 1;
    double work = 0;           ///< of one chunk, in any unit common to all layers
    std::int64_t bytes = 0;    ///< graph of one chunk
    std::int64_t within = 0;   ///< most in use while the layer runs, forward or backward, beyond the start
    std::int64_t outside = 0;  ///< the same between it and its neighbours
    index_t kept = 0;          ///< chunks that are kept, the first ones

    index_t chunks() const { return (rows + chunk - 1) / chunk; }
    /// Bytes of the first `n` chunks.
    std::int64_t bytes_of(index_t n) const {
      const index_t some = std::min(rows, n * chunk);
      return n == 0 ? 0
                    : static_cast<std::int64_t>(static_cast<double>(bytes) * static_cast<double>(some) /
                                                static_cast<double>(std::min(chunk, rows)));
    }
    /// Most in use beside kept chunks: where all are kept, none is run again.
    std::int64_t need() const { return std::max(outside, kept == chunks() ? within - bytes : within); }
  };

  /// Whether an evaluation has been measured.
  bool known() const { return known_; }
  const std::vector<layer>& layers() const { return layers_; }
  /// Bytes that a recorded evaluation holds when it keeps no chunk, and all of them.
  std::int64_t residuals() const { return residuals_; }
  std::int64_t everything() const {
    return std::accumulate(layers_.begin(), layers_.end(), residuals_,
                           [](std::int64_t sum, const layer& l) { return sum + l.bytes_of(l.chunks()); });
  }
  /// Most in use on the way, beyond the start, when the chunks are kept that `kept` says.
  std::int64_t most() const {
    std::int64_t held = 0, worst = tail_;
    for (const layer& l : layers_) {
      held += l.bytes_of(l.kept);
      worst = std::max(worst, l.need() + held);
    }
    return worst;
  }

  /// Sets `kept` so that no more than `room` bytes are in use on the way beyond those in use at the start: chunks of
  /// the layers with the most work for their bytes first.
  void choose(std::int64_t room) {
    std::vector<std::size_t> order(layers_.size());
    for (std::size_t n = 0; n < order.size(); ++n) order[n] = n, layers_[n].kept = 0;
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      const double x = layers_[a].work * static_cast<double>(layers_[b].bytes);
      const double y = layers_[b].work * static_cast<double>(layers_[a].bytes);
      return x != y ? x > y : a < b;
    });
    for (const std::size_t n : order) {
      layer& one = layers_[n];
      if (one.bytes <= 0) continue;  // on a backend whose bytes are not counted
      // All chunks, or else as many as fit.
      for (one.kept = one.chunks(); one.kept > 0 && most() > room;) --one.kept;
    }
  }
  void choose_all() {
    for (layer& l : layers_) l.kept = l.chunks();
  }

  /// The plan that this thread records under; null: none.
  static activation_plan* current() { return current_; }

  /// While one lives, this thread records under the plan (null: under none). The first one of a plan measures.
  class recording {
   public:
    explicit recording(activation_plan* plan) : before_(std::exchange(current_, plan)) {
      if (plan != nullptr) plan->start();
    }
    ~recording() {
      if (current_ != nullptr) current_->finish();
      current_ = before_;
    }
    recording(const recording&) = delete;
    recording& operator=(const recording&) = delete;

   private:
    activation_plan* before_;
  };
  /// While one lives, this thread records under no plan: inside of a chunk.
  class pause {
   public:
    pause() : before_(std::exchange(current_, nullptr)) {}
    ~pause() { current_ = before_; }
    pause(const pause&) = delete;
    pause& operator=(const pause&) = delete;

   private:
    activation_plan* before_;
  };

  bool measuring() const { return !known_; }
  /// A layer is about to run forward; returns its number.
  std::size_t enter(index_t rows, index_t chunk, double work) {
    const std::size_t number = next_++;
    if (!known_) {
      layers_.push_back({rows, chunk, work});
      layers_[number].outside = lap();
    } else if (number < layers_.size()) {
      fits_ = layers_[number].rows == rows && layers_[number].chunk == chunk && layers_[number].work == work;
    }
    return number;
  }
  /// Whether the layer entered last keeps the chunk that starts at row `from`.
  bool keeps(std::size_t number, index_t from) const {
    return known_ && fits_ && number < layers_.size() && from < layers_[number].kept * layers_[number].chunk;
  }
  /// What the graph of the first chunk took.
  void took(std::size_t number, std::int64_t bytes) { layers_[number].bytes = std::max<std::int64_t>(bytes, 0); }
  /// The layer has run forward.
  void leave(std::size_t number) {
    if (!known_) layers_[number].within = lap();
  }
  /// The evaluation is recorded.
  void recorded() {
    if (!known_) residuals_ = memory_counter::in_use() - base_;
  }
  /// The layer's derivative is about to run; has run.
  void enter_backward(std::size_t number) {
    if (!known_ && number < layers_.size()) layers_[number].outside = std::max(layers_[number].outside, lap());
  }
  void leave_backward(std::size_t number) {
    if (!known_ && number < layers_.size()) layers_[number].within = std::max(layers_[number].within, lap());
  }

 private:
  void start() {
    next_ = 0;
    if (known_) return;
    layers_.clear();
    residuals_ = tail_ = 0;
    base_ = memory_counter::in_use();
    memory_counter::watch();
  }
  void finish() {
    if (known_) return;
    tail_ = lap();
    known_ = true;
  }
  /// Most in use since the last lap, beyond the start.
  std::int64_t lap() {
    const std::int64_t most = memory_counter::watched() - base_;
    memory_counter::watch();
    return most;
  }

  std::vector<layer> layers_{};
  std::int64_t base_ = 0, residuals_ = 0, tail_ = 0;
  std::size_t next_ = 0;
  bool known_ = false, fits_ = false;
  inline static thread_local activation_plan* current_ = nullptr;
};

}  // namespace fathom
