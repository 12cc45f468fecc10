// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>

#include <fathom/io/atomic_file.hpp>
#include <fathom/io/text_file.hpp>

namespace {

namespace fs = std::filesystem;
using namespace fathom;

struct scratch_folder {
  fs::path path = fs::temp_directory_path() / ("fathom_atomic_" + std::to_string(::getpid()));
  scratch_folder() { fs::create_directories(path); }
  ~scratch_folder() { fs::remove_all(path); }
  fs::path operator/(const std::string& name) const { return path / name; }
  long files() const { return std::distance(fs::directory_iterator(path), fs::directory_iterator()); }
};

/// Runs `body` in a child process and returns its exit code, -1 when a signal ended it.
template <class Body>
int in_child(Body&& body) {
  const ::pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(body());
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("io: an atomic file appears at commit and not before") {
  const scratch_folder folder;
  const fs::path path = folder / "out.pdb";
  io::write_file(path, "old");
  {
    io::atomic_file file(path);
    file.stream() << "new " << 42 << '\n';
    file.write("tail");
    file.stream().flush();
    CHECK(io::read_text(path) == "old");
    CHECK(folder.files() == 2);
    for (const auto& item : fs::directory_iterator(folder.path))
      if (item.path() != path) CHECK(item.path().extension() == ".part");
    file.commit();
    CHECK_THROWS_WITH_AS(file.commit(), doctest::Contains("twice"), io_error);
  }
  CHECK(io::read_text(path) == "new 42\ntail");
  CHECK(folder.files() == 1);
}

TEST_CASE("io: an atomic file that is not committed leaves the old one") {
  const scratch_folder folder;
  io::write_file(folder / "a", "old");
  { io::atomic_file(folder / "a").write(std::string(1 << 20, 'x')); }
  try {
    io::atomic_file file(folder / "b");
    file.stream() << "half";
    throw std::runtime_error("meanwhile");
  } catch (const std::runtime_error&) {
  }
  CHECK(io::read_text(folder / "a") == "old");
  CHECK(folder.files() == 1);
}

TEST_CASE("io: errors of writing name the file and the reason") {
  const scratch_folder folder;
  CHECK_THROWS_WITH_AS(io::write_file(folder / "no" / "x", "t"), doctest::Contains("No such file"), io_error);
  CHECK_THROWS_WITH_AS(io::write_file(folder.path, "t"), doctest::Contains("it is a folder"), io_error);
  if (fs::exists("/dev/full")) {
    CHECK_THROWS_WITH_AS(io::write_file("/dev/full", "t"), doctest::Contains("'/dev/full': No space left"), io_error);
    CHECK(fs::is_character_file("/dev/full"));
  }
  CHECK_NOTHROW(io::write_file("/dev/null", "t"));
  CHECK(fs::is_character_file("/dev/null"));
}

TEST_CASE("io: a full disk leaves the old file and no temporary") {
  const scratch_folder folder;
  io::write_file(folder / "a", "old");
  const int code = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const ::rlimit limit{1 << 16, 1 << 16};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
    int refused = 0;
    try {
      io::write_file(folder / "a", std::string(1 << 20, 'x'));
    } catch (const io_error&) {
      ++refused;
    }
    try {  // through the stream alone: the error must surface at commit
      io::atomic_file file(folder / "a");
      file.stream() << std::string(1 << 20, 'x');
      file.commit();
    } catch (const io_error&) {
      ++refused;
    }
    return refused == 2 ? 0 : 1;
  });
  CHECK(code == 0);
  CHECK(io::read_text(folder / "a") == "old");
  CHECK(folder.files() == 1);
}

TEST_CASE("io: a signal handler can remove what is unfinished") {
  const scratch_folder folder;
  io::write_file(folder / "a", "old");
  const int code = in_child([&] {
    ::signal(SIGINT, [](int) {
      io::unlink_unfinished();
      ::_exit(7);
    });
    io::atomic_file first(folder / "a"), second(folder / "b");
    first.stream() << "half" << std::flush;
    second.stream() << "half" << std::flush;
    if (folder.files() != 3) return 1;
    ::raise(SIGINT);
    return 2;
  });
  CHECK(code == 7);
  CHECK(io::read_text(folder / "a") == "old");
  CHECK(folder.files() == 1);
}

TEST_CASE("io: unlink_unfinished in the middle makes commit fail and keeps the old file") {
  const scratch_folder folder;
  io::write_file(folder / "a", "old");
  io::atomic_file file(folder / "a");
  file.stream() << "new";
  io::unlink_unfinished();
  CHECK_THROWS_AS(file.commit(), io_error);
  CHECK(io::read_text(folder / "a") == "old");
  CHECK(folder.files() == 1);
}

TEST_CASE("io: links are followed, modes kept, and many files may be open at once") {
  const scratch_folder folder;
  io::write_file(folder / "real", "old");
  fs::permissions(folder / "real", fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("real", folder / "link");
  io::write_file(folder / "link", "new");
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(io::read_text(folder / "real") == "new");
  CHECK(fs::status(folder / "real").permissions() == (fs::perms::owner_read | fs::perms::owner_write));
  {
    std::vector<std::unique_ptr<io::atomic_file>> many;
    for (int i = 0; i < 300; ++i) many.push_back(std::make_unique<io::atomic_file>(folder / ("m" + std::to_string(i))));
    for (auto& file : many) file->commit();
  }
  CHECK(folder.files() == 302);
}
