// SPDX-License-Identifier: Apache-2.0
// NumPy's npz files: a zip archive of npy arrays, stored or deflated, ZIP64 included. Reader and writer.
#pragma once

#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fathom/core/error.hpp>
#include <fathom/io/atomic_file.hpp>
#include <fathom/io/mapped_file.hpp>
#include <fathom/io/named_tensor.hpp>
#include <fathom/io/npy.hpp>
#include <fathom/io/tensor_file.hpp>

namespace fathom::io {

namespace detail {

/// A file inside a zip archive, as the central directory lists it.
struct zip_entry {
  std::string name;
  unsigned flags = 0, method = 0;
  std::uint32_t checksum = 0;
  std::uint64_t packed = 0, unpacked = 0, header = 0;
};

inline std::uint32_t checksum_of(const std::byte* data, std::size_t size) {
  uLong sum = crc32(0, nullptr, 0);
  while (size > 0) {
    const auto step = std::min<std::size_t>(size, std::size_t{1} << 30);
    sum = crc32(sum, reinterpret_cast<const Bytef*>(data), static_cast<uInt>(step));
    data += step;
    size -= step;
  }
  return static_cast<std::uint32_t>(sum);
}

/// The directory of a zip archive and the bytes of its members.
class zip_reader {
 public:
  zip_reader(const mapped_file& file, std::string path) : file_(file), path_(std::move(path)) {}

  std::vector<zip_entry> entries() const {
    const auto [start, size, count] = directory();
    std::vector<zip_entry> result;
    std::uint64_t at = start;
    while (at < start + size) {
      if (number<std::uint32_t>(at) != 0x02014b50) fail("the zip directory is damaged");
      zip_entry entry;
      entry.flags = number<std::uint16_t>(at + 8);
      entry.method = number<std::uint16_t>(at + 10);
      entry.checksum = number<std::uint32_t>(at + 16);
      entry.packed = number<std::uint32_t>(at + 20);
      entry.unpacked = number<std::uint32_t>(at + 24);
      entry.header = number<std::uint32_t>(at + 42);
      const std::uint64_t name = number<std::uint16_t>(at + 28), extra = number<std::uint16_t>(at + 30),
                          comment = number<std::uint16_t>(at + 32);
      entry.name = text(at + 46, name);
      widen(entry, at + 46 + name, extra);
      result.push_back(std::move(entry));
      at += 46 + name + extra + comment;
    }
    if (result.size() != count)
      fail(concat("the zip directory announces ", count, " members and lists ", result.size()));
    return result;
  }

  /// The unpacked bytes of a member and what keeps them alive; checked against length and checksum.
  std::pair<const std::byte*, std::shared_ptr<const void>> contents(const zip_entry& entry) const {
    if ((entry.flags & 1) != 0) fail(concat("member '", entry.name, "' is encrypted"));
    if (number<std::uint32_t>(entry.header) != 0x04034b50) fail(concat("member '", entry.name, "' has no header"));
    const std::uint64_t begin =
        entry.header + 30 + number<std::uint16_t>(entry.header + 26) + number<std::uint16_t>(entry.header + 28);
    need(begin, entry.packed);
    const std::byte* data = file_.data() + begin;
    std::shared_ptr<const void> owner = file_.owner();
    if (entry.method == 8) {
      auto unpacked = inflate_member(entry, data);
      data = unpacked->data();
      owner = std::move(unpacked);
    } else if (entry.method != 0) {
      fail(concat("member '", entry.name, "' is packed by method ", entry.method,
                  ", expected 0 (stored) or 8 (deflate)"));
    } else if (entry.packed != entry.unpacked) {
      fail(concat("member '", entry.name, "' is stored, but its two lengths differ"));
    }
    if (checksum_of(data, static_cast<std::size_t>(entry.unpacked)) != entry.checksum)
      fail(concat("member '", entry.name, "' is damaged: its checksum does not match"));
    return {data, owner};
  }

 private:
  struct extent {
    std::uint64_t start, size, count;
  };

  [[noreturn]] void fail(const std::string& reason) const { throw io_error(concat("'", path_, "': ", reason)); }

