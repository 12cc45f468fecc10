// SPDX-License-Identifier: Apache-2.0
// Opens a file of named arrays whatever its format, told by content: safetensors or npz.
#pragma once

#include <filesystem>
#include <string_view>

#include <fathom/io/mapped_file.hpp>
#include <fathom/io/npz.hpp>
#include <fathom/io/safetensors.hpp>
#include <fathom/io/tensor_file.hpp>

namespace fathom::io {

/// The arrays of a safetensors or npz file. Throws io_error naming the file and what is wrong with it.
inline tensor_file open_checkpoint(const std::filesystem::path& path) {
  bool zip = false;
  {
    const mapped_file file(path);
    zip = file.size() >= 4 && std::string_view(reinterpret_cast<const char*>(file.data()), 4) == "PK\x03\x04";
  }
  if (zip) return npz(path);
  return safetensors(path);
}

}  // namespace fathom::io
