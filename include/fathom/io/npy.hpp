// SPDX-License-Identifier: Apache-2.0
// NumPy's npy files, format versions 1 to 3: a magic word, a Python dict with type and shape, then the raw array.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/core/host_tensor.hpp>
#include <fathom/io/atomic_file.hpp>
#include <fathom/io/mapped_file.hpp>
#include <fathom/io/named_tensor.hpp>

namespace fathom::io {

namespace detail {

inline constexpr std::string_view npy_magic = "\x93NUMPY";

/// NumPy's spelling of stored types; bfloat16 has none.
inline constexpr std::pair<std::string_view, dtype> npy_types[] = {
    {"<f8", dtype::f64}, {"<f4", dtype::f32}, {"<f2", dtype::f16}, {"<i8", dtype::i64},    {"<i4", dtype::i32},
    {"<i2", dtype::i16}, {"|i1", dtype::i8},  {"|u1", dtype::u8},  {"|b1", dtype::boolean}};

struct npy_header {
  dtype type = dtype::f32;
  bool column_major = false;
  std::vector<index_t> shape;
};

/// Reads the dict {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }.
class npy_dict {
 public:
  npy_dict(std::string_view text, const std::string& source) : rest_(text), source_(source) {}

  npy_header read() {
    npy_header header;
    bool have_type = false, have_order = false, have_shape = false;
    expect('{');
    while (!accept('}')) {
      const auto key = quoted();
      expect(':');
      if (key == "descr") {
        header.type = type();
        have_type = true;
      } else if (key == "fortran_order") {
        header.column_major = truth();
        have_order = true;
      } else if (key == "shape") {
        header.shape = extents();
        have_shape = true;
      } else {
        fail(concat("unknown key '", key, "'"));
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    if (!have_type || !have_order || !have_shape) fail("descr, fortran_order and shape expected");
    return header;
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    throw io_error(concat("'", source_, "': npy header: ", reason));
  }
  void skip() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\n')) rest_.remove_prefix(1);
  }
  bool accept(char c) {
    skip();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(concat("'", c, "' expected before \"", rest_.substr(0, 20), "\""));
  }
  std::string quoted() {
    skip();
    const char quote = rest_.empty() ? ' ' : rest_.front();
    const auto end = quote == '\'' || quote == '"' ? rest_.find(quote, 1) : std::string_view::npos;
    if (end == std::string_view::npos) fail(concat("a quoted word expected before \"", rest_.substr(0, 20), "\""));
    const std::string word(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return word;
  }
  dtype type() {
    const auto word = quoted();
    for (const auto& [name, type] : npy_types)
      if (word == name) return type;
    fail(concat("type '", word, "', expected <f8 <f4 <f2 <i8 <i4 <i2 |i1 |u1 or |b1"));
  }
  bool truth() {
    skip();
    for (const std::string_view word : {"True", "False"})
      if (rest_.substr(0, word.size()) == word) {
        rest_.remove_prefix(word.size());
        return word == "True";
      }
    fail("fortran_order is neither True nor False");
  }
  std::vector<index_t> extents() {
    std::vector<index_t> result;
    expect('(');
    while (!accept(')')) {
      result.push_back(count());
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return result;
  }
  index_t count() {
    skip();
    if (rest_.empty() || rest_.front() < '0' || rest_.front() > '9') fail("shape is no tuple of extents");
    index_t value = 0;
    while (!rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9') {
      if (value > std::numeric_limits<index_t>::max() / 10 - 9) fail("shape overflows");
      value = value * 10 + (rest_.front() - '0');
      rest_.remove_prefix(1);
    }
    return value;
  }

  std::string_view rest_;
  const std::string& source_;
};

/// Bytes of an array of that shape, nothing when they overflow.
inline std::optional<std::size_t> checked_bytes(const std::vector<index_t>& shape, dtype type) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  auto bytes = static_cast<index_t>(size_of(type));
  for (const index_t extent : shape) {
    if (bytes > std::numeric_limits<index_t>::max() / extent) return std::nullopt;
    bytes *= extent;
  }
  return static_cast<std::size_t>(bytes);
}

/// The same array with the last index fastest.
inline std::shared_ptr<const std::vector<std::byte>> row_major(const std::byte* data, const npy_header& header) {
  const std::size_t element = size_of(header.type);
  const auto rank = header.shape.size();
  const auto count = static_cast<std::size_t>(host_tensor<char>::count(header.shape));
  auto result = std::make_shared<std::vector<std::byte>>(count * element);
  std::vector<index_t> at(rank, 0), stride(rank, 1);
  for (std::size_t axis = 1; axis < rank; ++axis) stride[axis] = stride[axis - 1] * header.shape[axis - 1];
  for (std::size_t k = 0; k < count; ++k) {
    index_t from = 0;
    for (std::size_t axis = 0; axis < rank; ++axis) from += at[axis] * stride[axis];
    std::memcpy(result->data() + k * element, data + static_cast<std::size_t>(from) * element, element);
    for (std::size_t axis = rank; axis-- > 0;) {
      if (++at[axis] < header.shape[axis]) break;
      at[axis] = 0;
    }
  }
  return result;
}

/// The array in the bytes of an npy file, which `owner` keeps alive. `source` names them in messages.
inline named_tensor parse_npy(const std::byte* data, std::size_t size, std::shared_ptr<const void> owner,
                              std::string name, const std::string& source) {
  const auto fail = [&source](const std::string& reason) { throw io_error(concat("'", source, "': ", reason)); };
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.substr(0, 6) != npy_magic) fail("no npy file: the magic word \\x93NUMPY is missing");
  if (size < 10) fail("truncated npy header");
  const int version = std::to_integer<int>(data[6]);
  if (version < 1 || version > 3) fail(concat("npy format version ", version, ", expected 1, 2 or 3"));
  const std::size_t begin = version == 1 ? 10 : 12;
  if (size < begin) fail("truncated npy header");
  const std::size_t length = version == 1 ? load<std::uint16_t>(data + 8) : load<std::uint32_t>(data + 8);
  if (length > size - begin) fail(concat("npy header of ", length, " bytes announced, ", size - begin, " are there"));
  const npy_header header = npy_dict(text.substr(begin, length), source).read();

  const auto needed = checked_bytes(header.shape, header.type);
  const std::size_t held = size - begin - length;
  if (!needed || *needed != held)
    fail(concat("npy: ", to_string(header.type), " of shape ", to_string_extents(header.shape), " needs ",
                needed ? std::to_string(*needed) : "too many", " bytes, the file holds ", held));
  named_tensor result;
  result.name = std::move(name);
  result.type = header.type;
  result.shape = header.shape;
  result.bytes = held;
  result.data = data + begin + length;
  result.owner = std::move(owner);
  if (header.column_major && header.shape.size() > 1) {
    const auto copy = row_major(result.data, header);
    result.data = copy->data();
    result.owner = copy;
  }
  return result;
}

/// Magic word, version 1 (2 for a very long shape) and dict, padded so that the array begins at a multiple of 64.
inline std::string npy_prefix(const named_tensor& tensor) {
  const auto spelt = std::find_if(std::begin(npy_types), std::end(npy_types),
                                  [&](const auto& entry) { return entry.second == tensor.type; });
  if (spelt == std::end(npy_types))
    throw io_error(concat("npy: tensor '", tensor.name, "' is ", to_string(tensor.type),
                          ", which NumPy cannot name; store it as float"));
  const auto needed = checked_bytes(tensor.shape, tensor.type);
  if (!needed || *needed != tensor.bytes)
    throw io_error(concat("npy: tensor '", tensor.name, "' of shape ", to_string_extents(tensor.shape),
                          " does not fit its ", tensor.bytes, " bytes"));
  std::string extents;
  for (const index_t extent : tensor.shape) extents += std::to_string(extent) + ", ";
  if (tensor.shape.size() > 1) extents.resize(extents.size() - 2);
  std::string dict = concat("{'descr': '", spelt->first, "', 'fortran_order': False, 'shape': (", extents, "), }");
  const std::size_t begin = dict.size() < 65000 ? 10 : 12;
  dict.resize((begin + dict.size() + 1 + 63) / 64 * 64 - begin - 1, ' ');
  dict += '\n';
  std::string prefix(npy_magic);
  prefix += begin == 10 ? std::string("\x01\x00", 2) : std::string("\x02\x00", 2);
  for (std::size_t byte = 0; byte < begin - 8; ++byte) prefix += static_cast<char>((dict.size() >> (8 * byte)) & 255);
  return prefix + dict;
}

}  // namespace detail

/// Reads an npy file; arrays in column-major (Fortran) order are turned. Throws io_error naming file and reason.
inline named_tensor read_npy(const std::filesystem::path& path) {
  const mapped_file file(path);
  return detail::parse_npy(file.data(), file.size(), file.owner(), path.stem().string(), path.string());
}

/// Writes an npy file, whole or not at all.
inline void write_npy(const std::filesystem::path& path, const named_tensor& tensor) {
  const std::string prefix = detail::npy_prefix(tensor);
  atomic_file file(path);
  file.write(prefix);
  file.write(tensor.data, tensor.bytes);
  file.commit();
}

}  // namespace fathom::io
