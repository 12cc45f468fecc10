// SPDX-License-Identifier: Apache-2.0
#include "compact_run_impl.hpp"

std::int64_t estimate_compact(const fold_arguments& a, const fathom::features& query) {
  const fathom::cpu<float> b;
  return fathom::fold_memory_estimate<float, fathom::compact>(
      query, options_of(a), fathom::tree::count(fathom::compact_fold_model<fathom::cpu<float>, fathom::compact>(b)));
}

fold_outcome run_compact(const fold_arguments& a, const fathom::features& query,
                         const std::function<void(const fathom::fold_progress&)>& progress) {
  return run_compact_on(backend_of(a), a, query, progress);
}
