// SPDX-License-Identifier: Apache-2.0
// What the benchmarks share: clocks, medians, the machine's own sgemm, and RESULT lines.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <fathom/backend/cpu.hpp>

#include "report.hpp"

namespace fathom::bench {

template <class F>
double seconds_of(F&& f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/// Who computes large products in float32. The build links oneDNN where it finds it: FATHOM_WITH_ONEDNN is set then.
#if defined(FATHOM_WITH_ONEDNN)
inline constexpr const char* products_by = "oneDNN, small ones CBLAS";
#else
inline constexpr const char* products_by = "CBLAS";
#endif

/// FATHOM_THREADS, else 4.
inline int threads() {
  const char* const set = std::getenv("FATHOM_THREADS");
  return set != nullptr && std::atoi(set) > 0 ? std::atoi(set) : 4;
}

/// Seconds of one 2048^3 product in float32 through the backend's own gemm: the machine at this moment.
inline double sgemm_seconds(const cpu<float>& b) {
  constexpr index_t n = 2048;
  static const auto x = full<2>(b, {n, n}, 0.5f);
  static auto y = full<2>(b, {n, n}, 0.0f);
  return seconds_of([&] { b.gemm(1.0f, x.view(), x.view(), 0.0f, y.mutable_view()); });
}
/// The same in GFLOP/s.
inline double sgemm_rate(const cpu<float>& b) { return 2e-9 * 2048.0 * 2048.0 * 2048.0 / sgemm_seconds(b); }

/// report::result of this program.
inline bool result(const std::string& name, double value, double goal, bool at_most) {
  return report::of_this_run().result(name, value, goal, at_most);
}

/// How much faster than the peer a program is to be: the goal where oneDNN computes the products, two thirds of it with
/// CBLAS alone.
inline double peer_goal(double with_onednn) {
#if defined(FATHOM_WITH_ONEDNN)
  return with_onednn;
#else
  return with_onednn * 2 / 3;
#endif
}

/// Prints what a run depends on, and notes it.
inline void introduce() {
  std::printf("%s; %d threads; products by %s\n", machine().c_str(), threads(), products_by);
  report::of_this_run().note("products", products_by);
  report::of_this_run().note("threads", std::to_string(threads()));
}

}  // namespace fathom::bench
