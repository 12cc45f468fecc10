// SPDX-License-Identifier: Apache-2.0
// The bytes of a file, read-only, mapped into memory so that large checkpoints cost nothing until they are used.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include <fathom/core/error.hpp>

namespace fathom::io {

/// Bytes of a regular file; copies share one mapping, which ends with the last of them.
class mapped_file {
 public:
  /// Throws io_error naming the path and the system's reason.
  explicit mapped_file(const std::filesystem::path& path) {
    const auto failure = [&path](const std::string& reason) {
      return io_error(fathom::detail::concat("cannot read '", path.string(), "': ", reason));
    };
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) throw failure(std::system_category().message(errno));
    const auto closer = std::shared_ptr<void>(nullptr, [descriptor](void*) { ::close(descriptor); });
    struct stat status {};
    if (::fstat(descriptor, &status) != 0) throw failure(std::system_category().message(errno));
    if (!S_ISREG(status.st_mode)) throw failure("it is not a regular file");
    size_ = static_cast<std::size_t>(status.st_size);
    if (size_ == 0) return;  // an empty range cannot be mapped
    void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (address == MAP_FAILED) throw failure(std::system_category().message(errno));
    bytes_ = std::shared_ptr<const std::byte>(
        static_cast<const std::byte*>(address),
        [size = size_](const std::byte* at) { ::munmap(const_cast<std::byte*>(at), size); });
  }

  const std::byte* data() const { return bytes_.get(); }
  std::size_t size() const { return size_; }
  /// Keeps the mapping alive for as long as it is held.
  std::shared_ptr<const void> owner() const { return bytes_; }

 private:
  std::shared_ptr<const std::byte> bytes_;
  std::size_t size_ = 0;
};

}  // namespace fathom::io
