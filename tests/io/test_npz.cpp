// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fathom/io/checkpoint_file.hpp>
#include <fathom/io/npy.hpp>
#include <fathom/io/npz.hpp>
#include <fathom/io/text_file.hpp>

namespace {

namespace fs = std::filesystem;
using namespace fathom;

struct scratch_folder {
  fs::path path = fs::temp_directory_path() / ("fathom_npz_" + std::to_string(::getpid()));
  scratch_folder() { fs::create_directories(path); }
  ~scratch_folder() { fs::remove_all(path); }
  fs::path operator/(const std::string& name) const { return path / name; }
};

void put(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

template <class Read>
std::string refusal(Read&& read, const fs::path& path, const std::string& bytes) {
  put(path, bytes);
  try {
    read(path);
  } catch (const io_error& problem) {
    return problem.what();
  }
  return "";
}

std::string little(std::uint64_t value, int bytes) {
  std::string text;
  for (int byte = 0; byte < bytes; ++byte) text += static_cast<char>((value >> (8 * byte)) & 255);
  return text;
}

std::string npy(const std::string& dict, const std::string& data, int version = 1) {
  return "\x93NUMPY" + little(static_cast<std::uint64_t>(version), 1) + little(0, 1) +
         little(dict.size(), version == 1 ? 2 : 4) + dict + data;
}

const std::string good_dict = "{'descr': '<i2', 'fortran_order': False, 'shape': (2,), }\n";

}  // namespace

TEST_CASE("io: npy round trip") {
  const scratch_folder folder;
  for (const std::vector<index_t>& shape :
       {std::vector<index_t>{}, {1}, {3}, {2, 3}, {0, 5}, std::vector<index_t>(32, 1)}) {
    host_tensor<double> x(shape);
    for (std::size_t i = 0; i < x.data.size(); ++i) x.data[i] = std::sqrt(static_cast<double>(i)) - 1;
    io::write_npy(folder / "x.npy", io::named_tensor::view("x", x));
    const auto back = io::read_npy(folder / "x.npy");
    CHECK(back.name == "x");
    CHECK(back.as<double>().shape == x.shape);
    CHECK(back.as<double>().data == x.data);
    CHECK((fs::file_size(folder / "x.npy") - x.data.size() * 8) % 64 == 0);
  }
}

TEST_CASE("io: npy headers of all versions and orders") {
  const scratch_folder folder;
  const auto read = [&](const std::string& bytes) {
    put(folder / "v.npy", bytes);
    return io::read_npy(folder / "v.npy");
  };
  const std::string data = little(5, 2) + little(0xFFFE, 2);
  for (const int version : {1, 2, 3})
    CHECK(read(npy(good_dict, data, version)).as<int>().data == std::vector<int>{5, -2});
  CHECK(read(npy("{\"shape\":(2,),\"descr\":\"<i2\",\"fortran_order\":False}", data)).as<int>().data[1] == -2);
  const auto turned = read(npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3)}", "\x01\x02\x03\x04\x05\x06"));
  CHECK(turned.as<int>().data == std::vector<int>{1, 3, 5, 2, 4, 6});
  CHECK(read(npy("{'descr': '<i2', 'fortran_order': True, 'shape': (2,)}", data)).as<int>().data[0] == 5);
}

