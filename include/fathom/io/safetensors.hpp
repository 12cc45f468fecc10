// SPDX-License-Identifier: Apache-2.0
// safetensors files: 8-byte little-endian header length, a JSON header, then raw arrays. Reader (mapped) and writer.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/core/host_tensor.hpp>
#include <fathom/io/atomic_file.hpp>
#include <fathom/io/mapped_file.hpp>
#include <fathom/io/named_tensor.hpp>
#include <fathom/io/tensor_file.hpp>

namespace fathom::io {

/// Free text stored beside the arrays of a file.
using string_map = std::map<std::string, std::string>;

namespace detail {

/// Longest header accepted, that of the format's own library.
inline constexpr std::uint64_t max_safetensors_header = 100'000'000;

inline std::optional<dtype> dtype_named(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(dtype::boolean); ++i)
    if (name == to_string(static_cast<dtype>(i))) return static_cast<dtype>(i);
  return std::nullopt;
}

/// Parses JSON text and also reports keys that occur twice in one object, which a JSON library silently merges.
inline nlohmann::json parse_json_strictly(std::string_view text, std::vector<std::string>& repeated) {
  std::vector<std::set<std::string>> open_objects;
  const auto watch = [&](int, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    using kind = nlohmann::json::parse_event_t;
    if (event == kind::object_start) open_objects.emplace_back();
    if (event == kind::object_end) open_objects.pop_back();
    if (event == kind::key && !open_objects.back().insert(value.get<std::string>()).second)
      repeated.push_back(value.get<std::string>());
    return true;
  };
  return nlohmann::json::parse(text.begin(), text.end(), watch);
}

/// What a file that is no safetensors file seems to be.
inline std::string guess_format(const std::byte* data, std::size_t size) {
  const std::string_view head(reinterpret_cast<const char*>(data), std::min<std::size_t>(size, 8));
  if (head.substr(0, 4) == "PK\x03\x04") return " (it looks like a zip: an npz or PyTorch file?)";
  if (head.substr(0, 6) == "\x93NUMPY") return " (it looks like an npy file)";
  if (head.substr(0, 2) == "\x1f\x8b") return " (it looks like a gzip file: unpack it first)";
  if (head.substr(0, 4) == "\x89HDF") return " (it looks like an HDF5 file)";
  if (head.substr(0, 7) == "version") return " (it looks like a Git LFS pointer: fetch the file itself)";
  if (head.substr(0, 1) == "<") return " (it looks like a web page)";
  return "";
}

}  // namespace detail

/// A safetensors file, opened and checked. Arrays are read from the mapping when they are asked for.
///
///     const io::safetensors file("weights.safetensors");
///     const auto w = file.get<float>("evoformer.blocks.0.msa_transition.linear_1.weight");
class safetensors : public tensor_file {
 public:
  /// Checks the whole header before anything is handed out. Throws io_error naming the file and every problem: wrong
  /// magic, truncated or oversized header, unknown type, negative or overflowing extents, byte counts that do not
  /// match, ranges that overlap, leave holes or end outside the file, keys that occur twice.
  explicit safetensors(const std::filesystem::path& path) : tensor_file(path), file_(path) { read_header(); }

  const string_map& metadata() const { return metadata_; }

