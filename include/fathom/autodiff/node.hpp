// SPDX-License-Identifier: Apache-2.0
// The graph behind reverse mode: one node per recorded operation. Nodes know their inputs only, so that a graph dies with
// the last tensor that refers to it; nothing global keeps it alive.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>

namespace fathom::detail {

/// Base of leaves and recorded operations. Each node owns the cotangents of its outputs while a backward pass runs.
class gradient_node {
 public:
  gradient_node() : order_(next_.fetch_add(1, std::memory_order_relaxed)) {
    live_.fetch_add(1, std::memory_order_relaxed);
  }
  gradient_node(const gradient_node&) = delete;
  gradient_node& operator=(const gradient_node&) = delete;
  /// Long chains are taken apart in a loop: a recursive release would overflow the stack.
  virtual ~gradient_node() {
    std::vector<std::shared_ptr<gradient_node>> doomed = std::move(inputs_);
    while (!doomed.empty()) {
      const std::shared_ptr<gradient_node> last = std::move(doomed.back());
      doomed.pop_back();
      if (last.use_count() == 1) {
        for (auto& input : last->inputs_) doomed.push_back(std::move(input));
        last->inputs_.clear();
      }
    }
    live_.fetch_sub(1, std::memory_order_relaxed);
  }

  /// Turns the cotangents of the outputs into those of the inputs; drops its own, and the residuals where told to.
  virtual void propagate(bool release) = 0;

  std::uint64_t order() const { return order_; }
  const std::vector<std::shared_ptr<gradient_node>>& inputs() const { return inputs_; }
  /// Number of nodes in existence: 0 when no recorded tensor is alive.
  static std::int64_t live() { return live_.load(std::memory_order_relaxed); }

 protected:
  std::vector<std::shared_ptr<gradient_node>> inputs_;

 private:
  std::uint64_t order_;
  inline static std::atomic<std::uint64_t> next_{0};
  inline static std::atomic<std::int64_t> live_{0};
};

/// A new node and the pointer that owns it: all nodes share one kind of owner, which keeps programs small.
template <class Node, class... Args>
std::pair<std::shared_ptr<gradient_node>, Node*> make_node(Args&&... args) {
  Node* const node = new Node(std::forward<Args>(args)...);
  return {std::shared_ptr<gradient_node>(static_cast<gradient_node*>(node)), node};
}

/// Runs every node that `roots` depend on, latest first. Cotangents of the roots must have been set.
inline void run_backward(const std::vector<std::shared_ptr<gradient_node>>& roots, bool release) {
  std::vector<gradient_node*> order;
  std::unordered_set<gradient_node*> seen;
  std::vector<gradient_node*> open;
  for (const auto& root : roots)
    if (root && seen.insert(root.get()).second) open.push_back(root.get());
  while (!open.empty()) {
    gradient_node* node = open.back();
    open.pop_back();
    order.push_back(node);
    for (const auto& input : node->inputs())
      if (seen.insert(input.get()).second) open.push_back(input.get());
  }
  std::sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->order() > b->order(); });
  for (auto* node : order) node->propagate(release);
}

}  // namespace fathom::detail
