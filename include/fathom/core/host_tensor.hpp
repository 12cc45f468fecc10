// SPDX-License-Identifier: Apache-2.0
// A dense array in host memory: what readers hand over and writers take, before any backend is chosen.
#pragma once

#include <string>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>

namespace fathom {

/// "[4, 8, 64]"
template <class Extents>
std::string to_string_extents(const Extents& extents) {
  std::string text = "[";
  bool first = true;
  for (const auto extent : extents) {
    text += (first ? "" : ", ") + std::to_string(static_cast<long long>(extent));
    first = false;
  }
  return text + "]";
}

/// Row-major array of run-time rank. Invariant: data.size() is the product of shape.
template <class T>
struct host_tensor {
  std::vector<index_t> shape;
  std::vector<T> data;

  host_tensor() = default;
  explicit host_tensor(std::vector<index_t> extents, T value = T{})
      : shape(std::move(extents)), data(static_cast<std::size_t>(count(shape)), value) {}
  host_tensor(std::vector<index_t> extents, std::vector<T> values) : shape(std::move(extents)), data(std::move(values)) {
    if (static_cast<index_t>(data.size()) != count(shape))
      throw shape_error(detail::concat("host_tensor: shape ", to_string_extents(shape), " needs ", count(shape),
                                       " values, got ", data.size()));
  }

  static index_t count(const std::vector<index_t>& extents) {
    index_t n = 1;
    for (const auto extent : extents) n *= extent;
    return n;
  }
  index_t rank() const { return static_cast<index_t>(shape.size()); }
  index_t size() const { return static_cast<index_t>(data.size()); }

  /// Element at a full index, row-major: x(i, j, k).
  template <class... Index>
  T& operator()(Index... index) {
    return data[static_cast<std::size_t>(offset(static_cast<index_t>(index)...))];
  }
  template <class... Index>
  const T& operator()(Index... index) const {
    return data[static_cast<std::size_t>(offset(static_cast<index_t>(index)...))];
  }

 private:
  template <class... Index>
  index_t offset(Index... index) const {
    const index_t indices[] = {index...};
    index_t at = 0;
    for (std::size_t axis = 0; axis < sizeof...(Index); ++axis) at = at * shape[axis] + indices[axis];
    return at;
  }
};

}  // namespace fathom
