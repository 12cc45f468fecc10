// SPDX-License-Identifier: Apache-2.0
// Forward mode for functions of trees: (df/dx) v by one evaluation over dual numbers, itself differentiable.
#pragma once

#include <cstddef>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <fathom/autodiff/activation_plan.hpp>
#include <fathom/autodiff/autodiff.hpp>
#include <fathom/autodiff/dual_backend.hpp>
#include <fathom/core/error.hpp>
#include <fathom/tree/tree.hpp>

namespace fathom {

namespace detail {

struct collect_tensors {
  std::vector<const void*>& at;
  template <class Leaf>
  void operator()(const Leaf& leaf) const {
    if constexpr (any_tensor<Leaf>) at.push_back(&leaf);
  }
};
template <class X>
std::vector<const void*> tensors_of(const X& x) {
  std::vector<const void*> at;
  tree::for_each(x, collect_tensors{at});
  return at;
}

template <class Leaf>
inline constexpr bool real_leaf = std::is_same_v<typename Leaf::value_type, scalar_of<typename Leaf::backend_type>>;

/// Whether a gradient flows into a tensor.
template <class X>
bool is_watched(const X& x) {
  if constexpr (requires { x.node(); })
    return x.node() != nullptr;
  else
    return false;
}

/// Leaves over dual numbers, or recorded over them: the values of one tree, the slopes of another.
struct join_leaf {
  const std::vector<const void*>& along;
  std::size_t place = 0;

  template <class From, class To>
  void operator()(const From& from, To& to) {
    const auto& slope = *static_cast<const From*>(along[place++]);
    const auto& values = primal(from);
    if constexpr (real_leaf<From>) {
      if (!slope.empty() && slope.shape() != from.shape())
        throw shape_error(concat("directional_derivative: a tensor has extents ", to_string_extents(from.shape()),
                                 ", its direction ", to_string_extents(slope.shape())));
      set(with_slopes(values, primal(slope)), is_watched(from) || is_watched(slope), to);
    } else {
      using plain =
          tensor<dual_backend<std::remove_cvref_t<decltype(values.backend())>>, From::rank, typename From::value_type>;
      using D = typename plain::backend_type;
      to = To(plain(D(values.backend()), values.storage(), values.shape(), values.strides()));
    }
  }

 private:
  template <class D, int R, class To>
  static void set(const tensor<D, R>& x, bool watched, To& to) {
    if constexpr (plain_backend<typename To::backend_type>)
      to = x;
    else
      to = watched && !x.empty() ? watched_leaf<D>(x) : To(x);
  }
};

struct take_slopes {
  template <class From, class To>
  void operator()(const From& from, To& to) const {
    to = slopes_of(from);
  }
};

/// The slopes of f over dual numbers of the plain backend B.
template <class B, class F, class At>
auto slopes_along(const B& b, const F& f, const At& at, const std::vector<const void*>& along) {
  const auto x = tree::rebind(at, dual_backend<B>(b), join_leaf{along});
  return tree::rebind(std::apply(f, x), b, take_slopes{});
}

/// One derivative along a direction in the graph: reverse mode over the dual numbers. With w the cotangent of J v, the
/// pullback of w + 0 e at x + v e is J^T w + (d(w . J v)/dx) e: the cotangents of v and of x.
template <class B, class F, class At, class Y>
class directional_node final : public gradient_node {
 public:
  directional_node(B b, F f, At at, At along)
      : b_(std::move(b)), f_(std::move(f)), at_(std::move(at)), along_(std::move(along)) {
    const auto collect = [&](const auto& leaf) {
      if constexpr (any_tensor<decltype(leaf)>)
        if (leaf.node()) inputs_.push_back(leaf.node());
    };
    tree::for_each(std::as_const(at_), collect);
    tree::for_each(std::as_const(along_), collect);
  }

  Y cotangents{};

