// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <set>

#include <fathom/backend/reference.hpp>
#include <fathom/evoformer/evoformer.hpp>
#include <fathom/io/parameters.hpp>

using namespace fathom;

namespace {

using B = reference<float>;

struct tiny : small {
  static constexpr index_t c_m = 8, c_z = 6, c_s = 5;
  static constexpr index_t c_hidden_msa_att = 2, no_heads_msa = 2, c_hidden_opm = 2, c_hidden_mul = 3;
  static constexpr index_t c_hidden_pair_att = 2, no_heads_pair = 2;
};
using stack_t = evoformer_stack<B, tiny>;

struct scratch_file {
  std::filesystem::path path = std::filesystem::temp_directory_path() /
                               ("fathom_parameters_" + std::to_string(reinterpret_cast<std::uintptr_t>(this)) + ".st");
  ~scratch_file() {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
};

std::vector<float> values_of(const stack_t& stack) {
  std::vector<float> all;
  tree::for_each(stack, [&](const auto& leaf) {
    const auto host = to_host(leaf);
    all.insert(all.end(), host.data.begin(), host.data.end());
  });
  return all;
}

std::string failure_of(stack_t& stack, const std::filesystem::path& path) {
  try {
    io::fill(stack, io::open_checkpoint(path));
  } catch (const checkpoint_error& problem) {
    return problem.what();
  }
  return "";
}

}  // namespace

TEST_CASE("io: a stack of blocks round-trips through safetensors under OpenFold's names") {
  const scratch_file file;
  const auto stack = initialise(stack_t(B{}, 3), {.seed = 7, .final_scale = 1});
  io::save(file.path, stack);

  std::set<std::string> keys;
  io::open_checkpoint(file.path).for_each([&](const std::string& key, const auto&) { keys.insert(key); });
  CHECK(keys.size() == 3 * 93 + 2);
  for (const char* key : {"blocks.0.msa_att_row.mha.linear_q.weight", "blocks.2.msa_att_col._msa_att.layer_norm_m.bias",
                          "blocks.1.pair_stack.tri_mul_in.linear_a_g.weight", "blocks.0.outer_product_mean.linear_out.bias",
                          "blocks.1.pair_stack.pair_transition.linear_2.bias", "linear.weight"})
    CHECK_MESSAGE(keys.count(key) == 1, key);

  // The number of blocks comes from the file.
  const auto read = load<stack_t>(B{}, file.path);
  CHECK(read.blocks.size() == 3);
  CHECK(values_of(read) == values_of(stack));
}

TEST_CASE("io: everything that does not fit a model is told at once, and the model stays as it was") {
  const scratch_file file;
  auto stack = initialise(stack_t(B{}, 2), {.seed = 1, .final_scale = 1});
  const auto before = values_of(stack);

  std::vector<io::named_tensor> tensors;
  tree::for_each_named(stack, [&](const std::string& key, const auto& leaf) {
    auto host = to_host(leaf);
    if (key == "linear.bias") return;  // missing
    if (key == "blocks.1.msa_transition.layer_norm.bias") host.data[3] = std::numeric_limits<float>::quiet_NaN();
    if (key == "linear.weight") host = host_tensor<float>({2, 2}, 1.0f);
    tensors.push_back(io::named_tensor::own(key, host));
  });
  tensors.push_back(io::named_tensor::own("extra.weight", host_tensor<float>({1}, 1.0f)));
  io::write_safetensors(file.path, tensors);

  const auto text = failure_of(stack, file.path);
  CHECK(text.find("4 tensors do not fit") != std::string::npos);
  CHECK(text.find("missing: linear.bias [5]") != std::string::npos);
  CHECK(text.find("unexpected: extra.weight [1]") != std::string::npos);
  CHECK(text.find("wrong shape: linear.weight is [2, 2], expected [5, 8]") != std::string::npos);
  CHECK(text.find("not finite: blocks.1.msa_transition.layer_norm.bias at element 3") != std::string::npos);
  CHECK(values_of(stack) == before);
}

TEST_CASE("io: saving parameters that have no values is refused") {
  const scratch_file file;
  CHECK_THROWS_AS(io::save(file.path, stack_t(B{}, 1)), checkpoint_error);
  CHECK_FALSE(std::filesystem::exists(file.path));
}
