// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include <fathom/features/featurize.hpp>
#include <fathom/io/a3m.hpp>

namespace {

using namespace fathom;

/// `count` rows over `length` columns, letters and gaps scattered, no two equal.
io::alignment scattered(int count, int length) {
  io::alignment result;
  for (int s = 0; s < count; ++s) {
    std::string row;
    std::vector<int> deletions;
    for (int i = 0; i < length; ++i) {
      const auto bits = philox(1, static_cast<std::uint64_t>(s * length + i));
      row += s == 0 ? restype_letters[bits % 20] : hhblits_letters[bits % 22];
      deletions.push_back(s != 0 && bits % 7 == 0 ? static_cast<int>(bits / 7 % 9) : 0);
    }
    result.rows.push_back(row);
    result.deletions.push_back(deletions);
    result.descriptions.push_back("row" + std::to_string(s));
  }
  return result;
}

bool equal(const pass_features& a, const pass_features& b) {
  return a.msa_feat.data == b.msa_feat.data && a.true_msa.data == b.true_msa.data &&
         a.bert_mask.data == b.bert_mask.data && a.extra_msa.data == b.extra_msa.data &&
         a.extra_deletion_value.data == b.extra_deletion_value.data && a.cluster_of == b.cluster_of;
}

}  // namespace

TEST_CASE("features: tokens follow the HHblits alphabet, the query's too") {
  const auto f = featurize(io::parse_a3m(">q\nARNDCQEGHILKMFPSTWYVXBZUJO\n>a\n--------------------------\n"));
  std::vector<int> expected;
  for (int t = 0; t <= 20; ++t) expected.push_back(t);
  for (const char c : std::string("DECXX")) expected.push_back(restype_index(c));
  CHECK(f.aatype.data == expected);
  CHECK(f.sequence() == "ARNDCQEGHILKMFPSTWYVXDECXX");
  CHECK(f.length() == 26);
  CHECK(f.depth() == 2);
  for (index_t i = 0; i < 26; ++i) {
    CHECK(f.msa(1, i) == token_gap);
    CHECK(f.target_feat(i, 0) == 0);
    CHECK(f.target_feat(i, 1 + f.aatype(i)) == 1);
    CHECK(f.hhblits_profile(i, f.aatype(i)) == 0.5f);
    CHECK(f.hhblits_profile(i, token_gap) == 0.5f);
    CHECK(f.residue_index(i) == i);
  }
}

TEST_CASE("features: clusters by hand") {
  // rows 2 and 3 agree most with the centres 1 and 0; row 4 ties (0 agreements) and goes to the first
  const auto f = featurize(io::parse_a3m(">q\nAAAA\n>1\nRRR-\n>2\naRR--\n>3\n-AbbbAR\n>4\n----\n"));
  row_choice choice;
  choice.clusters = {0, 1};
  choice.others = {2, 3, 4};
  choice.extra = {3};
  choice.tokens = host_tensor<int>({2, 4}, {0, 0, 0, 0, 1, 1, token_mask, token_gap});
  choice.bert_mask = host_tensor<float>({2, 4}, {0, 0, 0, 0, 0, 0, 1, 0});
  const auto pass = f.assemble(choice);
  CHECK(pass.cluster_of == std::vector<index_t>{1, 0, 0});
  const float three = 3.000001f, two = 2.000001f;
  CHECK(pass.msa_feat(0, 1, 25 + 0) == doctest::Approx(2 / three));          // A of the query and of row 3
  CHECK(pass.msa_feat(0, 1, 25 + token_gap) == doctest::Approx(1 / three));  // row 4
  CHECK(pass.msa_feat(0, 3, 25 + 1) == doctest::Approx(1 / three));
  CHECK(pass.msa_feat(1, 2, token_mask) == 1);
  CHECK(pass.msa_feat(1, 2, 25 + token_mask) == doctest::Approx(1 / two));
  CHECK(pass.msa_feat(1, 2, 25 + token_gap) == doctest::Approx(1 / two));
  CHECK(pass.msa_feat(0, 2, 23) == 0);  // the query deletes nothing
  CHECK(pass.msa_feat(0, 2, 48) == doctest::Approx(std::atan(1.0 / 3) * 2 / std::acos(-1.0)));  // mean of 0, 3, 0
  CHECK(pass.msa_feat(1, 0, 48) == doctest::Approx(std::atan(0.5 / 3) * 2 / std::acos(-1.0)));
  CHECK(pass.extra_msa.data == std::vector<int>{21, 0, 0, 1});
  CHECK(pass.extra_has_deletion.data == std::vector<float>{0, 0, 1, 0});
  CHECK(pass.extra_deletion_value(0, 2) == doctest::Approx(0.5));
  CHECK(pass.true_msa(1, 2) == 1);
}

