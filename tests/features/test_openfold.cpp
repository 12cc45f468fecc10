// SPDX-License-Identifier: Apache-2.0
// Features against OpenFold's own pipeline, given the rows it drew (tests/data/features/make_features.py).
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <fathom/features/featurize.hpp>
#include <fathom/io/alignment.hpp>
#include <fathom/io/safetensors.hpp>

namespace {

namespace fs = std::filesystem;
using namespace fathom;

const fs::path source = FATHOM_SOURCE_DIR;

std::vector<index_t> rows_of(const io::safetensors& file, const std::string& name) {
  const auto stored = file.get<std::int32_t>(name);
  return {stored.data.begin(), stored.data.end()};
}

/// Largest difference to the stored array of that name; its shape must be the same.
template <class T>
double difference(const io::safetensors& file, const std::string& name, const host_tensor<T>& mine) {
  const auto theirs = file.get<double>("out." + name);
  REQUIRE(theirs.shape == mine.shape);
  double largest = 0;
  for (std::size_t i = 0; i < theirs.data.size(); ++i) {
    const double step = std::abs(theirs.data[i] - static_cast<double>(mine.data[i]));
    largest = step <= largest ? largest : step;  // keeps NaN
  }
  return largest;
}

row_choice stored_choice(const io::safetensors& file, const features& mine) {
  row_choice choice;
  choice.clusters = rows_of(file, "in.clusters");
  choice.others = rows_of(file, "in.others");
  choice.extra = rows_of(file, "in.extra");
  choice.tokens = host_tensor<int>({static_cast<index_t>(choice.clusters.size()), mine.length()});
  choice.bert_mask = host_tensor<float>(choice.tokens.shape);
  for (index_t s = 0; s < choice.tokens.shape[0]; ++s)
    for (index_t i = 0; i < mine.length(); ++i)
      choice.tokens(s, i) = mine.msa(choice.clusters[static_cast<std::size_t>(s)], i);
  if (file.contains("in.tokens")) {
    const auto tokens = file.get<std::uint8_t>("in.tokens");
    choice.tokens.data.assign(tokens.data.begin(), tokens.data.end());
    choice.bert_mask = file.get<float>("in.bert_mask");
  }
  return choice;
}

/// Compares all but msa_feat.
void check_equal(const io::safetensors& file, const features& mine, const pass_features& pass) {
  CHECK(difference(file, "aatype", mine.aatype) == 0);
  CHECK(difference(file, "residue_index", mine.residue_index) == 0);
  CHECK(difference(file, "seq_mask", mine.seq_mask) == 0);
  CHECK(difference(file, "target_feat", mine.target_feat) == 0);
  CHECK(difference(file, "hhblits_profile", mine.hhblits_profile) < 1e-6);
  CHECK(difference(file, "cluster_of",
                   host_tensor<double>({static_cast<index_t>(pass.cluster_of.size())},
                                       std::vector<double>(pass.cluster_of.begin(), pass.cluster_of.end()))) == 0);
  CHECK(difference(file, "msa_mask", pass.msa_mask) == 0);
  CHECK(difference(file, "true_msa", pass.true_msa) == 0);
  CHECK(difference(file, "extra_msa", pass.extra_msa) == 0);
  CHECK(difference(file, "extra_msa_mask", pass.extra_msa_mask) == 0);
  CHECK(difference(file, "extra_has_deletion", pass.extra_has_deletion) == 0);
  CHECK(difference(file, "extra_deletion_value", pass.extra_deletion_value) < 1e-6);
}

}  // namespace

TEST_CASE("features: 1a3a equals OpenFold's pipeline") {
  const io::safetensors file(source / "tests/data/features/1a3a.safetensors");
  const auto mine = featurize(io::read_alignment(source / "examples/data/1a3a.a3m"));
  const auto pass = mine.assemble(stored_choice(file, mine));
  CHECK(pass.msa_feat.shape == std::vector<index_t>{64, 145, 49});
  check_equal(file, mine, pass);

  const auto shown = rows_of(file, "in.shown");
  host_tensor<float> rows({static_cast<index_t>(shown.size()), 145, 49});
  for (index_t k = 0; k < rows.shape[0]; ++k)
    std::copy_n(&pass.msa_feat(shown[static_cast<std::size_t>(k)], 0, 0), 145 * 49, &rows(k, 0, 0));
  CHECK(difference(file, "msa_feat", rows) < 1e-6);
}

TEST_CASE("features: a part of T1034 with hidden positions equals OpenFold's pipeline") {
  const io::safetensors file(source / "tests/data/features/T1034.safetensors");
  const auto bytes = file.get<std::uint8_t>("in.a3m");
  const auto mine = featurize(io::parse_a3m(std::string(bytes.data.begin(), bytes.data.end())));
  const auto choice = stored_choice(file, mine);
  const auto pass = mine.assemble(choice);
  check_equal(file, mine, pass);
  CHECK(difference(file, "msa_feat", pass.msa_feat) < 1e-6);
  CHECK(pass.bert_mask.data == choice.bert_mask.data);
  CHECK(std::count(choice.tokens.data.begin(), choice.tokens.data.end(), token_mask) > 10);
  // the target has insertions, or the deletion channels would prove nothing
  CHECK(std::any_of(mine.deletions.data.begin(), mine.deletions.data.end(), [](float d) { return d > 1; }));
}
