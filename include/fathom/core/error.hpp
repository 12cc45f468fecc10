// SPDX-License-Identifier: Apache-2.0
// Exceptions of the library. Text: what was called, what was expected, what came, how to fix it.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace fathom {

/// Root of everything the library throws on purpose.
struct error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// Extents, ranks or strides that do not fit the call.
struct shape_error : error {
  using error::error;
};
/// Tensors of two different backend handles met in one operation.
struct backend_mismatch : error {
  using error::error;
};
/// Weights that do not fit the model they are loaded into.
struct checkpoint_error : error {
  using error::error;
};
/// A file or record that cannot be read or written; names file, line or record, and reason.
struct io_error : error {
  using error::error;
};
/// Input that was read but makes no sense (unknown letter, empty alignment, ragged rows ...).
struct input_error : io_error {
  using io_error::io_error;
};
/// A number that is not finite, or a solve that cannot go on.
struct numerical_error : error {
  using error::error;
};
/// More memory, time or evaluations needed than were granted.
struct resource_error : error {
  using error::error;
};

namespace detail {
/// "a", 1, 2.5 -> "a12.5": message building without <format>.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}
}  // namespace detail

}  // namespace fathom