  void need(std::uint64_t at, std::uint64_t bytes) const {
    if (at > file_.size() || bytes > file_.size() - at) fail("the zip archive is truncated or damaged");
  }
  template <class T>
  T number(std::uint64_t at) const {
    need(at, sizeof(T));
    return load<T>(file_.data() + at);
  }
  std::string text(std::uint64_t at, std::uint64_t bytes) const {
    need(at, bytes);
    return {reinterpret_cast<const char*>(file_.data()) + at, static_cast<std::size_t>(bytes)};
  }

  /// Finds the end-of-directory record, which a comment of up to 65535 bytes may follow.
  extent directory() const {
    const std::uint64_t size = file_.size();
    if (size < 22 || text(0, 2) != "PK") fail("no npz file: a zip archive expected");
    for (std::uint64_t at = size - 22;; --at) {
      if (load<std::uint32_t>(file_.data() + at) == 0x06054b50 && at + 22 + number<std::uint16_t>(at + 20) == size)
        return checked(at);
      if (at == 0 || size - at > 22 + 65535) fail("the zip archive is truncated: its directory is missing");
    }
  }

  extent checked(std::uint64_t at) const {
    extent found{number<std::uint32_t>(at + 16), number<std::uint32_t>(at + 12), number<std::uint16_t>(at + 10)};
    if (at >= 20 && number<std::uint32_t>(at - 20) == 0x07064b50) {  // ZIP64: the numbers are in a record of their own
      at = number<std::uint64_t>(at - 12);
      if (number<std::uint32_t>(at) != 0x06064b50) fail("the ZIP64 directory is damaged");
      found = {number<std::uint64_t>(at + 48), number<std::uint64_t>(at + 40), number<std::uint64_t>(at + 32)};
    }
    need(found.start, found.size);
    return found;
  }

  /// ZIP64: fields that do not fit 32 bits stand in an extra field, in this order, and only those.
  void widen(zip_entry& entry, std::uint64_t at, std::uint64_t bytes) const {
    need(at, bytes);
    const std::uint64_t end = at + bytes;
    while (at + 4 <= end) {
      const auto tag = number<std::uint16_t>(at);
      const std::uint64_t stop = at + 4 + number<std::uint16_t>(at + 2);
      at += 4;
      for (auto* field : {&entry.unpacked, &entry.packed, &entry.header})
        if (tag == 1 && *field == 0xFFFFFFFFu && at + 8 <= stop) {
          *field = number<std::uint64_t>(at);
          at += 8;
        }
      at = stop;
    }
  }

  std::shared_ptr<std::vector<std::byte>> inflate_member(const zip_entry& entry, const std::byte* packed) const {
    // Deflate cannot do better than 1032:1, so that a forged length does not make us fill the memory.
    if (entry.unpacked / 1032 > entry.packed + 1)
      fail(concat("member '", entry.name, "' claims ", entry.unpacked, " bytes, more than its ", entry.packed,
                  " can hold"));
    auto result = std::make_shared<std::vector<std::byte>>(static_cast<std::size_t>(entry.unpacked));
    z_stream stream{};
    if (inflateInit2(&stream, -15) != Z_OK) fail("zlib does not start");
    const auto end = [](z_stream* s) { inflateEnd(s); };
    const std::unique_ptr<z_stream, decltype(end)> guard(&stream, end);
    std::uint64_t taken = 0, made = 0;
    int state = Z_OK;
    while (state == Z_OK) {
      constexpr std::uint64_t most = std::uint64_t{1} << 30;  // zlib counts in 32 bits
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(packed + taken));
      stream.avail_in = static_cast<uInt>(std::min(entry.packed - taken, most));
      stream.next_out = reinterpret_cast<Bytef*>(result->data() + made);
      stream.avail_out = static_cast<uInt>(std::min(entry.unpacked - made, most));
      const auto in = stream.avail_in, out = stream.avail_out;
      state = inflate(&stream, Z_NO_FLUSH);
      taken += in - stream.avail_in;
      made += out - stream.avail_out;
    }
    if (state != Z_STREAM_END || made != entry.unpacked) fail(concat("member '", entry.name, "' is damaged"));
    return result;
  }

  const mapped_file& file_;
  std::string path_;
};

}  // namespace detail