 private:
  void read_header() {
    if (file_.size() < 8)
      throw io_error(detail::concat("'", this->path(), "' is no safetensors file: ", file_.size(),
                                    " bytes, at least 8 for the header length expected (truncated?)"));
    const auto length = detail::load<std::uint64_t>(file_.data());
    const std::string_view rest(reinterpret_cast<const char*>(file_.data()) + 8, file_.size() - 8);
    if (length > detail::max_safetensors_header)
      throw io_error(detail::concat("'", this->path(), "': header length ", length, " is over the limit of ",
                                    detail::max_safetensors_header, "; this is no safetensors file",
                                    detail::guess_format(file_.data(), file_.size())));
    if (length > rest.size())
      throw io_error(detail::concat(
          "'", this->path(), "': header of ", length, " bytes announced, the file ends after ", rest.size(),
          "; it is truncated or no safetensors file", detail::guess_format(file_.data(), file_.size())));
    if (length == 0 || rest[0] != '{')
      throw io_error(detail::concat("'", this->path(), "' is no safetensors file: the header does not begin with '{'",
                                    detail::guess_format(file_.data(), file_.size())));

    std::vector<std::string> repeated;
    nlohmann::json header;
    try {
      header = detail::parse_json_strictly(rest.substr(0, static_cast<std::size_t>(length)), repeated);
    } catch (const nlohmann::json::exception& problem) {
      throw io_error(detail::concat("'", this->path(), "': the header is not valid JSON: ", problem.what()));
    }

    detail::problem_list problems(detail::concat("'", this->path(), "' is damaged, "));
    for (const auto& key : repeated) problems.add("key '", key, "' occurs twice");
    const std::byte* const data = file_.data() + 8 + length;
    const std::uint64_t data_bytes = rest.size() - length;
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__")
        read_metadata(entry, problems);
      else
        read_entry(name, entry, data, data_bytes, problems);
    }
    check_ranges(data, data_bytes, problems);
    problems.throw_if_any();
    for (auto& tensor : found_) add(std::move(tensor));
    found_.clear();
  }

  void read_metadata(const nlohmann::json& entry, detail::problem_list& problems) {
    if (!entry.is_object()) return problems.add("__metadata__ is no object");
    for (const auto& [key, value] : entry.items()) {
      if (value.is_string())
        metadata_[key] = value.get<std::string>();
      else
        problems.add("__metadata__: the value of '", key, "' is no string");
    }
  }

  void read_entry(const std::string& name, const nlohmann::json& entry, const std::byte* data, std::uint64_t data_bytes,
                  detail::problem_list& problems) {
    const auto is_count = [](const nlohmann::json& value) { return value.is_number_unsigned(); };
    if (!entry.is_object() || !entry.contains("dtype") || !entry.contains("shape") || !entry.contains("data_offsets"))
      return problems.add("tensor '", name, "': dtype, shape and data_offsets expected");
    const auto &type_field = entry["dtype"], &shape = entry["shape"], &range = entry["data_offsets"];
    const auto type = type_field.is_string() ? detail::dtype_named(type_field.get<std::string>()) : std::nullopt;
    if (!type)
      return problems.add("tensor '", name, "': dtype ", type_field.dump(),
                          ", expected F64 F32 F16 BF16 I64 I32 I16 I8 U8 or BOOL");
    if (!shape.is_array() || !std::all_of(shape.begin(), shape.end(), is_count))
      return problems.add("tensor '", name, "': shape ", shape.dump(), " is no list of extents");
    if (!range.is_array() || range.size() != 2 || !std::all_of(range.begin(), range.end(), is_count))
      return problems.add("tensor '", name, "': data_offsets ", range.dump(), " is no pair of byte positions");
    const auto begin = range[0].get<std::uint64_t>(), end = range[1].get<std::uint64_t>();
    if (begin > end || end > data_bytes)
      return problems.add("tensor '", name, "': data_offsets ", range.dump(), " lie outside the ", data_bytes,
                          " data bytes of the file (truncated?)");
    named_tensor tensor;
    std::uint64_t count = size_of(*type);
    bool empty = false;
    for (const auto& extent : shape) {
      const auto n = extent.get<std::uint64_t>();
      empty = empty || n == 0;
      if (n > static_cast<std::uint64_t>(std::numeric_limits<index_t>::max()) ||
          (!empty && count > static_cast<std::uint64_t>(std::numeric_limits<index_t>::max()) / n))
        return problems.add("tensor '", name, "': shape ", shape.dump(), " overflows");
      tensor.shape.push_back(static_cast<index_t>(n));
      if (!empty) count *= n;
    }
    if (empty) count = 0;
    if (count != end - begin)
      return problems.add("tensor '", name, "': ", to_string(*type), " of shape ", shape.dump(), " needs ", count,
                          " bytes, data_offsets ", range.dump(), " hold ", end - begin);
    tensor.name = name;
    tensor.type = *type;
    tensor.data = data + begin;
    tensor.bytes = static_cast<std::size_t>(count);
    tensor.owner = file_.owner();
    found_.push_back(std::move(tensor));
  }

  /// Sorts by position; every data byte must belong to exactly one array.
  void check_ranges(const std::byte* data, std::uint64_t data_bytes, detail::problem_list& problems) {
    std::sort(found_.begin(), found_.end(), [](const named_tensor& a, const named_tensor& b) {
      return std::tie(a.data, a.bytes, a.name) < std::tie(b.data, b.bytes, b.name);
    });
    std::uint64_t reached = 0;
    for (const auto& tensor : found_) {
      const auto begin = static_cast<std::uint64_t>(tensor.data - data);
      if (begin < reached) problems.add("tensor '", tensor.name, "' overlaps the one before it, at data byte ", begin);
      if (begin > reached) problems.add("data bytes ", reached, " to ", begin, " belong to no tensor");
      reached = std::max(reached, begin + tensor.bytes);
    }
    if (reached < data_bytes) problems.add("data bytes ", reached, " to ", data_bytes, " belong to no tensor");
  }

  mapped_file file_;
  std::vector<named_tensor> found_;
  string_map metadata_;
};

/// Writes a safetensors file, whole or not at all. Arrays are stored by falling element size, so that each begins at a
/// multiple of its own. Throws io_error for a name that occurs twice, an array whose bytes do not fit its shape, or
/// text that is not UTF-8.
inline void write_safetensors(const std::filesystem::path& path, const std::vector<named_tensor>& tensors,
                              const string_map& metadata = {}) {
  const auto failure = [&path](const std::string& reason) {
    return io_error(detail::concat("write_safetensors '", path.string(), "': ", reason));
  };
  std::vector<const named_tensor*> order;
  std::set<std::string> seen;
  for (const auto& tensor : tensors) {
    if (tensor.name == "__metadata__" || !seen.insert(tensor.name).second)
      throw failure("name '" + tensor.name + "' occurs twice or is reserved");
    const auto needed = static_cast<std::size_t>(host_tensor<char>::count(tensor.shape)) * size_of(tensor.type);
    if (needed != tensor.bytes)
      throw failure(detail::concat("tensor '", tensor.name, "' of shape ", to_string_extents(tensor.shape), " needs ",
                                   needed, " bytes, got ", tensor.bytes));
    order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(), [](const named_tensor* a, const named_tensor* b) {
    return size_of(a->type) != size_of(b->type) ? size_of(a->type) > size_of(b->type) : a < b;
  });

  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::size_t offset = 0;
  for (const auto* tensor : order) {
    header[tensor->name] = {{"dtype", to_string(tensor->type)},
                            {"shape", tensor->shape},
                            {"data_offsets", {offset, offset + tensor->bytes}}};
    offset += tensor->bytes;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception& problem) {
    throw failure(problem.what());
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');  // so that the data begin at a multiple of 8

  atomic_file file(path);
  const std::uint64_t length = text.size();
  file.write(&length, sizeof(length));
  file.write(text);
  for (const auto* tensor : order) file.write(tensor->data, tensor->bytes);
  file.commit();
}

}  // namespace fathom::io
