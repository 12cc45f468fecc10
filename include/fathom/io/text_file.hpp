// SPDX-License-Identifier: Apache-2.0
// Whole files as strings, gzip seen through; and the lines of a text wherever it was written (LF, CRLF, CR).
#pragma once

#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include <fathom/core/error.hpp>

namespace fathom::io {

/// Most bytes a text may have once it is unpacked, a guard against archives made to fill the memory.
inline constexpr std::size_t max_text_bytes = std::size_t{2} << 30;

namespace detail {

inline bool is_gzip(std::string_view bytes) { return bytes.substr(0, 2) == "\x1f\x8b"; }

/// Unpacks one or several gzip members. Throws io_error naming `source` when the stream is cut off or damaged.
inline std::string gunzip(std::string_view packed, const std::string& source, std::size_t limit) {
  const auto failure = [&source](const std::string& reason) {
    return io_error(fathom::detail::concat("cannot unpack '", source, "': ", reason));
  };
  std::string text;
  std::array<char, 1 << 16> block{};
  std::size_t position = 0;
  do {
    z_stream stream{};
    if (inflateInit2(&stream, 15 + 16) != Z_OK) throw failure("zlib does not start");
    const auto end = [](z_stream* s) { inflateEnd(s); };
    const std::unique_ptr<z_stream, decltype(end)> guard(&stream, end);
    int state = Z_OK;
    while (state == Z_OK) {
      if (stream.avail_in == 0) {
        const auto step = std::min<std::size_t>(packed.size() - position, std::size_t{1} << 30);
        if (step == 0) throw failure("the gzip stream is cut off");
        stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data() + position));
        stream.avail_in = static_cast<uInt>(step);
        position += step;
      }
      stream.next_out = reinterpret_cast<Bytef*>(block.data());
      stream.avail_out = static_cast<uInt>(block.size());
      state = inflate(&stream, Z_NO_FLUSH);
      if (state == Z_BUF_ERROR) state = Z_OK;  // it only wants more input
      if (state != Z_OK && state != Z_STREAM_END)
        throw failure(fathom::detail::concat("the gzip stream is damaged",
                                             stream.msg != nullptr ? std::string(" (") + stream.msg + ")" : ""));
      text.append(block.data(), block.size() - stream.avail_out);
      if (text.size() > limit) throw failure(fathom::detail::concat("more than ", limit, " bytes when unpacked"));
    }
    position -= stream.avail_in;
  } while (is_gzip(packed.substr(position)));  // what else follows a member is padding
  return text;
}

}  // namespace detail

/// The bytes of a file, unpacked when they are gzip (told by content, not by name). Pipes work too.
/// Throws io_error naming the path and the reason.
inline std::string read_text(const std::filesystem::path& path, std::size_t limit = max_text_bytes) {
  const auto failure = [&path](const std::string& reason) {
    return io_error(fathom::detail::concat("cannot read '", path.string(), "': ", reason));
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (!file) throw failure(std::system_category().message(errno));
  struct stat status {};
  if (::fstat(::fileno(file.get()), &status) == 0 && S_ISDIR(status.st_mode)) throw failure("it is a folder");
  std::string bytes;
  std::array<char, 1 << 16> block{};
  while (const std::size_t got = std::fread(block.data(), 1, block.size(), file.get())) {
    bytes.append(block.data(), got);
    if (bytes.size() > limit) throw failure(fathom::detail::concat("more than ", limit, " bytes"));
  }
  if (std::ferror(file.get()) != 0) throw failure(std::system_category().message(errno));
  return detail::is_gzip(bytes) ? detail::gunzip(bytes, path.string(), limit) : bytes;
}

/// Walks through the lines of a text; a byte order mark at its start is skipped.
class line_reader {
 public:
  explicit line_reader(std::string_view text) : rest_(text) {
    if (rest_.substr(0, 3) == "\xEF\xBB\xBF") rest_.remove_prefix(3);
  }

  /// Moves to the next line; false at the end.
  bool next() {
    if (rest_.empty()) return false;
    const std::size_t end = std::min(rest_.find_first_of("\r\n"), rest_.size());
    line_ = rest_.substr(0, end);
    const std::size_t ending = rest_.substr(end, 2) == "\r\n" ? 2 : 1;
    rest_.remove_prefix(std::min(end + ending, rest_.size()));
    ++number_;
    return true;
  }
  /// The line without its ending.
  std::string_view line() const { return line_; }
  /// Counted from 1.
  std::size_t number() const { return number_; }

 private:
  std::string_view rest_, line_;
  std::size_t number_ = 0;
};

namespace detail {

inline bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\v' || c == '\f'; }

inline std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

/// Takes the first word off `text`.
inline std::string_view take_word(std::string_view& text) {
  text = trimmed(text);
  std::size_t end = 0;
  while (end < text.size() && !is_blank(text[end])) ++end;
  const std::string_view word = text.substr(0, end);
  text = trimmed(text.substr(end));
  return word;
}

}  // namespace detail

}  // namespace fathom::io
