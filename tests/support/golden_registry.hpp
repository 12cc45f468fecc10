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
// unless a longer prefix is registered. The build compiles such a file once for each backend, with
// FATHOM_GOLDEN_BACKEND naming it, so that no translation unit holds all of them; without that macro a file registers
// all but the GPU.
#pragma once

#include <functional>
#include <string>
#include <vector>

#define FATHOM_GOLDEN_REFERENCE_DOUBLE 1
#define FATHOM_GOLDEN_CPU_DOUBLE 2
#define FATHOM_GOLDEN_CPU_FLOAT 4
#define FATHOM_GOLDEN_THRUST_DOUBLE 8
#define FATHOM_GOLDEN_CUDA_FLOAT 16
#if defined(FATHOM_GOLDEN_BACKEND)
#define FATHOM_GOLDEN_BACKENDS FATHOM_GOLDEN_BACKEND
#else
#define FATHOM_GOLDEN_BACKENDS 15
#endif

#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#if (FATHOM_GOLDEN_BACKENDS & FATHOM_GOLDEN_THRUST_DOUBLE) && __has_include(<thrust/version.h>)
#include <fathom/backend/thrust.hpp>
#endif
#if FATHOM_GOLDEN_BACKENDS & FATHOM_GOLDEN_CUDA_FLOAT
#include <fathom/cuda/gpu.hpp>
#endif

#include "support/golden.hpp"

namespace fathom::golden {

/// What a runner found wrong, one line each.
using runner = std::function<std::vector<std::string>(const case_file&)>;

struct registry {
  struct entry {
    std::string prefix;
    std::vector<runner> runners;

    std::vector<std::string> run(const case_file& file) const {
      std::vector<std::string> failures;
      for (const auto& one : runners)
        for (auto& line : one(file)) failures.push_back(std::move(line));
      return failures;
    }
  };
  static std::vector<entry>& entries() {
    static std::vector<entry> all;
    return all;
  }
  static void add(const std::string& prefix, runner run) {
    for (auto& one : entries())
      if (one.prefix == prefix) {
        one.runners.push_back(std::move(run));
        return;
      }
    entries().push_back({prefix, {std::move(run)}});
  }
  /// The entry with the longest prefix that ends at the name's end or before an underscore; null where there is none.
  static const entry* find(const std::string& name) {
    const entry* best = nullptr;
    for (const auto& one : entries()) {
      const bool matches =
          name.rfind(one.prefix, 0) == 0 && (name.size() == one.prefix.size() || name[one.prefix.size()] == '_');
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

/// A backend by its bit in FATHOM_GOLDEN_BACKENDS.
template <unsigned Bit>
struct backend_of_bit;
template <>
struct backend_of_bit<FATHOM_GOLDEN_REFERENCE_DOUBLE> {
  using type = reference<double>;
  static constexpr const char* label = "reference<double>";
};
template <>
struct backend_of_bit<FATHOM_GOLDEN_CPU_DOUBLE> {
  using type = cpu<double>;
  static constexpr const char* label = "cpu<double>";
};
template <>
struct backend_of_bit<FATHOM_GOLDEN_CPU_FLOAT> {
  using type = cpu<float>;
  static constexpr const char* label = "cpu<float>";
};
#if (FATHOM_GOLDEN_BACKENDS & FATHOM_GOLDEN_THRUST_DOUBLE) && __has_include(<thrust/version.h>)
template <>
struct backend_of_bit<FATHOM_GOLDEN_THRUST_DOUBLE> {
  using type = thrust_backend<double, thrust_system::cpp>;
  static constexpr const char* label = "thrust<double>";
};
#endif
#if FATHOM_GOLDEN_BACKENDS & FATHOM_GOLDEN_CUDA_FLOAT
template <>
struct backend_of_bit<FATHOM_GOLDEN_CUDA_FLOAT> {
  using type = cuda::gpu<float>;
  static constexpr const char* label = "cuda::gpu<float>";
};
#endif

/// Registers a case on the backends of a set of bits.
template <unsigned Backends>
struct covers_on {
  template <class F>
  covers_on(const char* prefix, F f) {
    add<FATHOM_GOLDEN_REFERENCE_DOUBLE>(prefix, f);
    add<FATHOM_GOLDEN_CPU_DOUBLE>(prefix, f);
    add<FATHOM_GOLDEN_CPU_FLOAT>(prefix, f);
    add<FATHOM_GOLDEN_THRUST_DOUBLE>(prefix, f);
    add<FATHOM_GOLDEN_CUDA_FLOAT>(prefix, f);
  }

 private:
  template <unsigned Bit, class F>
  static void add(const char* prefix, const F& f) {
    if constexpr ((Backends & Bit) != 0 && requires { typename backend_of_bit<Bit>::type; }) {
      using chosen = backend_of_bit<Bit>;
      registry::add(prefix, [f](const case_file& file) {
        std::vector<std::string> failures;
        run_on(typename chosen::type{}, chosen::label, file, f, failures);
        return failures;
      });
    }
  }
};

/// Registers a case on every backend of this translation unit.
using covers = covers_on<FATHOM_GOLDEN_BACKENDS>;
/// Registers a case of host functions (features, constants, solvers), which know no backend: once.
using covers_on_host = covers_on<(FATHOM_GOLDEN_BACKENDS)&FATHOM_GOLDEN_REFERENCE_DOUBLE>;

}  // namespace fathom::golden
