// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <set>
#include <string>

#include <fathom/io/structure.hpp>
#include <fathom/train/chain_files.hpp>
#include <fathom/train/config.hpp>
#include <fathom/train/loader.hpp>

using namespace fathom;

namespace {

const std::string folder = FATHOM_SOURCE_DIR "/examples/data/chains";

/// n residues of alanine on a line, 3.8 Angstrom apart.
train::chain line_of(index_t n, const std::string& name, const std::string& cluster) {
  io::protein p(n);
  for (index_t i = 0; i < n; ++i) {
    p.aatype[static_cast<std::size_t>(i)] = restype_index("ARNDCQEGHILKMFPSTWYV"[i % 20]);
    p.mask(i, 1) = 1;
    p.positions(i, 1, 0) = 3.8 * static_cast<double>(i);
  }
  return train::make_chain(p, name, cluster);
}

std::filesystem::path scratch(const std::string& name) {
  const auto path = std::filesystem::temp_directory_path() / ("fathom_sampling_" + name);
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path;
}

}  // namespace

TEST_CASE("train: the shipped chains are read with their split and cluster") {
  const auto chains = train::read_chains(folder);
  REQUIRE(chains.size() == 6);
  CHECK(chains.front().name == "1csp_A");
  CHECK(chains.front().cluster == chains[3].cluster);  // 1mjc_A is a cold shock protein, too
  CHECK(chains.front().sequence() == "MLEGKVKWFNSEKGFGFIEVEGQDDVFVHFSAIQGEGFKTLEEGQAVSFEIVEGNRGPQAANVTKEA");
  CHECK(chains.front().resolution == doctest::Approx(2.45));
  CHECK_FALSE(chains.front().has_side_chains());
  const auto held_out = train::read_chains(folder, {.split = "valid"});
  REQUIRE(held_out.size() == 1);
  CHECK(held_out.front().name == "1aho_A");
  for (const auto& c : chains)
    for (index_t i = 0; i + 1 < c.size(); ++i) {
      double d2 = 0;
      for (index_t x = 0; x < 3; ++x)
        d2 += std::pow(static_cast<double>(c.positions(i + 1, 1, x) - c.positions(i, 1, x)), 2);
      CHECK(std::sqrt(d2) == doctest::Approx(3.8).epsilon(0.3));
    }
}

TEST_CASE("train: a folder of structure files gives the same chains as the packed format") {
  const auto packed = train::read_chains(folder);
  const auto here = scratch("pdb");
  for (const auto& c : packed) io::write_pdb(here / (c.name + ".pdb"), train::to_protein(c));
  const auto read = train::read_chains(here);
  REQUIRE(read.size() == packed.size());
  for (std::size_t k = 0; k < read.size(); ++k) {
    CHECK(read[k].name == packed[k].name);
    CHECK(read[k].cluster == packed[k].name);
    CHECK(read[k].aatype == packed[k].aatype);
    CHECK(read[k].mask.data == packed[k].mask.data);
    for (std::size_t i = 0; i < read[k].positions.data.size(); ++i)
      CHECK(std::abs(read[k].positions.data[i] - packed[k].positions.data[i]) < 6e-4f);  // three decimals
  }
  std::filesystem::remove_all(here);
}

TEST_CASE("train: folders that hold no chains are refused by name") {
  CHECK_THROWS_WITH_AS(train::read_chains("/nowhere/at/all"), doctest::Contains("/nowhere/at/all"), io_error);
  const auto here = scratch("empty");
  CHECK_THROWS_WITH_AS(train::read_chains(here), doctest::Contains("no chain of split 'train'"), input_error);
  CHECK_THROWS_WITH_AS(train::read_chains(folder, {.shortest = 500}), doctest::Contains("500"), input_error);
  std::filesystem::remove_all(here);
}