/// An npz file, opened and checked (lengths, checksums). The name of an array is its member's without ".npy", so that
/// AlphaFold's "alphafold/alphafold_iteration/evoformer//weights" stays whole. Stored members are read from the
/// mapping. Throws io_error naming the file and the reason; arrays that cannot be read are listed all at once.
class npz : public tensor_file {
 public:
  explicit npz(const std::filesystem::path& path) : tensor_file(path) {
    const mapped_file file(path);
    const detail::zip_reader zip(file, this->path());
    detail::problem_list problems(detail::concat("'", this->path(), "' cannot be read, "));
    for (const auto& entry : zip.entries()) {
      const std::string_view ending = ".npy";
      if (!entry.name.empty() && entry.name.back() == '/') continue;  // a folder
      if (entry.name.size() < ending.size() || entry.name.substr(entry.name.size() - ending.size()) != ending) {
        problems.add("member '", entry.name, "' is no .npy array");
        continue;
      }
      const std::string name = entry.name.substr(0, entry.name.size() - ending.size());
      try {
        const auto [data, owner] = zip.contents(entry);
        if (!add(detail::parse_npy(data, static_cast<std::size_t>(entry.unpacked), owner, name, entry.name)))
          problems.add("array '", name, "' occurs twice");
      } catch (const io_error& problem) {
        problems.add(problem.what());
      }
    }
    problems.throw_if_any();
  }
};

/// Writes an npz file (members stored, as numpy.savez does), whole or not at all. Throws io_error for a name that
/// occurs twice, an array whose bytes do not fit its shape, bfloat16, or more than 4 GiB or 65535 arrays.
inline void write_npz(const std::filesystem::path& path, const std::vector<named_tensor>& tensors) {
  const auto failure = [&path](const std::string& reason) {
    return io_error(detail::concat("write_npz '", path.string(), "': ", reason));
  };
  if (tensors.size() > 0xFFFF) throw failure("more than 65535 arrays; write_safetensors has no such limit");
  std::set<std::string> seen;
  std::vector<std::string> prefixes;
  std::uint64_t total = 22;
  for (const auto& tensor : tensors) {
    if (!seen.insert(tensor.name).second) throw failure("name '" + tensor.name + "' occurs twice");
    if (tensor.name.size() > 60000) throw failure("name '" + tensor.name.substr(0, 40) + "...' is too long");
    prefixes.push_back(detail::npy_prefix(tensor));
    total += prefixes.back().size() + tensor.bytes + 2 * (tensor.name.size() + 4) + 30 + 46;
  }
  if (total > 0xFFFFFFFFu) throw failure("more than 4 GiB; write_safetensors has no such limit");

  const auto append = [](std::string& text, std::uint64_t value, int bytes) {
    for (int byte = 0; byte < bytes; ++byte) text += static_cast<char>((value >> (8 * byte)) & 255);
  };
  atomic_file file(path);
  std::string directory;
  std::uint64_t offset = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& tensor = tensors[i];
    const std::string name = tensor.name + ".npy";
    const std::uint64_t size = prefixes[i].size() + tensor.bytes;
    const auto* head = reinterpret_cast<const std::byte*>(prefixes[i].data());
    const auto checksum = static_cast<std::uint32_t>(crc32_combine(detail::checksum_of(head, prefixes[i].size()),
                                                                   detail::checksum_of(tensor.data, tensor.bytes),
                                                                   static_cast<z_off_t>(tensor.bytes)));
    std::string common;  // what a member's header and the directory have in common
    append(common, 20, 2);
    append(common, 0x0800, 2);      // names are UTF-8
    append(common, 0, 2);           // stored
    append(common, 0x00210000, 4);  // 1980-01-01 00:00, so that equal content gives equal files
    append(common, checksum, 4);
    append(common, size, 4);
    append(common, size, 4);
    append(common, name.size(), 2);
    append(common, 0, 2);
    std::string header;
    append(header, 0x04034b50, 4);
    header += common + name;
    append(directory, 0x02014b50, 4);
    append(directory, 20, 2);
    directory += common;
    directory.append(2 + 2 + 2 + 4, '\0');  // no comment, first disk, no attributes
    append(directory, offset, 4);
    directory += name;
    file.write(header);
    file.write(prefixes[i]);
    file.write(tensor.data, tensor.bytes);
    offset += header.size() + size;
  }
  std::string end;
  append(end, 0x06054b50, 4);
  append(end, 0, 4);
  append(end, tensors.size(), 2);
  append(end, tensors.size(), 2);
  append(end, directory.size(), 4);
  append(end, offset, 4);
  append(end, 0, 2);
  file.write(directory);
  file.write(end);
  file.commit();
}

}  // namespace fathom::io
