// SPDX-License-Identifier: Apache-2.0
// Layers one after the other, their channels checked against each other at compile time.
#pragma once

#include <utility>

#include <fathom/nn/layer_norm.hpp>
#include <fathom/nn/linear.hpp>

namespace fathom {

namespace detail {
/// Carries both channel counts into the compiler's message.
template <class From, class To, index_t Produced, index_t Expected>
struct channels_agree {
  static_assert(Produced == Expected,
                "fathom: the output of one layer feeds a layer that expects another number of channels; they must agree "
                "(From feeds To: Produced channels, Expected channels)");
  static constexpr bool value = Produced == Expected;
};
template <class X, class First>
auto run_chain(const X& x, const First& first) {
  return first(x);
}
template <class X, class First, class Second, class... Rest>
auto run_chain(const X& x, const First& first, const Second& second, const Rest&... rest) {
  static_assert(channels_agree<First, Second, First::c_out, Second::c_in>::value);
  return run_chain(first(x), second, rest...);
}
}  // namespace detail

/// chain(x, f, g, h) = h(g(f(x))); layers whose channels do not meet are refused at compile time.
template <class X, class... Layers>
auto chain(const X& x, const Layers&... layers) {
  static_assert(sizeof...(Layers) > 0, "fathom: chain needs at least one layer");
  return detail::run_chain(x, layers...);
}

}  // namespace fathom
