// SPDX-License-Identifier: Apache-2.0
// A process_group over any means of sending bytes between processes. Plain host code, so that it is tested where there
// is no GPU.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <utility>

#include <fathom/train/process_group.hpp>

namespace fathom::cuda {

/// Link: rank(), size(), neighbours(); send(data, bytes, to), receive(data, bytes, from), broadcast(data, bytes, from)
/// of bytes in host memory; any(here).
template <class Link>
class linked_group final : public train::process_group {
 public:
  explicit linked_group(Link link) : link_(std::move(link)) {}

  int rank() const override { return link_.rank(); }
  int size() const override { return link_.size(); }
  int neighbours() const override { return link_.neighbours(); }
  bool any(bool here) override { return link_.any(here); }
  Link& link() { return link_; }

 protected:
  void relay(void* data, std::size_t bytes, const std::function<void(std::size_t, std::size_t)>& add) override {
    constexpr std::size_t piece = std::size_t(1) << 20;
    auto* const values = static_cast<char*>(data);
    for (std::size_t first = 0; first < bytes; first += piece) {
      const std::size_t last = std::min(bytes, first + piece);
      if (rank() > 0) link_.receive(values + first, last - first, rank() - 1);
      add(first, last);
      if (rank() + 1 < size()) link_.send(values + first, last - first, rank() + 1);
    }
    for (std::size_t first = 0; first < bytes; first += piece)
      link_.broadcast(values + first, std::min(piece, bytes - first), size() - 1);
  }

 private:
  Link link_;
};

}  // namespace fathom::cuda
