// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>

#include <fathom/io/structure.hpp>
#include <fathom/metrics/tm_score.hpp>

#include "support/ideal_chain.hpp"

namespace {

namespace fs = std::filesystem;
using namespace fathom;
using namespace fathom::metrics;

/// Helices and strands in turn: compact enough to look like a chain.
io::protein example(std::size_t residues) {
  std::vector<test::torsions> angles(residues);
  for (std::size_t i = 0; i < residues; ++i)
    if (i / 12 % 2 == 1) angles[i].phi = -120, angles[i].psi = 130;
  return test::ideal_chain(std::string(residues, 'A'), angles);
}

/// Noise in Angstrom, a hinge at a fraction of the chain, and every ninth residue left out.
struct distortion {
  double noise, hinge;
  bool holes;
};
io::protein distorted(io::protein chain, const distortion& change, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal(0, change.noise);
  for (index_t i = 0; i < chain.size(); ++i) {
    const double shift[3] = {normal(generator), normal(generator), normal(generator)};
    const bool turned = static_cast<double>(i) > change.hinge * static_cast<double>(chain.size());
    for (index_t a = 0; a < 37; ++a) {
      if (change.holes && i % 9 == 4) chain.mask(i, a) = 0;
      const double x = chain.positions(i, a, 0), y = chain.positions(i, a, 1);
      const double c = turned ? std::cos(0.8) : 1.0, s = turned ? std::sin(0.8) : 0.0;
      chain.positions(i, a, 0) = c * x - s * y + shift[0];
      chain.positions(i, a, 1) = s * x + c * y + shift[1];
      chain.positions(i, a, 2) += shift[2];
    }
  }
  return chain;
}

/// "TM-score    = 0.1234" of the original program; -1 when it is not installed.
double program_score(const fs::path& model, const fs::path& native) {
  const std::string command = "TMscore " + model.string() + " " + native.string() + " 2>/dev/null";
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return -1;
  double score = -1;
  char line[512];
  while (std::fgets(line, sizeof line, pipe) != nullptr) {
    const std::string text(line);
    if (text.rfind("TM-score    =", 0) == 0) score = std::atof(text.c_str() + 13);
  }
  ::pclose(pipe);
  return score;
}

}  // namespace

TEST_CASE("metrics: tm_score agrees with the original program") {
  const fs::path folder = fs::temp_directory_path() / ("fathom_tm_" + std::to_string(::getpid()));
  fs::create_directories(folder);
  int compared = 0;
  for (const std::size_t length : {18u, 53u, 90u, 160u})
    for (const distortion& change :
         {distortion{1.0, 2.0, false}, {4.0, 2.0, true}, {0.5, 0.5, false}, {0.5, 0.7, true}}) {
      io::protein native = example(length);
      io::protein model = distorted(native, change, 7);
      io::write_pdb(folder / "native.pdb", native);
      io::write_pdb(folder / "model.pdb", model);
      const io::structure_options whole{"", 1, io::unobserved::all, 12};
      const double ours = tm_score(ca_trace(io::read_structure(folder / "model.pdb", whole)),
                                   ca_trace(io::read_structure(folder / "native.pdb", whole)))
                              .score;
      const double theirs = program_score(folder / "model.pdb", folder / "native.pdb");
      if (theirs < 0) continue;
      ++compared;
      INFO("length ", length, " noise ", change.noise, " hinge ", change.hinge);
      CHECK(std::abs(ours - theirs) <= 1e-3);
    }
  fs::remove_all(folder);
  if (compared == 0) MESSAGE("SKIPPED: the program TMscore is not installed (package tm-align)");
}

TEST_CASE("metrics: tm_score of known cases") {
  const io::protein native = example(80);
  const masked_points truth = ca_trace(native);
  CHECK(tm_score(truth, truth).score == doctest::Approx(1.0).epsilon(1e-12));
  CHECK(tm_score(truth, truth).d0 == doctest::Approx(1.24 * std::cbrt(65.0) - 1.8));
  CHECK(tm_distance_scale(15) == 0.5);
  CHECK(tm_distance_scale(19) == doctest::Approx(0.5));
  // Half of the residues, perfectly placed, count one half.
  masked_points half = truth;
  for (std::size_t i = 40; i < 80; ++i) half.mask[i] = 0;
  CHECK(tm_score(half, truth).score == doctest::Approx(0.5).epsilon(1e-9));
  CHECK(tm_score(half, truth, 40).score == doctest::Approx(1.0).epsilon(1e-9));
  // The fit that is returned gives the score.
  const masked_points model = ca_trace(distorted(native, {1.0, 0.6, false}, 3));
  const tm_result result = tm_score(model, truth);
  double sum = 0;
  for (std::size_t i = 0; i < 80; ++i) {
    const double d = distance(result.fit(model.at[i]), truth.at[i]) / result.d0;
    sum += 1 / (1 + d * d);
  }
  CHECK(sum / 80 == doctest::Approx(result.score).epsilon(1e-12));
  CHECK(result.score < 0.9);
  CHECK(result.score > 0.4);
  // Too few residues for any fragment.
  masked_points two{{{0, 0, 0}, {3.8, 0, 0}}, {1, 1}};
  CHECK(tm_score(two, two).score == doctest::Approx(1.0));
  two.mask = {0, 0};
  CHECK_THROWS_AS(tm_score(two, two), input_error);
}