TEST_CASE("train: chains are drawn by cluster and length, crops stay inside") {
  // Four chains of one family must not outweigh one alone.
  std::vector<train::chain> chains;
  for (int k = 0; k < 4; ++k) chains.push_back(line_of(100, "family" + std::to_string(k), "a"));
  chains.push_back(line_of(100, "alone", "b"));
  chains.push_back(line_of(40, "short", "c"));
  chains.push_back(line_of(400, "long", "d"));
  const train::sampler draw(chains, {.seed = 7, .crop = 64, .length_low = 50, .length_high = 200});
  CHECK(draw.probability(0) == doctest::Approx(25.0 / 450));
  CHECK(draw.probability(4) == doctest::Approx(100.0 / 450));
  CHECK(draw.probability(5) == doctest::Approx(50.0 / 450));
  CHECK(draw.probability(6) == doctest::Approx(200.0 / 450));
  std::vector<double> count(chains.size(), 0.0);
  constexpr int draws = 20000;
  double clamped = 0;
  for (std::uint64_t n = 0; n < draws; ++n) {
    const auto one = draw(n);
    count[one.chain] += 1;
    clamped += one.clamped;
    CHECK(one.length == std::min<index_t>(64, chains[one.chain].size()));
    CHECK(one.start >= 0);
    CHECK(one.start + one.length <= chains[one.chain].size());
  }
  for (std::size_t k = 0; k < chains.size(); ++k) {
    const double p = draw.probability(k);
    CHECK(std::abs(count[k] / draws - p) < 5 * std::sqrt(p * (1 - p) / draws));
  }
  CHECK(clamped / draws == doctest::Approx(0.9).epsilon(0.02));
}

TEST_CASE("train: clamped crops start anywhere alike, unclamped ones rather early") {
  const std::vector<train::chain> one = {line_of(164, "long", "a")};
  const train::sampler draw(one, {.seed = 3, .crop = 64, .clamp_probability = 0.5});
  double sum[2] = {0, 0}, number[2] = {0, 0};
  std::set<index_t> starts;
  for (std::uint64_t n = 0; n < 20000; ++n) {
    const auto d = draw(n);
    sum[d.clamped] += static_cast<double>(d.start);
    number[d.clamped] += 1;
    if (d.clamped) starts.insert(d.start);
  }
  CHECK(sum[1] / number[1] == doctest::Approx(50).epsilon(0.03));
  CHECK(sum[0] / number[0] == doctest::Approx(25).epsilon(0.06));
  CHECK(starts.size() == 101);
}

TEST_CASE("train: a sample is a crop of the chain, and a function of seed and number alone") {
  const auto chains = train::read_chains(folder);
  const train::sampler draw(chains, {.seed = 11, .crop = 32}), again(chains, {.seed = 11, .crop = 32}),
      other(chains, {.seed = 12, .crop = 32});
  bool differs = false;
  for (std::uint64_t n = 0; n < 20; ++n) {
    const auto d = draw(n), e = again(n);
    CHECK(d.chain == e.chain);
    CHECK(d.start == e.start);
    CHECK(d.key == e.key);
    differs = differs || other(n).chain != d.chain || other(n).start != d.start;
    const auto& c = chains[d.chain];
    const auto s = train::make_sample(c, d, {.mask_fraction = 0.15});
    CHECK(s.query.sequence() == c.sequence().substr(static_cast<std::size_t>(d.start), 32));
    CHECK(s.query.residue_index(0) == d.start);
    CHECK(s.positions(3, 1, 2) == c.positions(d.start + 3, 1, 2));
    CHECK(s.mask(3, 3) == (c.mask(d.start + 3, 4) != 0 ? 1.0f : 0.0f));  // CB is column 3 of 37 and 4 of 14
    CHECK(s.passes.front().msa_feat.data ==
          train::make_sample(c, e, {.mask_fraction = 0.15}).passes.front().msa_feat.data);
  }
  CHECK(differs);
}

