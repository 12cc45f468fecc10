// SPDX-License-Identifier: Apache-2.0
// Asking for gradients: value_and_gradient of a scalar function of a tree, and vjp (pullback) of any function of trees.
#pragma once

#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include <fathom/autodiff/autodiff.hpp>
#include <fathom/tree/tree.hpp>

namespace fathom {

namespace detail {

/// x with every real tensor replaced by a watched variable.
template <class B, class X>
auto watch(const X& x, const B& b) {
  return tree::rebind(x, autodiff<B>(b), watch_leaf<B>{});
}

/// Takes the cotangents out of watched leaves, in their order; zeros where nothing arrived.
template <class B>
struct take_cotangent {
  const std::vector<const void*>& watched;
  std::size_t place = 0;
  template <class Leaf>
  void operator()(Leaf& leaf) {
    if constexpr (any_tensor<Leaf>) {
      if constexpr (std::is_same_v<typename Leaf::value_type, scalar_of<B>>) {
        const auto& from = *static_cast<const tree::rebind_t<Leaf, autodiff<B>>*>(watched[place]);
        if (!leaf.empty()) leaf = from.slot()->empty() ? zeros_like(leaf) : std::exchange(*from.slot(), Leaf{});
      }
    } else {
      leaf = Leaf{};
    }
    ++place;
  }
};
/// The collected cotangents of watched leaves, as a tree like x.
template <class B, class X, class Watched>
X collect(const X& x, Watched& watched) {
  const auto leaves = tree::detail::addresses(watched);
  X gradient = x;
  tree::for_each(gradient, take_cotangent<B>{leaves});
  return gradient;
}

template <class B, class Y>
Y primal_tree(const tree::rebind_t<Y, autodiff<B>>& y, const B& b) {
  return tree::rebind(y, b, take_primal{});
}

template <class B>
struct find_handle {
  std::optional<B> found;
  template <class Leaf>
  void operator()(const Leaf& leaf) {
    if constexpr (any_tensor<Leaf>) {
      if constexpr (std::is_same_v<typename Leaf::backend_type, B>) {
        if (!found && !leaf.empty()) found = leaf.backend();
      }
    }
  }
};
/// The backend handle of the first tensor in a tree.
template <class B, class X>
std::optional<B> first_backend(const X& x) {
  find_handle<B> find;
  tree::for_each(x, find);
  return find.found;
}

/// Adds a cotangent to every recorded leaf, and lists where the backward pass starts.
template <class B>
struct seed_leaf {
  const std::vector<const void*>& seeds;
  std::vector<std::shared_ptr<gradient_node>>& roots;
  std::size_t place = 0;
  template <class Leaf>
  void operator()(const Leaf& leaf) {
    if constexpr (any_tensor<Leaf>) {
      const auto& seed = *static_cast<const tree::rebind_t<Leaf, B>*>(seeds[place]);
      if (leaf.node() && !seed.empty()) {
        accumulate(*leaf.slot(), seed);
        roots.push_back(leaf.node());
      }
    }
    ++place;
  }
};

template <class B, class F, class X>
std::pair<double, X> value_and_gradient_on(F& f, const X& x) {
  const auto b = first_backend<B>(x);
  if (!b) throw error("value_and_gradient: the tree holds no tensor with values; initialise or load it first");
  auto watched = watch<B>(x, *b);
  const auto loss = f(std::as_const(watched));
  static_assert(std::is_same_v<std::remove_cvref_t<decltype(loss)>, tensor<autodiff<B>, 0>>,
                "fathom: value_and_gradient needs a function that returns one number, a tensor of rank 0 (mean, sum)");
  const double value = static_cast<double>(item(loss));
  if (loss.node()) {
    *loss.slot() = full<0>(*b, {}, scalar_of<B>(1));
    run_backward({loss.node()}, true);
  }
  return {value, collect<B>(x, watched)};
}

}  // namespace detail

/// f maps the tree, rebound to autodiff<B>, to a rank-0 tensor. Returns its value and the gradient, a tree like x.
template <class F, class X>
std::pair<double, X> value_and_gradient(F&& f, const X& x) {
  using known = typename tree::detail::known_backend<X>::type;
  if constexpr (!std::is_void_v<known>) {
    return detail::value_and_gradient_on<known>(f, x);
  } else {
    std::optional<std::pair<double, X>> result;
    tree::for_each(x, [&](const auto& leaf) {
      if constexpr (any_tensor<decltype(leaf)>) {
        using B = typename std::remove_cvref_t<decltype(leaf)>::backend_type;
        if (!result) result = detail::value_and_gradient_on<B>(f, x);
      }
    });
    if (!result) throw error("value_and_gradient: the tree holds no tensor");
    return std::move(*result);
  }
}

/// The value of f(xs...) and its pullback: cotangents of the value to a tuple of cotangents of xs. The pullback may be
/// called more than once.
template <class B, class F, class... X>
auto vjp(const B& b, F&& f, const X&... xs) {
  auto watched = std::make_shared<std::tuple<tree::rebind_t<X, autodiff<B>>...>>(detail::watch<B>(xs, b)...);
  auto y = std::make_shared<decltype(std::apply(f, std::as_const(*watched)))>(std::apply(f, std::as_const(*watched)));
  using value_t = tree::rebind_t<decltype(*y), B>;
  auto value = detail::primal_tree<B, value_t>(*y, b);
  auto pullback = [watched, y, xs...](const value_t& cotangent) {
    const auto seeds = tree::detail::addresses(cotangent);
    std::vector<std::shared_ptr<detail::gradient_node>> roots;
    tree::for_each(std::as_const(*y), detail::seed_leaf<B>{seeds, roots});
    detail::run_backward(roots, false);
    return [&]<std::size_t... I>(std::index_sequence<I...>) {
      return std::tuple<X...>(detail::collect<B>(xs, std::get<I>(*watched))...);
    }(std::index_sequence_for<X...>{});
  };
  return std::pair(std::move(value), std::move(pullback));
}

/// Number of gradient-graph nodes alive in the process; 0 when no recorded tensor exists.
inline std::int64_t live_gradient_nodes() { return detail::gradient_node::live(); }

}  // namespace fathom