TEST_CASE("io: a damaged npy file is refused with its reason") {
  const scratch_folder folder;
  const auto told = [&](const std::string& bytes) {
    return refusal([](const fs::path& path) { io::read_npy(path); }, folder / "bad.npy", bytes);
  };
  const std::string data(4, '\0');
  REQUIRE(told(npy(good_dict, data)).empty());
  CHECK(holds(told(""), "magic word"));
  CHECK(holds(told("PK\x03\x04"), "magic word"));
  CHECK(holds(told("\x93NUMPY\x01"), "truncated"));
  CHECK(holds(told(npy(good_dict, data, 9)), "version 9"));
  CHECK(holds(told(npy(good_dict, data).substr(0, 30)), "announced"));
  CHECK(holds(told(npy(good_dict, "abc")), "needs 4 bytes, the file holds 3"));
  CHECK(holds(told(npy(good_dict, "abcde")), "holds 5"));
  const auto dict = [&](const std::string& text) { return told(npy(text, data)); };
  CHECK(holds(dict(""), "'{' expected"));
  CHECK(holds(dict("{}"), "descr, fortran_order and shape expected"));
  CHECK(holds(dict("{'descr': '>i2', 'fortran_order': False, 'shape': (2,)}"), "type '>i2'"));
  CHECK(holds(dict("{'descr': '|O', 'fortran_order': False, 'shape': (2,)}"), "type '|O'"));
  CHECK(holds(dict("{'descr': [('a','<i2')], 'fortran_order': False, 'shape': (2,)}"), "quoted word"));
  CHECK(holds(dict("{'descr': '<i2', 'fortran_order': 0, 'shape': (2,)}"), "neither True nor False"));
  CHECK(holds(dict("{'descr': '<i2', 'fortran_order': False, 'shape': (-2,)}"), "no tuple"));
  CHECK(holds(dict("{'descr': '<i2', 'fortran_order': False, 'shape': (2}"), "')' expected"));
  CHECK(holds(dict("{'descr': '<i2', 'fortran_order': False, 'shape': (99999999999999999999,)}"), "overflows"));
  CHECK(holds(dict("{'descr': '<i2', 'fortran_order': False, 'shape': (4611686018427387904, 4)}"), "too many"));
  CHECK(holds(dict("{'color': 1}"), "unknown key 'color'"));
  io::named_tensor brain;
  brain.name = "b";
  brain.type = io::dtype::bf16;
  CHECK_THROWS_WITH_AS(io::write_npy(folder / "b.npy", brain), doctest::Contains("BF16"), io_error);
  CHECK_FALSE(fs::exists(folder / "b.npy"));
}

TEST_CASE("io: npz files that NumPy wrote, stored and deflated") {
  for (const char* name : {"stored.npz", "deflated.npz"}) {
    CAPTURE(name);
    const io::tensor_file file = io::open_checkpoint(fs::path(FATHOM_SOURCE_DIR) / "tests/data/io" / name);
    CHECK(file.size() == 7);
    const auto weights = file.get<float>("alphafold/alphafold_iteration/evoformer//weights");
    const auto turned = file.get<double>("column_major");
    CHECK(weights.shape == std::vector<index_t>{2, 3, 4});
    CHECK(turned.shape == weights.shape);
    for (std::size_t i = 0; i < 24; ++i) {
      CHECK(weights.data[i] == static_cast<float>(i) / 8);
      CHECK(turned.data[i] == static_cast<double>(i));
    }
    CHECK(file.get<float>("half").data[1] == -2.0f);
    CHECK(file.at("half").first_not_finite() == 2);
    CHECK(file.get<std::int64_t>("scalar").shape.empty());
    CHECK(file.get<std::int64_t>("scalar").data[0] == -7);
    CHECK(file.at("flags").type == io::dtype::boolean);
    CHECK(file.get<int>("flags").data == std::vector<int>{1, 0});
    CHECK(file.get<int>("bytes").data == std::vector<int>{250, 251, 252, 253, 254, 255});
    CHECK(file.get<int>("nothing").shape == std::vector<index_t>{0, 3});
    CHECK_THROWS_WITH_AS(static_cast<void>(file.at("weights")), doctest::Contains("no tensor 'weights'"), io_error);
  }
}

TEST_CASE("io: npz round trip, the same bytes each time") {
  const scratch_folder folder;
  const host_tensor<float> a({2, 2}, {1, 2, 3, 0.1f});
  const host_tensor<std::int64_t> b({1}, std::vector<std::int64_t>{-5});
  const std::vector<io::named_tensor> all = {io::named_tensor::view("a//x", a), io::named_tensor::own("b", b)};
  io::write_npz(folder / "x.npz", all);
  io::named_tensor kept;
  {
    const io::npz file(folder / "x.npz");
    CHECK(file.names() == std::vector<std::string>{"a//x", "b"});
    CHECK(file.get<std::int64_t>("b").data == b.data);
    kept = file.at("a//x");
  }
  CHECK(kept.as<float>().data == a.data);
  const auto first = io::read_text(folder / "x.npz");
  io::write_npz(folder / "x.npz", all);
  CHECK(io::read_text(folder / "x.npz") == first);
  CHECK_THROWS_WITH_AS(io::write_npz(folder / "y.npz", {all[0], all[0]}), doctest::Contains("'a//x' occurs twice"),
                       io_error);
  CHECK_FALSE(fs::exists(folder / "y.npz"));
  io::write_npz(folder / "empty.npz", {});
  CHECK_THROWS_AS(io::npz(folder / "absent.npz"), io_error);
}

