// SPDX-License-Identifier: Apache-2.0
// Derivatives of fields made of modules: one evaluation is recorded on autodiff<B>, differentiated and forgotten.
#pragma once

#include <concepts>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <fathom/autodiff/gradient.hpp>
#include <fathom/core/config.hpp>
#include <fathom/ode/adjoint_step.hpp>
#include <fathom/ode/field.hpp>
#include <fathom/ode/tree_state.hpp>

namespace fathom::ode {

namespace detail {

/// Addresses of the leaves of a tree, in order.
template <class X>
std::vector<const void*> leaf_addresses(const X& x) {
  std::vector<const void*> at;
  tree::for_each(x, [&](const auto& leaf) { at.push_back(&leaf); });
  return at;
}

/// to += from, leaf by leaf; `to` owns its storage.
template <class X>
void add_tree(X& to, const X& from) {
  const auto terms = leaf_addresses(from);
  std::size_t n = 0;
  tree::for_each(to, [&](auto& leaf) {
    using leaf_t = std::remove_cvref_t<decltype(leaf)>;
    const auto& term = *static_cast<const leaf_t*>(terms[n++]);
    if constexpr (any_tensor<leaf_t>) {
      if constexpr (std::is_same_v<typename leaf_t::value_type, scalar_of<typename leaf_t::backend_type>>)
        if (!leaf.empty() && !term.empty()) fathom::detail::add_into(leaf, term);
    }
  });
}

/// The tree with autodiff removed: values without history.
template <class X, class B>
auto plain_tree(const X& x, const B& b) {
  return tree::rebind(x, b, [](const auto& from, auto& to) { to = from.primal(); });
}
/// The tree on autodiff<B>, no gradient flowing into it.
template <class X, class B>
auto constant_tree(const X& x, const B& b) {
  return tree::rebind(x, autodiff<B>(b),
                      [](const auto& from, auto& to) { to = std::remove_cvref_t<decltype(to)>(from); });
}

}  // namespace detail

/// A field that is a tree of modules on a plain backend B, with derivatives by autodiff<B>, and what belongs to its
/// context (masks). Holds copies: handles of tensors.
template <class Field, class... Context>
class autodiff_field {
 public:
  using backend_type = tree::backend_of_t<Field>;
  using gradient_type = Field;

  explicit autodiff_field(Field field, Context... context)
      : field_(std::move(field)), context_(std::move(context)...) {}

  template <class Y>
  Y operator()(const ode_time<backend_type>& t, const Y& y) const {
    return std::apply([&](const auto&... c) { return field_(t, y, c...); }, context_);
  }

  Field zero_gradient() const {
    return tree::map(
        [](const auto& leaf) {
          using leaf_t = std::remove_cvref_t<decltype(leaf)>;
          if constexpr (any_tensor<leaf_t>) {
            if constexpr (std::is_same_v<typename leaf_t::value_type, scalar_of<typename leaf_t::backend_type>>)
              if (!leaf.empty()) return zeros_like(leaf);
            return leaf;
          } else {
            return leaf_t{};
          }
        },
        field_);
  }

  template <class Y>
  field_cotangent<Y> vjp(const ode_time<backend_type>& t, const Y& y, const Y& a, Field& gradient) const {
    const auto& b = t.backend();
    const auto constants =
        std::apply([&](const auto&... c) { return std::tuple(detail::constant_tree(c, b)...); }, context_);
    auto recorded = fathom::vjp(
        b,
        [&](const auto& field, const auto& when, const auto& at) {
          return std::apply([&](const auto&... c) { return field(when, at, c...); }, constants);
        },
        field_, t, y);
    auto [field_gradient, t_gradient, y_gradient] = recorded.second(a);
    detail::add_tree(gradient, field_gradient);
    return {std::move(y_gradient), static_cast<double>(item(t_gradient))};
  }

 private:
  Field field_;
  std::tuple<Context...> context_;
};

/// A field of modules as solve_with_gradient wants it; `context` is passed on as field(t, y, context...).
template <class Field, class... Context>
autodiff_field<Field, Context...> differentiable(const Field& field, const Context&... context) {
  static_assert(tree::branch<Field>,
                "fathom: differentiable() needs a field with `visit` and `rebind`, a tree of modules");
  return autodiff_field<Field, Context...>(field, context...);
}

}  // namespace fathom::ode
