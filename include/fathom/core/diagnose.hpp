// SPDX-License-Identifier: Apache-2.0
// Concept failures as sentences: compilers, nvcc above all, often do not say which requirement of a concept was not met.
#pragma once

#include <concepts>
#include <type_traits>

#include <fathom/core/config.hpp>

namespace fathom {

/// One sentence for each thing that a backend must have and B has not. Instantiate it beside a backend of your own:
/// `static_assert(check_backend<my_backend>());`
template <class B>
consteval bool check_backend() {
  static_assert(std::copyable<B>, "fathom: a backend is a handle that can be copied and assigned");
  static_assert(std::equality_comparable<B>,
                "fathom: a backend needs operator==, which says whether two handles share their memory and threads");
  static_assert(requires { typename B::scalar; },
                "fathom: a backend names its real number type: `using scalar = float;` or double");
  if constexpr (requires { typename B::scalar; })
    static_assert(requires(const B b) { b.template allocate<typename B::scalar>(index_t{}); },
                  "fathom: a backend needs `template <class T> std::shared_ptr<T> allocate(index_t n) const`");
  static_assert(requires(const B b) { b.synchronize(); }, "fathom: a backend needs `void synchronize() const`");
  return true;
}

namespace detail {
/// Takes every part and does nothing: what `visit` is called with to see whether it exists.
struct part_visitor {
  template <class Part>
  void operator()(const char*, Part&) const {}
};
}  // namespace detail

/// One sentence for each thing that a module must have and M has not.
template <class M>
consteval bool check_module() {
  static_assert(requires(M& m, detail::part_visitor v) { m.visit(v); },
                "fathom: a module names its parts: `void visit(auto&& v) { v(\"linear_1\", linear_1); ... }`");
  static_assert(requires { typename M::backend_type; },
                "fathom: a module names its backend: `using backend_type = B;`");
  return true;
}

}  // namespace fathom
