// SPDX-License-Identifier: Apache-2.0
// The program train from outside: the discrete control learns, and its checkpoint is not taken for another trunk's.
#include <doctest/doctest.h>

#include <filesystem>
#include <sstream>
#include <string>

#include <fathom/io/text_file.hpp>

#include "support/program.hpp"

#ifdef FATHOM_TRAIN

namespace {

using testing::folder;
using testing::run;

run train(const std::string& arguments) { return testing::run_program(std::string(FATHOM_TRAIN) + " " + arguments); }

/// Mean loss of the steps (from, to] in the log.
double mean_loss(const std::filesystem::path& log, int from, int to) {
  std::istringstream lines(fathom::io::read_text(log));
  std::string line;
  double sum = 0;
  int found = 0;
  while (std::getline(lines, line)) {
    int step = 0;
    double loss = 0;
    char comma = 0;
    std::istringstream fields(line);
    if (!(fields >> step >> comma >> loss) || step <= from || step > to) continue;
    sum += loss, ++found;
  }
  REQUIRE(found == to - from);
  return sum / found;
}

}  // namespace

TEST_CASE("model: train's discrete control learns, and goes on as what it is alone") {
  folder at;
  const auto out = (at.path / "run").string();
  const std::string settings =
      " --set discrete=true blocks=2 structure_blocks=1 crop=16 batch=2 recycles=0 mask_fraction=0 dropout=0 warmup=5"
      " learning_rate=3e-3 validation_chains=0 'phases=0: fape=1 distogram=0.3'";
  const auto first = train("--out " + out + settings + " --steps 60");
  INFO(first.text);
  REQUIRE(first.code == 0);
  CHECK(first.text.find("discrete trunk") != std::string::npos);
  CHECK(mean_loss(at.path / "run" / "log.csv", 50, 60) < 0.93 * mean_loss(at.path / "run" / "log.csv", 0, 10));
  const auto other = train("--out " + out + " --resume --set discrete=false --steps 61");
  INFO(other.text);
  CHECK(other.code == 2);
  CHECK(other.text.find("made with other settings: discrete") != std::string::npos);
}

#endif
