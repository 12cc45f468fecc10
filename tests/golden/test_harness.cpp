// SPDX-License-Identifier: Apache-2.0
// The golden comparison itself: what is wrong with a module or a file is found and said.
#include <doctest/doctest.h>

#include <unistd.h>

#include <filesystem>
#include <vector>

#include <fathom/nn/linear.hpp>

#include "support/golden_registry.hpp"
#include "support/random.hpp"

using namespace fathom;
using B = reference<double>;
using F = cpu<float>;

namespace {

namespace fs = std::filesystem;
using arrays = std::map<std::string, host_tensor<double>>;

/// y = W x + b with its gradients, computed by hand.
arrays linear_case() {
  const index_t rows = 3, c_in = 2, c_out = 2;
  arrays a;
  a["in.x"] = to_host(testing::normal<3>(B{}, {rows, 1, c_in}, 1));
  a["param.weight"] = to_host(testing::normal<2>(B{}, {c_out, c_in}, 2));
  a["param.bias"] = to_host(testing::normal<1>(B{}, {c_out}, 3));
  a["ct.y"] = to_host(testing::normal<3>(B{}, {rows, 1, c_out}, 4));
  a["out.y"] = host_tensor<double>({rows, 1, c_out});
  a["grad.in.x"] = host_tensor<double>({rows, 1, c_in});
  a["grad.param.weight"] = host_tensor<double>({c_out, c_in});
  a["grad.param.bias"] = host_tensor<double>({c_out});
  for (index_t r = 0; r < rows; ++r)
    for (index_t o = 0; o < c_out; ++o) {
      const double ct = a["ct.y"](r, 0, o);
      a["out.y"](r, 0, o) += a["param.bias"](o);
      a["grad.param.bias"](o) += ct;
      for (index_t i = 0; i < c_in; ++i) {
        a["out.y"](r, 0, o) += a["param.weight"](o, i) * a["in.x"](r, 0, i);
        a["grad.in.x"](r, 0, i) += ct * a["param.weight"](o, i);
        a["grad.param.weight"](o, i) += ct * a["in.x"](r, 0, i);
      }
    }
  return a;
}

struct folder {
  fs::path path = fs::temp_directory_path() / ("fathom_golden_" + std::to_string(::getpid()));
  folder() { fs::create_directories(path); }
  ~folder() { fs::remove_all(path); }
};

/// What a run of the linear layer finds in a file of these arrays.
template <class Backend>
std::vector<std::string> findings(const arrays& a, const std::map<std::string, std::string>& text = {}) {
  const folder where;
  std::vector<io::named_tensor> stored;
  for (const auto& [key, values] : a) stored.push_back(io::named_tensor::view(key, values));
  const auto path = where.path / "01_linear.safetensors";
  io::write_safetensors(path, stored, text);
  const golden::case_file file(path);
  std::vector<std::string> failures;
  golden::run_on(
      Backend{}, "here", file,
      [](auto& run) {
        using R = typename std::remove_cvref_t<decltype(run)>::backend_type;
        run.differentiable(std::array{"y"}, run.load(linear<R, 2, 2>(run.backend())),
                           [](const auto& module, const auto& x) { return std::tuple(module(x)); },
                           run.template input<3>("x"));
      },
      failures);
  return failures;
}

bool mentions(const std::vector<std::string>& lines, const std::string& what) {
  return std::any_of(lines.begin(), lines.end(),
                     [&](const std::string& line) { return line.find(what) != std::string::npos; });
}

}  // namespace

TEST_CASE_TEMPLATE("golden: a right file passes, and every wrong array is found", T, B, F) {
  const auto right = linear_case();
  CHECK(findings<T>(right).empty());
  const bool is_double = std::is_same_v<T, B>;
  for (const char* key : {"out.y", "grad.in.x", "grad.param.weight", "grad.param.bias"}) {
    auto wrong = right;
    wrong[key].data.back() += is_double ? 1e-8 : 1e-3;
    CHECK(mentions(findings<T>(wrong), key));
    wrong[key].data.back() = std::nan("");
    CHECK(mentions(findings<T>(wrong), key));
    wrong = right;
    wrong[key] = host_tensor<double>({1});
    CHECK(mentions(findings<T>(wrong), key));
  }
  // Tolerances are no tighter than they say.
  auto close = right;
  close["out.y"].data.back() += is_double ? 1e-11 : 1e-7;
  CHECK(findings<T>(close).empty());
}

TEST_CASE("golden: keys that are missing, unknown or of another shape are all listed") {
  auto a = linear_case();
  a["param.extra"] = host_tensor<double>({2});
  a["grad.in.ghost"] = host_tensor<double>({2});
  a.erase("param.bias");
  a["param.weight"] = host_tensor<double>({2, 3});
  const auto lines = findings<B>(a);
  CHECK(mentions(lines, "param.extra: unknown key"));
  CHECK(mentions(lines, "grad.in.ghost: unknown key"));
  CHECK(mentions(lines, "param.bias: missing in the file"));
  CHECK(mentions(lines, "param.weight: has extents [2, 3], the module expects [2, 2]"));
  auto without_output = linear_case();
  without_output.erase("out.y");
  CHECK(mentions(findings<B>(without_output), "out.y: missing"));
  auto without_input = linear_case();
  without_input.erase("in.x");
  CHECK(mentions(findings<B>(without_input), "in.x"));
}

TEST_CASE("golden: the longest registered name covers a case") {
  auto& all = golden::registry::entries();
  const auto before = all;
  all = {{"03_block", {}}, {"03_block_wide", {}}, {"04_x", {}}};
  const auto covering = [](const char* name) {
    const auto* found = golden::registry::find(name);
    return found == nullptr ? std::string() : found->prefix;
  };
  CHECK(covering("03_block") == "03_block");
  CHECK(covering("03_block_padded") == "03_block");
  CHECK(covering("03_block_wide_2") == "03_block_wide");
  CHECK(covering("03_blockade") == "");
  CHECK(covering("05_y") == "");
  all = before;
}

TEST_CASE("golden: the case's name is the file's own") {
  const folder where;
  const auto path = where.path / "renamed.safetensors";
  const host_tensor<double> one({1});
  io::write_safetensors(path, std::vector{io::named_tensor::view("x", one)},
                        {{"case", "01_linear"}, {"hyperparameters", R"({"c": 4})"}});
  const golden::case_file file(path);
  CHECK(file.name == "01_linear");
  CHECK(file.options.at("c") == 4);
  io::write_safetensors(path, std::vector{io::named_tensor::view("x", one)}, {{"hyperparameters", "{"}});
  CHECK_THROWS_AS(golden::case_file{path}, io_error);
}