  void propagate(bool release) override {
    bool any = false;
    tree::for_each(std::as_const(cotangents), [&](const auto& leaf) { any = any || !leaf.empty(); });
    if (!any) return;
    const activation_plan::pause inside;
    using D = dual_backend<B>;
    const auto along = tensors_of(along_);
    const auto x = tree::rebind(at_, autodiff<D>(D(b_)), join_leaf{along});
    {
      const auto y = std::apply(f_, x);
      const auto seeds = tensors_of(cotangents);
      std::vector<std::shared_ptr<gradient_node>> roots;
      std::size_t place = 0;
      tree::for_each(y, [&](const auto& leaf) {
        using seed_t = tensor<B, std::remove_cvref_t<decltype(leaf)>::rank>;
        const auto& seed = *static_cast<const seed_t*>(seeds[place++]);
        if (!leaf.node() || seed.empty()) return;
        accumulate(*leaf.slot(), with_slopes(seed, seed_t{}));
        roots.push_back(leaf.node());
      });
      tree::for_each(cotangents, [](auto& leaf) { leaf = std::remove_cvref_t<decltype(leaf)>{}; });
      run_backward(roots, true);
    }
    const auto pulled = tensors_of(x);
    std::size_t place = 0;
    tree::for_each(std::as_const(at_), [&](const auto& leaf) {
      using leaf_t = std::remove_cvref_t<decltype(leaf)>;
      if constexpr (any_tensor<leaf_t>) {
        const std::size_t n = place++;
        if constexpr (real_leaf<leaf_t>) {
          const auto& own = *static_cast<const tree::rebind_t<leaf_t, autodiff<D>>*>(pulled[n]);
          if (!own.node() || own.slot()->empty()) return;
          if (leaf.node()) accumulate(*leaf.slot(), slopes_of(*own.slot()));
          const auto& direction = *static_cast<const leaf_t*>(along[n]);
          if (direction.node()) accumulate(*direction.slot(), values_of(*own.slot()));
        }
      }
    });
    if (release) at_ = At{}, along_ = At{};
  }

 private:
  B b_;
  F f_;
  At at_, along_;
};

/// Recorded leaves with values of a plain tree, their cotangents gathering in the leaves of another.
template <class B>
struct record_leaf {
  const std::shared_ptr<gradient_node>& owner;
  const std::vector<const void*>& slots;
  std::size_t place = 0;
  template <class From, class To>
  void operator()(const From& from, To& to) {
    to = To(from, owner, static_cast<From*>(const_cast<void*>(slots[place++])));
  }
};

}  // namespace detail

/// A direction along which nothing of x moves.
template <class X>
X no_direction(const X& x) {
  return tree::emptied(x);
}

/// sum_n (df/dx_n) v_n: the derivative of f(x_1, x_2, ...), a tree of real tensors, at the trees `at` along the trees
/// `along`, whose empty tensors stand for zeros. Exact: f is evaluated over dual numbers (dual_backend<B>), so it must
/// be callable on any backend. Costs about four evaluations.
///
///     auto jv = directional_derivative(b, [](const auto& f, const auto& y) { return f(y); },
///                                      std::tuple(model, y), std::tuple(no_direction(model), v));
template <plain_backend B, class F, class... X>
auto directional_derivative(const B& b, const F& f, const std::tuple<X...>& at, const std::tuple<X...>& along) {
  const auto directions = detail::tensors_of(along);
  if (directions.size() != detail::tensors_of(at).size())
    throw shape_error(
        "directional_derivative: the direction has another number of tensors than what it is a direction "
        "of; begin with no_direction(x)");
  return detail::slopes_along(b, f, at, directions);
}
/// On autodiff<B> the result has gradients with respect to `at` and `along`: second derivatives, by reverse mode over
/// the dual numbers. f must be callable on dual_backend<B> and on autodiff of it.
template <plain_backend B, class F, class... X>
auto directional_derivative(const autodiff<B>& b, const F& f, const std::tuple<X...>& at,
                            const std::tuple<X...>& along) {
  const auto plain = [&](const auto& x) { return tree::rebind(x, b.inner(), detail::take_primal{}); };
  const auto slopes = directional_derivative(b.inner(), f, plain(at), plain(along));
  using Y = std::remove_cvref_t<decltype(slopes)>;
  using node_t = detail::directional_node<B, F, std::tuple<X...>, Y>;
  const auto [owner, node] = detail::make_node<node_t>(b.inner(), f, at, along);
  if (owner->inputs().empty())
    return tree::rebind(slopes, b, [](const auto& from, auto& to) { to = std::remove_cvref_t<decltype(to)>(from); });
  node->cotangents = no_direction(slopes);
  const auto slots = detail::tensors_of(node->cotangents);
  return tree::rebind(slopes, b, detail::record_leaf<B>{owner, slots});
}

}  // namespace fathom
