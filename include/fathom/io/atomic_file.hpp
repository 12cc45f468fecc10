// SPDX-License-Identifier: Apache-2.0
// Files that appear whole or not at all: written beside their place, synchronised, then renamed over it.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <ostream>
#include <streambuf>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <fathom/core/error.hpp>

namespace fathom::io {

namespace detail {

using fathom::detail::concat;

/// The name of a temporary that is being written. Whoever takes the pointer out of `name` may use it: the writer, which
/// frees it, or unlink_unfinished(), which may not (it runs in signal handlers) and puts it into `used`.
struct unfinished_file {
  std::atomic<char*> name{nullptr}, used{nullptr};
};

inline std::array<unfinished_file, 256>& unfinished_files() {
  // constinit: no guard is run, on which a signal handler might wait for ever
  static constinit std::array<unfinished_file, 256> slots{};
  return slots;
}

static_assert(std::atomic<char*>::is_always_lock_free, "signal handlers may only touch lock-free atomics");

inline std::string errno_text(int code) { return std::system_category().message(code); }

}  // namespace detail

/// Removes every temporary of an atomic_file that has not been committed. Async-signal-safe: call it from a SIGINT
/// handler or before std::_Exit.
inline void unlink_unfinished() noexcept {
  for (auto& slot : detail::unfinished_files())
    if (char* path = slot.name.exchange(nullptr)) {
      ::unlink(path);
      slot.used.store(path);
    }
}

/// A file under construction. Nothing is seen at `path` before commit(); destruction without commit(), an exception or
/// a full disk leaves the old file (or none). A path that is a device or pipe is written straight through.
///
///     io::atomic_file file("out.pdb");
///     file.stream() << text;
///     file.commit();
///
/// Throws io_error naming the path and the system's reason. At most 256 temporaries are known to unlink_unfinished() at
/// one time.
class atomic_file {
 public:
  explicit atomic_file(const std::filesystem::path& path) : path_(resolve(path)), buffer_(*this), stream_(&buffer_) {
    struct stat status {};
    const bool exists = ::stat(path_.c_str(), &status) == 0;
    if (exists && S_ISDIR(status.st_mode)) throw failure("it is a folder");
    if (exists && !S_ISREG(status.st_mode)) {
      descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
      if (descriptor_ < 0) throw failure(detail::errno_text(errno));
      return;
    }
    open_temporary();
    if (exists) static_cast<void>(::fchmod(descriptor_, status.st_mode & 07777));  // a courtesy; failing is no harm
    remember();
  }

  atomic_file(const atomic_file&) = delete;
  atomic_file& operator=(const atomic_file&) = delete;

  ~atomic_file() { discard(); }

  /// Text or binary output; errors surface at commit().
  std::ostream& stream() { return stream_; }

  void write(const void* data, std::size_t bytes) {
    stream_.write(static_cast<const char*>(data), static_cast<std::streamsize>(bytes));
    if (error_ != 0) throw failure(detail::errno_text(error_));
  }
  void write(std::string_view text) { write(text.data(), text.size()); }

  /// Writes what is buffered, synchronises with the disk and puts the file in its place.
  void commit() {
    if (descriptor_ < 0) throw failure("commit() was called twice");
    stream_.flush();
    if (error_ == 0 && !stream_) error_ = EIO;
    if (error_ == 0 && !temporary_.empty() && ::fsync(descriptor_) != 0) error_ = errno;
    if (::close(descriptor_) != 0 && error_ == 0) error_ = errno;
    descriptor_ = -1;
    if (error_ == 0 && !temporary_.empty() && ::rename(temporary_.c_str(), path_.c_str()) != 0) error_ = errno;
    if (error_ != 0) {
      const std::string reason = detail::errno_text(error_);
      discard();
      throw failure(reason);
    }
    forget();
    synchronise_folder();
    temporary_.clear();
  }

 private:
  class output_buffer : public std::streambuf {
   public:
    explicit output_buffer(atomic_file& file) : file_(file), bytes_(1 << 16) { reset(); }

