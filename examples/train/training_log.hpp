// SPDX-License-Identifier: Apache-2.0
// What a run leaves to look at: log.csv, validation.csv and the curves as loss.svg.
#pragma once

#include <cstdio>
#include <filesystem>
#include <memory>

#include <fathom/train/trainer.hpp>
#include <fathom/train/validation.hpp>

/// Rows are on disk as soon as they are added. A resumed run drops the rows of steps that it does again.
class training_log {
 public:
  training_log(const std::filesystem::path& folder, fathom::index_t steps_done);
  void add(const fathom::train::step_report& report);
  void add(fathom::index_t step, const fathom::train::validation_scores& scores);
  /// Draws loss.svg from the two tables.
  void draw() const;

 private:
  struct close_file {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  using file = std::unique_ptr<std::FILE, close_file>;
  std::filesystem::path folder_;
  file steps_, validation_;
};