TEST_CASE("io: npz with a ZIP64 directory") {
  const scratch_folder folder;
  const std::string member = npy(good_dict, little(5, 2) + little(6, 2)), name = "big.npy";
  const auto sum = io::detail::checksum_of(reinterpret_cast<const std::byte*>(member.data()), member.size());
  const std::string common = little(45, 2) + little(0, 2) + little(0, 2) + little(0, 4) + little(sum, 4);
  const std::string local = little(0x04034b50, 4) + common + little(0xFFFFFFFF, 4) + little(0xFFFFFFFF, 4) +
                            little(name.size(), 2) + little(20, 2) + name + little(1, 2) + little(16, 2) +
                            little(member.size(), 8) + little(member.size(), 8) + member;
  const std::string directory = little(0x02014b50, 4) + little(45, 2) + common + little(0xFFFFFFFF, 4) +
                                little(0xFFFFFFFF, 4) + little(name.size(), 2) + little(28, 2) + std::string(10, '\0') +
                                little(0xFFFFFFFF, 4) + name + little(1, 2) + little(24, 2) + little(member.size(), 8) +
                                little(member.size(), 8) + little(0, 8);
  const std::string wide = little(0x06064b50, 4) + little(44, 8) + little(45, 2) + little(45, 2) + little(0, 8) +
                           little(1, 8) + little(1, 8) + little(directory.size(), 8) + little(local.size(), 8);
  const std::string locator =
      little(0x07064b50, 4) + little(0, 4) + little(local.size() + directory.size(), 8) + little(1, 4);
  const std::string end = little(0x06054b50, 4) + little(0, 4) + little(0xFFFFFFFF, 4) + little(0xFFFFFFFF, 4) +
                          little(0xFFFFFFFF, 4) + little(3, 2) + "end";
  put(folder / "z.npz", local + directory + wide + locator + end);
  CHECK(io::npz(folder / "z.npz").get<int>("big").data == std::vector<int>{5, 6});
}

TEST_CASE("io: a damaged npz file is refused with its reason, never read beyond its end") {
  const scratch_folder folder;
  const auto told = [&](const std::string& bytes) {
    return refusal([](const fs::path& path) { io::npz{path}; }, folder / "bad.npz", bytes);
  };
  for (const char* name : {"stored.npz", "deflated.npz"}) {
    const auto good = io::read_text(fs::path(FATHOM_SOURCE_DIR) / "tests/data/io" / name);
    REQUIRE(told(good).empty());
    CHECK(holds(told(good.substr(0, good.size() / 2)), "directory is missing"));
    for (std::size_t cut = 0; cut < good.size(); cut += 41) CHECK_FALSE(told(good.substr(0, cut)).empty());
    // Any single changed byte is noticed or harmless: no crash, and never a different array.
    const io::npz intact(fs::path(FATHOM_SOURCE_DIR) / "tests/data/io" / name);
    int noticed = 0;
    for (std::size_t at = 0; at < good.size(); at += 11) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ 0x55);
      put(folder / "bad.npz", bad);
      try {
        const io::npz file(folder / "bad.npz");
        for (const auto& key : file.names())
          if (intact.contains(key)) CHECK(file.get<double>(key).data == intact.get<double>(key).data);
      } catch (const io_error&) {
        ++noticed;
      }
    }
    CHECK(noticed > 50);
  }
  CHECK(holds(told(""), "zip archive expected"));
  CHECK(holds(told(std::string(100, 'x')), "zip archive expected"));
  const host_tensor<float> x({1}, std::vector<float>{1});
  io::write_npz(folder / "text.npz", {io::named_tensor::view("x", x)});
  auto other = io::read_text(folder / "text.npz");
  for (std::size_t at = other.find("x.npy"); at != std::string::npos; at = other.find("x.npy", at))
    other.replace(at, 5, "x.txt");
  CHECK(holds(told(other), "'x.txt' is no .npy array"));
}
