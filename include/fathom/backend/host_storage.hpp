// SPDX-License-Identifier: Apache-2.0
// Counted host memory behind a shared pointer: the storage of every backend that computes in host memory.
#pragma once

#include <memory>

#include <fathom/core/memory.hpp>

namespace fathom::detail {

/// Room for n elements, at least one, so that a tensor without elements still counts as having storage.
template <class T>
std::shared_ptr<T> host_storage(index_t n) {
  const std::size_t bytes = static_cast<std::size_t>(n > 0 ? n : 1) * sizeof(T);
  return std::shared_ptr<T>(static_cast<T*>(memory::allocate(bytes)),
                            [bytes](T* data) { memory::deallocate(data, bytes); });
}

}  // namespace fathom::detail
