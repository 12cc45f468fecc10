// SPDX-License-Identifier: Apache-2.0
// Folding with one choice of dims; each choice is compiled in a translation unit of its own.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <fathom/features/features.hpp>
#include <fathom/model/fold_progress.hpp>
#include <fathom/model/prediction.hpp>

#include "arguments.hpp"

/// What a run reports beside its prediction.
struct fold_outcome {
  fathom::prediction prediction;
  std::int64_t parameters = 0;
  std::int64_t peak_bytes = 0;
  double load_seconds = 0, fold_seconds = 0;
  std::vector<std::pair<std::string, double>> stage_seconds;  ///< of the fold, summed over passes
  double depth = 1;                                           ///< the trunk is integrated over [0, depth]
};

/// Bytes that folding `query` as asked will need at most.
using fold_estimate = std::int64_t(const fold_arguments&, const fathom::features& query);
using fold_runner = fold_outcome(const fold_arguments&, const fathom::features& query,
                                 const std::function<void(const fathom::fold_progress&)>& progress);

fold_estimate estimate_alphafold2, estimate_small, estimate_compact;
fold_runner run_alphafold2, run_small, run_compact;