TEST_CASE("train: an alignment is cropped with its chain") {
  auto c = line_of(40, "with_rows", "a");
  c.alignment.descriptions = {"query", "hit"};
  c.alignment.rows = {c.sequence(), std::string(20, '-') + c.sequence().substr(20)};
  c.alignment.deletions = {std::vector<int>(40, 0), std::vector<int>(40, 0)};
  c.alignment.deletions[1][25] = 3;
  train::sample_draw d;
  d.start = 15;
  d.length = 20;
  const auto s = train::make_sample(c, d, {.clusters = 2});
  CHECK(s.query.depth() == 2);
  CHECK(s.query.msa(1, 4) == token_gap);
  CHECK(s.query.msa(1, 5) == s.query.msa(0, 5));
  CHECK(s.query.deletions(1, 10) == 3);
  CHECK(s.passes.front().msa_feat.shape[0] == 2);
}

TEST_CASE("train: the loader hands samples out in order, whatever its threads, and passes errors on") {
  const auto chains = train::read_chains(folder);
  const train::sampler draw(chains, {.seed = 5, .crop = 24});
  const auto make = [&](std::uint64_t n) {
    if (n == 40) throw input_error("sample 40 is broken");
    const auto d = draw(n);
    return train::make_sample(chains[d.chain], d);
  };
  train::loader one(make, 0, 1, 4), three(make, 0, 3, 8), later(make, 17, 2, 4);
  for (std::uint64_t n = 0; n < 40; ++n) {
    const auto a = one.next(), b = three.next();
    CHECK(a.name == b.name);
    CHECK(a.key == draw(n).key);
    if (n >= 17) CHECK(later.next().key == a.key);
  }
  CHECK_THROWS_WITH_AS(three.next(), doctest::Contains("sample 40"), input_error);
}

TEST_CASE("train: settings go to text and back; what is unknown or conflicts is named") {
  train::training_config c;
  c.crop = 48;
  c.learning_rate = 1.0 / 3;
  c.discrete = true;
  train::training_config d;
  train::apply_settings(d, train::to_settings(c));
  CHECK(train::to_settings(d) == train::to_settings(c));
  CHECK(d.learning_rate == c.learning_rate);
  CHECK_THROWS_WITH_AS(train::apply_settings(d, {{"corp", "64"}}), doctest::Contains("there is no setting 'corp'"),
                       input_error);
  CHECK_THROWS_WITH_AS(train::apply_settings(d, {{"crop", "6x"}}), doctest::Contains("crop"), input_error);
  CHECK_THROWS_AS(train::apply_settings(d, {{"discrete", "maybe"}}), input_error);
  train::training_config e;
  e.steps = 5;
  CHECK(train::model_conflicts(train::training_config{}, e).empty());
  e.structure_blocks = 8;
  CHECK(train::model_conflicts(train::training_config{}, e) == std::vector<std::string>{"structure_blocks"});
}

TEST_CASE("train: loss weights are phases of data") {
  const auto phases = train::parse_phases("0: fape=1 distogram=0.3; 100: violation=0.5 distogram=0.1 smooth_lddt=0.7");
  REQUIRE(phases.size() == 2);
  CHECK(train::weights_at(phases, 0).fape == 1);
  CHECK(train::weights_at(phases, 99).violation == 0);
  CHECK(train::weights_at(phases, 100).violation == 0.5);
  CHECK(train::weights_at(phases, 99).smooth_lddt == 0);
  CHECK(train::weights_at(phases, 100).smooth_lddt == 0.7);
  CHECK(train::weights_at(phases, 5000).fape == 1);
  CHECK(train::weights_at(phases, 5000).distogram == 0.1);
  CHECK(train::weights_at(phases, 5000).masked_msa == 0);
  for (const char* wrong : {"", "5: fape=1", "0: fap=1", "0: fape", "0: fape=1; 0: tm=1", "fape=1"})
    CHECK_THROWS_AS(train::parse_phases(wrong), input_error);
}
