// SPDX-License-Identifier: Apache-2.0
// Derivatives of fields made of modules: one evaluation is recorded on autodiff<B>, differentiated and forgotten.
#pragma once

#include <concepts>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <fathom/autodiff/gradient.hpp>
#include <fathom/core/config.hpp>
#include <fathom/ode/field.hpp>
#include <fathom/ode/linearize.hpp>
#include <fathom/ode/options.hpp>
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

/// One recorded evaluation: the pullback of recording_field. Its value is not held, only where cotangents enter.
template <class B, class Field, class Y>
class recorded_evaluation {
 public:
  /// evaluate(field, t, y) on autodiff<B>; `value` gets its values.
  template <class Evaluate>
  recorded_evaluation(const B& b, const Field& field, const ode_time<B>& t, const Y& y, Y& value,
                      const Evaluate& evaluate)
      : field_(std::make_unique<tree::rebind_t<Field, autodiff<B>>>(fathom::detail::watch<B>(field, b))),
        t_(fathom::detail::watch<B>(t, b)),
        y_(fathom::detail::watch<B>(y, b)),
        plain_t_(t),
        plain_y_(y) {
    const auto slope = evaluate(std::as_const(*field_), std::as_const(t_), std::as_const(y_));
    value = fathom::detail::primal_tree<B, Y>(slope, b);
    tree::for_each(slope, [&](const auto& leaf) {
      if constexpr (any_tensor<decltype(leaf)>) entries_.push_back({leaf.node(), leaf.slot()});
    });
  }

  /// Hand `a` over where it is not needed afterwards: its storage is given back on the way.
  field_cotangent<Y> operator()(Y a, Field& gradient, bool last) {
    std::vector<std::shared_ptr<fathom::detail::gradient_node>> roots;
    std::size_t n = 0;
    tree::for_each(a, [&](auto& leaf) {
      using leaf_t = std::remove_cvref_t<decltype(leaf)>;
      if constexpr (any_tensor<leaf_t>) {
        const auto& [node, slot] = entries_[n++];
        if (!node || leaf.empty()) return;
        fathom::detail::accumulate(*static_cast<leaf_t*>(slot), leaf);
        leaf = leaf_t{};
        roots.push_back(node);
      }
    });
    fathom::detail::run_backward(roots, last);
    add_parameters(gradient);
    field_cotangent<Y> cotangent{fathom::detail::collect<B>(plain_y_, y_), 0};
    cotangent.t = static_cast<double>(item(fathom::detail::collect<B>(plain_t_, t_)));
    return cotangent;
  }

 private:
  void add_parameters(Field& gradient) {
    const auto terms = leaf_addresses(*field_);
    std::size_t n = 0;
    tree::for_each(gradient, [&](auto& leaf) {
      using leaf_t = std::remove_cvref_t<decltype(leaf)>;
      const void* const at = terms[n++];
      if constexpr (any_tensor<leaf_t>) {
        if constexpr (std::is_same_v<typename leaf_t::value_type, scalar_of<B>>) {
          const auto& watched = *static_cast<const tree::rebind_t<leaf_t, autodiff<B>>*>(at);
          if (leaf.empty() || watched.slot() == nullptr || watched.slot()->empty()) return;
          fathom::detail::add_into(leaf, *watched.slot());
          *watched.slot() = leaf_t{};
        }
      }
    });
  }

  std::unique_ptr<tree::rebind_t<Field, autodiff<B>>> field_;
  tree::rebind_t<ode_time<B>, autodiff<B>> t_;
  tree::rebind_t<Y, autodiff<B>> y_;
  ode_time<B> plain_t_;
  Y plain_y_;
  struct entry {
    std::shared_ptr<fathom::detail::gradient_node> node;
    void* slot;
  };
  std::vector<entry> entries_{};
};

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

  /// Where the field in it knows its derivative along a direction (by_dual_numbers), so does this one.
  template <class Y>
    requires requires(const Field& f, const ode_time<backend_type>& t, const Y& y, const Context&... c) {
      f.directional(t, y, y, c...);
    }
  Y directional(const ode_time<backend_type>& t, const Y& y, const Y& v) const {
    return std::apply([&](const auto&... c) { return field_.directional(t, y, v, c...); }, context_);
  }
  template <class Y>
    requires requires(const Field& f, const ode_time<backend_type>& t, const Y& y, const Context&... c) {
      f.jvp(t, y, y, c...);
    }
  auto jvp(const ode_time<backend_type>& t, const Y& y, const Y& v) const {
    return std::apply([&](const auto&... c) { return field_.jvp(t, y, v, c...); }, context_);
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
  field_cotangent<Y> vjp(const ode_time<backend_type>& t, const Y& y, Y a, Field& gradient) const {
    auto pullback = [&] {
      Y value;
      return linearize(t, y, value);
    }();
    return pullback(std::move(a), gradient, true);
  }

  /// One evaluation, recorded: see recording_field.
  template <class Y>
  detail::recorded_evaluation<backend_type, Field, Y> linearize(const ode_time<backend_type>& t, const Y& y,
                                                                Y& value) const {
    return recorded(t, y, value, [](const auto& field, const auto& when, const auto& at, const auto&... c) {
      return field(when, at, c...);
    });
  }

  /// Fields that are sums of parts (see split_field) are so with derivatives too.
  std::size_t parts() const requires requires(const Field& f) { f.parts(); }
  { return field_.parts(); }
  template <class Y>
    requires requires(const Field& f) { f.parts(); }
  Y part(std::size_t n, const ode_time<backend_type>& t, const Y& y) const {
    return std::apply([&](const auto&... c) { return field_.part(n, t, y, c...); }, context_);
  }
  template <class Y>
    requires requires(const Field& f) { f.parts(); }
  detail::recorded_evaluation<backend_type, Field, Y> linearize_part(std::size_t n, const ode_time<backend_type>& t,
                                                                     const Y& y, Y& value) const {
    return recorded(t, y, value, [n](const auto& field, const auto& when, const auto& at, const auto&... c) {
      return field.part(n, when, at, c...);
    });
  }

 private:
  template <class Y, class Evaluate>
  detail::recorded_evaluation<backend_type, Field, Y> recorded(const ode_time<backend_type>& t, const Y& y, Y& value,
                                                               const Evaluate& evaluate) const {
    const auto& b = t.backend();
    const auto constants =
        std::apply([&](const auto&... c) { return std::tuple(detail::constant_tree(c, b)...); }, context_);
    return {b, field_, t, y, value, [&](const auto& field, const auto& when, const auto& at) {
              return std::apply([&](const auto&... c) { return evaluate(field, when, at, c...); }, constants);
            }};
  }

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

/// A terminal event with derivatives: value(t, y) returns a tensor of rank 0 from tensors of a plain backend or of
/// autodiff<B>, of time t (rank 0) and state y.
///
///     option.events.push_back(ode::differentiable_event<state>([](const auto&, const auto& y) { return mean(y.z); }));
template <class Y, class Value>
event<Y> differentiable_event(const Value& value, crossing direction = crossing::any) {
  using traits = state_traits<Y>;
  return {[value](double t, const Y& y) { return static_cast<double>(item(value(traits::time(t, y), y))); }, direction,
          true,
          [value](double t, const Y& y) {
            const auto b = traits::backend(y);
            auto recorded = fathom::vjp(b, value, traits::time(t, y), y);
            auto [of_t, of_y] = recorded.second(full<0>(b, {}, typename traits::scalar_type(1)));
            return event_slope<Y>{static_cast<double>(item(of_t)), std::move(of_y)};
          }};
}

}  // namespace fathom::ode
