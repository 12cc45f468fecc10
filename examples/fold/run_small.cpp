// SPDX-License-Identifier: Apache-2.0
#include "fold_run_impl.hpp"

std::int64_t estimate_small(const fold_arguments& a, const fathom::features& query) {
  return estimate_fold<fathom::small>(a, query);
}

fold_outcome run_small(const fold_arguments& a, const fathom::features& query,
                       const std::function<void(const fathom::fold_progress&)>& progress) {
  return run_fold<fathom::small>(backend_of(a), a, query, progress);
}