   protected:
    int_type overflow(int_type next) override {
      if (!drain()) return traits_type::eof();
      if (!traits_type::eq_int_type(next, traits_type::eof())) sputc(traits_type::to_char_type(next));
      return traits_type::not_eof(next);
    }
    int sync() override { return drain() ? 0 : -1; }

   private:
    void reset() { setp(bytes_.data(), bytes_.data() + bytes_.size()); }
    bool drain() {
      const bool good = file_.put(pbase(), static_cast<std::size_t>(pptr() - pbase()));
      reset();
      return good;
    }
    atomic_file& file_;
    std::vector<char> bytes_;
  };

  io_error failure(const std::string& reason) const {
    return io_error(detail::concat("cannot write '", path_.string(), "': ", reason));
  }

  /// A link keeps pointing where it points: the file behind it is replaced.
  static std::filesystem::path resolve(const std::filesystem::path& path) {
    std::error_code ignored;
    if (!std::filesystem::is_symlink(path, ignored)) return path;
    const auto real = std::filesystem::weakly_canonical(path, ignored);
    return ignored ? path : real;
  }

  void open_temporary() {
    static std::atomic<unsigned> counter{0};
    for (int attempt = 0; attempt < 100; ++attempt) {
      // The name ends in .part, so that a glob for the real ending never meets an unfinished file.
      const std::string name = detail::concat(".", path_.filename().string(), ".", ::getpid(), "-", counter++, ".part");
      temporary_ = (path_.parent_path() / name).string();
      descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (descriptor_ >= 0 || errno != EEXIST) break;
    }
    if (descriptor_ >= 0) return;
    const int code = errno;
    temporary_.clear();
    throw failure(detail::errno_text(code));
  }

  bool put(const char* data, std::size_t bytes) {
    while (bytes != 0 && error_ == 0) {
      const ::ssize_t written = ::write(descriptor_, data, bytes);
      if (written < 0) {
        if (errno != EINTR) error_ = errno;
        continue;
      }
      data += written;
      bytes -= static_cast<std::size_t>(written);
    }
    return error_ == 0;
  }

  void remember() {
    char* name = new char[temporary_.size() + 1];
    std::memcpy(name, temporary_.c_str(), temporary_.size() + 1);
    for (auto& slot : detail::unfinished_files()) {
      char* free_slot = nullptr;
      if (slot.name.compare_exchange_strong(free_slot, name)) {
        slot_ = &slot;
        registered_ = name;
        return;
      }
    }
    delete[] name;
  }

  void forget() {
    if (slot_ == nullptr) return;
    char *mine = registered_, *also_mine = registered_;
    if (slot_->name.compare_exchange_strong(mine, nullptr) || slot_->used.compare_exchange_strong(also_mine, nullptr))
      delete[] registered_;
    slot_ = nullptr;
    registered_ = nullptr;
  }

  void discard() noexcept {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
    temporary_.clear();
    forget();
  }

  /// Makes the rename itself last through a power cut, where the file system lets a folder be synchronised.
  void synchronise_folder() const {
    if (temporary_.empty()) return;
    const auto folder = path_.has_parent_path() ? path_.parent_path() : std::filesystem::path(".");
    const int handle = ::open(folder.c_str(), O_RDONLY | O_CLOEXEC);
    if (handle < 0) return;
    static_cast<void>(::fsync(handle));
    ::close(handle);
  }

  std::filesystem::path path_;
  std::string temporary_;  ///< empty when the target is written straight through
  int descriptor_ = -1;
  int error_ = 0;  ///< first errno of a failed write
  detail::unfinished_file* slot_ = nullptr;
  char* registered_ = nullptr;
  output_buffer buffer_;
  std::ostream stream_;
};

/// Writes `text` to `path`, whole or not at all.
inline void write_file(const std::filesystem::path& path, std::string_view text) {
  atomic_file file(path);
  file.write(text);
  file.commit();
}

}  // namespace fathom::io
