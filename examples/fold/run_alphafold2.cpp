// SPDX-License-Identifier: Apache-2.0
#include "fold_run_impl.hpp"

std::int64_t estimate_alphafold2(const fold_arguments& a, const fathom::features& query) {
  return estimate_fold<fathom::alphafold2>(a, query);
}

fold_outcome run_alphafold2(const fold_arguments& a, const fathom::features& query,
                            const std::function<void(const fathom::fold_progress&)>& progress) {
  return run_fold<fathom::alphafold2>(backend_of(a), a, query, progress);
}
