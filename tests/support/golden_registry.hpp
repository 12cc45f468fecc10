// SPDX-License-Identifier: Apache-2.0
// Which golden cases are covered, and by what. A file tests/golden/cases/<topic>.cpp says
//
//   const golden::covers pair_transition("02_pair_transition", [](auto& run) {
//     using B = typename std::remove_cvref_t<decltype(run)>::backend_type;
//     const auto mask = run.template in<2>("mask");
//     run.differentiable(std::array{"z"}, run.load(pair_transition<B, dims>(run.backend())),
//                        [&](const auto& module, const auto& z) { return std::tuple(module(z, like(z, mask))); },
//                        run.template input<3>("z"));
//   });
//
// and the case runs on every backend. The name is a prefix: 03_evoformer_block covers 03_evoformer_block_padded too,
// unless a longer prefix is registered.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#if __has_include(<thrust/version.h>)
#include <fathom/backend/thrust.hpp>
#define FATHOM_GOLDEN_THRUST 1
#endif

#include "support/golden.hpp"

namespace fathom::golden {

/// What a runner found wrong, one line each.
using runner = std::function<std::vector<std::string>(const case_file&)>;

struct registry {
  struct entry {
    std::string prefix;
    runner run;
  };
  static std::vector<entry>& entries() {
    static std::vector<entry> all;
    return all;
  }
  /// The entry with the longest prefix that ends at the name's end or before an underscore; null where there is none.
  static const entry* find(const std::string& name) {
    const entry* best = nullptr;
    for (const auto& one : entries()) {
      const bool matches = name.rfind(one.prefix, 0) == 0 &&
                           (name.size() == one.prefix.size() || name[one.prefix.size()] == '_');
      if (matches && (best == nullptr || one.prefix.size() > best->prefix.size())) best = &one;
    }
    return best;
  }
};

/// Constant copies of masks and tables for the backend, plain or autodiff, of `x`.
template <class X, class T>
auto like(const X& x, const T& value) {
  return constant(x.backend(), value);
}

template <class B, class F>
void run_on(const B& b, const char* label, const case_file& file, const F& f, std::vector<std::string>& failures) {
  run<B> one(file, b, label);
  try {
    f(one);
    one.finish();
  } catch (const std::exception& problem) {
    one.fail("exception", problem.what());
  }
  failures.insert(failures.end(), one.failures().begin(), one.failures().end());
}

/// Registers a case on every backend.
struct covers {
  template <class F>
  covers(const char* prefix, F f) {
    registry::entries().push_back({prefix, [f](const case_file& file) {
                                     std::vector<std::string> failures;
                                     run_on(reference<double>{}, "reference<double>", file, f, failures);
                                     run_on(cpu<double>{}, "cpu<double>", file, f, failures);
                                     run_on(cpu<float>{}, "cpu<float>", file, f, failures);
#if defined(FATHOM_GOLDEN_THRUST)
                                     run_on(thrust_backend<double, thrust_system::cpp>{}, "thrust<double>", file, f,
                                            failures);
#endif
                                     return failures;
                                   }});
  }
};

/// Registers a case of host functions (features, constants), which know no backend.
struct covers_on_host {
  template <class F>
  covers_on_host(const char* prefix, F f) {
    registry::entries().push_back({prefix, [f](const case_file& file) {
                                     std::vector<std::string> failures;
                                     run_on(reference<double>{}, "host", file, f, failures);
                                     return failures;
                                   }});
  }
};

}  // namespace fathom::golden
