// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include <fathom/io/safetensors.hpp>

namespace {

namespace fs = std::filesystem;
using namespace fathom;

struct scratch_folder {
  fs::path path = fs::temp_directory_path() / ("fathom_safetensors_" + std::to_string(::getpid()));
  scratch_folder() { fs::create_directories(path); }
  ~scratch_folder() { fs::remove_all(path); }
  fs::path operator/(const std::string& name) const { return path / name; }
};

void put(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

std::string framed(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}

/// The message with which reading a file of these bytes ends, "" when it is accepted.
std::string refusal(const fs::path& path, const std::string& bytes) {
  put(path, bytes);
  try {
    const io::safetensors file(path);
  } catch (const io_error& problem) {
    return problem.what();
  }
  return "";
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("io: safetensors round trip keeps names, shapes, bits and metadata") {
  const scratch_folder folder;
  const host_tensor<double> a({2, 3}, {1.0 / 3, -0.0, 1e300, std::nextafter(1.0, 2.0), 5, 6});
  const host_tensor<float> b({2}, {0.1f, -std::numeric_limits<float>::denorm_min()});
  const host_tensor<std::int64_t> c({1, 1}, std::vector<std::int64_t>{std::numeric_limits<std::int64_t>::min()});
  const host_tensor<std::uint8_t> d({3}, {0, 7, 255});
  const host_tensor<float> scalar(std::vector<index_t>{}, std::vector<float>{2.5f});
  const host_tensor<float> nothing({0, 4});
  std::vector<io::named_tensor> all = {io::named_tensor::view("u.bytes", d),
                                       io::named_tensor::own("a", a),
                                       io::named_tensor::view("b \"quoted\" \xC3\xA5", b),
                                       io::named_tensor::view("c", c),
                                       io::named_tensor::view("scalar", scalar),
                                       io::named_tensor::view("nothing", nothing)};
  io::write_safetensors(folder / "x.safetensors", all, {{"note", "line\nbreak"}, {"empty", ""}});

  const io::safetensors file(folder / "x.safetensors");
  CHECK(file.size() == 6);
  CHECK(file.metadata() == io::string_map{{"note", "line\nbreak"}, {"empty", ""}});
  CHECK(file.get<double>("a").shape == a.shape);
  CHECK(std::memcmp(file.get<double>("a").data.data(), a.data.data(), 48) == 0);
  CHECK(file.get<float>("b \"quoted\" \xC3\xA5").data == b.data);
  CHECK(file.get<std::int64_t>("c").data == c.data);
  CHECK(file.get<std::uint8_t>("u.bytes").data == d.data);
  CHECK(file.get<float>("scalar").shape.empty());
  CHECK(file.get<float>("scalar").data.front() == 2.5f);
  CHECK(file.get<float>("nothing").shape == std::vector<index_t>{0, 4});
  for (const auto& name : file.names())
    CHECK(reinterpret_cast<std::uintptr_t>(file.at(name).data) % io::size_of(file.at(name).type) == 0);
  CHECK(std::distance(fs::directory_iterator(folder.path), fs::directory_iterator()) == 1);
}

TEST_CASE("io: safetensors arrays outlive the reader and convert between types") {
  const scratch_folder folder;
  const std::string header = R"({"half":{"dtype":"F16","shape":[6],"data_offsets":[0,12]},)"
                             R"("brain":{"dtype":"BF16","shape":[2],"data_offsets":[12,16]},)"
                             R"("flag":{"dtype":"BOOL","shape":[2],"data_offsets":[16,18]},)"
                             R"("small":{"dtype":"I16","shape":[1],"data_offsets":[18,20]}})";
  const std::uint16_t words[] = {0x3C00, 0xC000, 0x0001, 0x7BFF, 0x7C00, 0x7E00, 0x3F80, 0xC049};
  std::string data(reinterpret_cast<const char*>(words), sizeof(words));
  data += std::string("\x00\x05", 2) + std::string("\x2C\x01", 2);
  put(folder / "h.safetensors", framed(header, data));
  io::named_tensor half, flag, small, brain;
  {
    const io::safetensors file(folder / "h.safetensors");
    half = file.at("half");
    brain = file.at("brain");
    flag = file.at("flag");
    small = file.at("small");
  }
  fs::remove(folder / "h.safetensors");
  const auto values = half.as<float>();
  CHECK(values.data[0] == 1.0f);
  CHECK(values.data[1] == -2.0f);
  CHECK(values.data[2] == std::ldexp(1.0f, -24));
  CHECK(values.data[3] == 65504.0f);
  CHECK(std::isinf(values.data[4]));
  CHECK(std::isnan(values.data[5]));
  CHECK(half.first_not_finite() == 4);
  CHECK(brain.first_not_finite() == -1);
  CHECK(brain.as<double>().data == std::vector<double>{1.0, -3.140625});
  CHECK(flag.as<std::uint8_t>().data == std::vector<std::uint8_t>{0, 1});
  CHECK(small.as<double>().data == std::vector<double>{300});
  CHECK_THROWS_WITH_AS(static_cast<void>(small.as<std::uint8_t>()), doctest::Contains("'small': element 0 is 300"),
                       io_error);
  CHECK_THROWS_WITH_AS(static_cast<void>(half.as<std::int64_t>()), doctest::Contains("stored as F16"), io_error);
}

TEST_CASE("io: a damaged safetensors header is refused with its reason") {
  const scratch_folder folder;
  const fs::path path = folder / "bad.safetensors";
  const std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  const std::string eight(8, '\0');
  REQUIRE(refusal(path, framed(good, eight)).empty());

  CHECK(holds(refusal(path, ""), "0 bytes"));
  CHECK(holds(refusal(path, "short"), "5 bytes"));
  CHECK(holds(refusal(path, framed(good, eight).substr(0, 30)), "truncated"));
  CHECK(holds(refusal(path, framed(good, "1234")), "lie outside the 4 data bytes"));
  CHECK(holds(refusal(path, framed(good, eight + "x")), "data bytes 8 to 9 belong to no tensor"));
  CHECK(holds(refusal(path, std::string(16, '\xFF')), "over the limit"));
  CHECK(holds(refusal(path, "PK\x03\x04" + std::string(100, 'x')), "npz"));
  CHECK(holds(refusal(path, framed("[1,2]", "")), "does not begin with '{'"));
  CHECK(holds(refusal(path, framed("", "")), "does not begin with '{'"));
  CHECK(holds(refusal(path, framed("{\"a\":", "")), "not valid JSON"));
  CHECK(holds(refusal(path, framed("{\"\xFF\":1}", "")), "not valid JSON"));

  const auto entry = [&](const std::string& body) { return refusal(path, framed("{\"a\":" + body + "}", eight)); };
  CHECK(holds(entry("3"), "'a': dtype, shape and data_offsets expected"));
  CHECK(holds(entry(R"({"dtype":"F32","shape":[2]})"), "data_offsets expected"));
  CHECK(holds(entry(R"({"dtype":"Q4","shape":[2],"data_offsets":[0,8]})"), "dtype \"Q4\""));
  CHECK(holds(entry(R"({"dtype":7,"shape":[2],"data_offsets":[0,8]})"), "dtype 7"));
  CHECK(holds(entry(R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})"), "shape [-2]"));
  CHECK(holds(entry(R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})"), "shape [2.0]"));
  CHECK(holds(entry(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})"), "needs 12 bytes"));
  CHECK(holds(entry(R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})"), "lie outside"));
  CHECK(holds(entry(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8,9]})"), "no pair"));
  CHECK(holds(entry(R"({"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]})"), "overflows"));
  CHECK(holds(entry(R"({"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]})"), "overflows"));
  CHECK(holds(entry(R"({"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]})"), "'dtype' occurs twice"));

  const std::string field = R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  CHECK(holds(refusal(path, framed("{\"a\":" + field + ",\"a\":" + field + "}", eight)), "key 'a' occurs twice"));
  CHECK(holds(refusal(path, framed("{\"a\":" + field + ",\"b\":" + field + "}", eight)), "overlaps"));
  CHECK(holds(refusal(path, framed("{\"__metadata__\":{\"k\":1},\"a\":" + field + "}", eight)), "value of 'k'"));

  // everything wrong is told at once, with the name of the file
  const auto several = refusal(path, framed(R"({"a":1,"b":{"dtype":"F9","shape":[],"data_offsets":[0,0]}})", eight));
  CHECK(holds(several, "3 problems"));
  CHECK(holds(several, "'a'"));
  CHECK(holds(several, "F9"));
  CHECK(holds(several, path.string()));

  CHECK_THROWS_WITH_AS(io::safetensors(folder / "absent"), doctest::Contains("No such file"), io_error);
  CHECK_THROWS_WITH_AS(io::safetensors{folder.path}, doctest::Contains("not a regular file"), io_error);
}

TEST_CASE("io: safetensors writer refuses nonsense and leaves nothing behind") {
  const scratch_folder folder;
  const host_tensor<float> x({2}, {1, 2});
  const auto one = io::named_tensor::view("x", x);
  CHECK_THROWS_WITH_AS(io::write_safetensors(folder / "w", {one, one}), doctest::Contains("'x' occurs twice"),
                       io_error);
  auto wrong = one;
  wrong.shape = {3};
  CHECK_THROWS_WITH_AS(io::write_safetensors(folder / "w", {wrong}), doctest::Contains("needs 12 bytes, got 8"),
                       io_error);
  auto binary = one;
  binary.name = "\xFF\xFE";
  CHECK_THROWS_AS(io::write_safetensors(folder / "w", {binary}), io_error);
  CHECK_THROWS_WITH_AS(io::write_safetensors(folder / "no" / "w", {one}), doctest::Contains("No such file"), io_error);
  CHECK(fs::is_empty(folder.path));
  io::write_safetensors(folder / "w", {one});
  const io::safetensors file(folder / "w");
  CHECK_THROWS_WITH_AS(static_cast<void>(file.at("y")), doctest::Contains("no tensor 'y'"), io_error);
}

TEST_CASE("io: every reference safetensors file opens") {
  const fs::path goldens = fs::path(FATHOM_SHARED_DIR) / "goldens";
  if (std::string(FATHOM_SHARED_DIR).empty() || !fs::exists(goldens)) {
    MESSAGE("SKIPPED: no shared/goldens beside the source tree");
    return;
  }
  int opened = 0;
  for (const auto& item : fs::directory_iterator(goldens)) {
    if (item.path().extension() != ".safetensors") continue;
    const io::safetensors file(item.path());
    CHECK(file.size() > 0);
    ++opened;
  }
  CHECK(opened > 50);
}