TEST_CASE("features: a pass is a function of seed and number, whatever the order") {
  const auto alignment = scattered(60, 23);
  const auto f = featurize(alignment, {.seed = 5, .clusters = 12, .extra = 20, .masked = true});
  const auto second = f.draw(1), first = f.draw(0);
  CHECK(equal(first, f.draw(0)));
  CHECK(equal(second, featurize(alignment, f.options).draw(1)));
  CHECK_FALSE(equal(first, second));
  CHECK_FALSE(equal(first, featurize(alignment, {.seed = 6, .clusters = 12, .extra = 20, .masked = true}).draw(0)));

  const auto choice = f.choose(0);
  CHECK(choice.clusters.size() == 12);
  CHECK(choice.others.size() == 48);
  CHECK(choice.extra.size() == 20);
  CHECK(choice.clusters[0] == 0);
  std::set<index_t> all(choice.clusters.begin(), choice.clusters.end());
  all.insert(choice.others.begin(), choice.others.end());
  CHECK(all.size() == 60);
}

TEST_CASE("features: every row is drawn equally often, whatever its place") {
  const auto f = featurize(scattered(21, 5), {.seed = 1, .clusters = 6, .extra = 5});
  std::array<int, 21> centre{}, extra{};
  const int passes = 4000;
  for (int pass = 0; pass < passes; ++pass) {
    const auto choice = f.choose(pass);
    for (const index_t row : choice.clusters) ++centre[static_cast<std::size_t>(row)];
    for (const index_t row : choice.extra) ++extra[static_cast<std::size_t>(row)];
  }
  CHECK(centre[0] == passes);
  CHECK(extra[0] == 0);
  for (std::size_t row = 1; row < 21; ++row) {  // mean 1000, standard deviation 27
    CHECK(std::abs(centre[row] - 1000) < 140);
    CHECK(std::abs(extra[row] - 1000) < 140);
  }
}

TEST_CASE("features: hidden positions come in the shares asked for, and not unless asked for") {
  const auto alignment = scattered(100, 100);
  const auto plain = featurize(alignment, {.clusters = 100}).choose(0);
  CHECK(std::count(plain.bert_mask.data.begin(), plain.bert_mask.data.end(), 0.0f) == 10000);
  CHECK(std::count(plain.tokens.data.begin(), plain.tokens.data.end(), token_mask) == 0);

  const auto f = featurize(alignment, {.seed = 3, .clusters = 100, .masked = true});
  const auto choice = f.choose(0);
  const auto pass = f.assemble(choice);
  int hidden = 0, masked = 0, changed_elsewhere = 0, kept = 0;
  for (std::size_t k = 0; k < choice.tokens.data.size(); ++k) {
    const bool hides = choice.bert_mask.data[k] != 0;
    hidden += hides;
    masked += choice.tokens.data[k] == token_mask;
    kept += hides && choice.tokens.data[k] == pass.true_msa.data[k];
    changed_elsewhere += !hides && choice.tokens.data[k] != pass.true_msa.data[k];
  }
  CHECK(changed_elsewhere == 0);
  CHECK(std::abs(hidden - 1500) < 180);
  CHECK(std::abs(masked - 0.7 * hidden) < 90);
  CHECK(std::abs(kept - (0.1 + 0.01) * hidden) < 60);  // left alone, or drawn by chance
}

TEST_CASE("features: shallow alignments") {
  const auto f = featurize(io::parse_a3m(">q\nMKV\n"));
  const auto pass = f.draw(0);
  CHECK(pass.msa_feat.shape == std::vector<index_t>{1, 3, 49});
  CHECK(pass.extra_msa.shape == std::vector<index_t>{1, 3});
  CHECK(std::count(pass.extra_msa_mask.data.begin(), pass.extra_msa_mask.data.end(), 0.0f) == 3);
  CHECK(pass.cluster_of.empty());
  const auto none = featurize(scattered(9, 4), {.clusters = 3, .extra = 0}).draw(0);
  CHECK(none.extra_msa_mask.data == std::vector<float>(4, 0.0f));
  CHECK(none.cluster_of.size() == 6);
}

TEST_CASE("features: what makes no sense is refused") {
  io::alignment a = io::parse_a3m(">q\nMKV\n>a\nMK-\n");
  CHECK_THROWS_WITH_AS(featurize(io::alignment{}), doctest::Contains("empty"), input_error);
  CHECK_THROWS_WITH_AS(featurize(a, {.clusters = 0}), doctest::Contains("clusters = 0"), input_error);
  CHECK_THROWS_WITH_AS(featurize(a, {.extra = -1}), doctest::Contains("extra = -1"), input_error);
  CHECK_THROWS_WITH_AS(featurize(a, {.mask_fraction = 1.5}), doctest::Contains("mask_fraction"), input_error);
  CHECK_THROWS_WITH_AS(featurize(a, {.uniform_share = 0.9}), doctest::Contains("add up"), input_error);
  a.rows[1] = "MK*";
  CHECK_THROWS_WITH_AS(featurize(a), doctest::Contains("row 2 'a', position 3: '*'"), input_error);
  a.rows[1] = "MK";
  CHECK_THROWS_WITH_AS(featurize(a), doctest::Contains("row 2 'a' has 2 columns"), input_error);
  a.rows[1] = "MKV";
  a.rows[0] = "M-V";
  CHECK_THROWS_WITH_AS(featurize(a), doctest::Contains("row 1 'q', position 2: '-'"), input_error);
  a.deletions.pop_back();
  CHECK_THROWS_AS(featurize(a), input_error);
}
