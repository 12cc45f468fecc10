// SPDX-License-Identifier: Apache-2.0
// A whole solve as one node of the gradient graph: on autodiff<B>, without recording what happens inside it.
#pragma once

#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/ode/adjoint.hpp>
#include <fathom/ode/autodiff_field.hpp>

namespace fathom::ode {

namespace detail {

/// Where the cotangents of a tree's leaves go: those leaves that take part in the graph.
template <class X>
void collect_nodes(const X& x, std::vector<std::shared_ptr<fathom::detail::gradient_node>>& nodes) {
  tree::for_each(x, [&](const auto& leaf) {
    if constexpr (any_tensor<decltype(leaf)>)
      if (leaf.node()) nodes.push_back(leaf.node());
  });
}
template <class X, class Plain>
void hand_on(const X& x, const Plain& gradient) {
  const auto terms = leaf_addresses(gradient);
  std::size_t n = 0;
  tree::for_each(x, [&](const auto& leaf) {
    using leaf_t = std::remove_cvref_t<decltype(leaf)>;
    const void* term = terms[n++];
    if constexpr (any_tensor<leaf_t>) {
      using plain_t = std::remove_cvref_t<decltype(leaf.primal())>;
      if constexpr (std::is_same_v<typename plain_t::value_type, scalar_of<typename plain_t::backend_type>>)
        if (leaf.node()) fathom::detail::accumulate(*leaf.slot(), *static_cast<const plain_t*>(term));
    }
  });
}

template <class B, class Field, class Y, class Pullback>
class solve_node final : public fathom::detail::gradient_node {
 public:
  using plain_state = tree::rebind_t<Y, B>;

  solve_node(const Field& field, const Y& y0, const plain_state& shape, std::size_t saved, Pullback pullback)
      : field_(field),
        y0_(y0),
        shape_(shape),
        end_(empty_like(shape)),
        saved_(saved, end_),
        pullback_(std::move(pullback)) {
    collect_nodes(y0_, inputs_);
    collect_nodes(field_, inputs_);
  }

  /// `values` as outputs of this node; which = 0 for the end, n + 1 for the n-th saved value.
  static Y output(const std::shared_ptr<solve_node>& node, const plain_state& values, std::size_t which, const B& b) {
    plain_state& slots = which == 0 ? node->end_ : node->saved_[which - 1];
    const auto at = leaf_addresses(slots);
    std::size_t n = 0;
    return tree::rebind(values, autodiff<B>(b), [&](const auto& from, auto& to) {
      using plain_t = std::remove_cvref_t<decltype(from)>;
      auto* slot = const_cast<plain_t*>(static_cast<const plain_t*>(at[n++]));
      to = std::remove_cvref_t<decltype(to)>(from, node, slot);
    });
  }

  void propagate(bool release) override {
    bool any = false;
    const auto look = [&](const plain_state& tree_) {
      tree::for_each(tree_, [&](const auto& leaf) { any = any || !leaf.empty(); });
    };
    look(end_);
    for (const auto& one : saved_) look(one);
    if (any) {
      const auto end = filled(std::exchange(end_, empty_like(shape_)));
      std::vector<plain_state> saved;
      for (auto& one : saved_) saved.push_back(filled(std::exchange(one, empty_like(shape_))));
      const auto gradient = release ? pullback_->consume(end, saved) : (*pullback_)(end, saved);
      hand_on(y0_, gradient.y0);
      hand_on(field_, gradient.parameters);
    }
    if (release) pullback_.reset();
  }

 private:
  static plain_state empty_like(const plain_state& x) {
    return tree::map([](const auto& leaf) { return std::remove_cvref_t<decltype(leaf)>{}; }, x);
  }
  /// Zeros where no cotangent arrived.
  plain_state filled(plain_state cotangent) const {
    const auto shapes = leaf_addresses(shape_);
    std::size_t n = 0;
    tree::for_each(cotangent, [&](auto& leaf) {
      using leaf_t = std::remove_cvref_t<decltype(leaf)>;
      const auto& shape = *static_cast<const leaf_t*>(shapes[n++]);
      if (leaf.empty()) leaf = zeros_like(shape);
    });
    return cotangent;
  }

  Field field_;
  Y y0_;
  plain_state shape_;
  plain_state end_;
  std::vector<plain_state> saved_;
  std::optional<Pullback> pullback_;
};

}  // namespace detail

/// solve() for a field and state on autodiff<B>, its gradient by `policy` instead of a record of every operation (which
/// is what ode::solve itself leaves). `context` (masks) is passed on to the field and gets no gradient.
///
///     auto loss = [&](const auto& field) {
///       return mean_square(ode::solve_in_graph(field, like(field, y0), {0, 1}, ode::rk4{}, ode::fixed_steps{64},
///                                              ode::checkpointed{.slots = 8}).y1.z);
///     };
template <class Field, class Y, class Solver, class Control, class Policy = checkpointed, class... Context>
solution<Y> solve_in_graph(const Field& field, const Y& y0, interval span, const Solver& solver, const Control& control,
                           const Policy& policy = {}, const std::vector<double>& save_at = {},
                           const Context&... context) {
  using decorated = tree::backend_of_t<Y>;
  static_assert(decorated_backend<decorated>, "fathom: solve_in_graph is for states on autodiff<B>");
  using B = typename decorated::inner_backend;
  const B b = state_traits<Y>::backend(y0).inner();
  const auto plain_y0 = detail::plain_tree(y0, b);
  using plain_y = std::remove_cvref_t<decltype(plain_y0)>;
  options<plain_y> option;
  option.save_at = save_at;
  auto [plain, pullback] =
      solve_with_gradient(differentiable(detail::plain_tree(field, b), detail::plain_tree(context, b)...), plain_y0,
                          span, solver, control, policy, option);
  using node_t = detail::solve_node<B, Field, Y, std::remove_cvref_t<decltype(pullback)>>;
  const auto node = std::make_shared<node_t>(field, y0, plain_y0, plain.values.size(), std::move(pullback));
  solution<Y> result{node_t::output(node, plain.y1, 0, b)};
  result.t1 = plain.t1;
  result.times = plain.times;
  for (std::size_t n = 0; n < plain.values.size(); ++n)
    result.values.push_back(node_t::output(node, plain.values[n], n + 1, b));
  result.steps = plain.steps;
  result.stats = plain.stats;
  return result;
}

/// solve_in_graph with the checkpointed adjoint.
template <class Field, class Y, class Solver, class Control, class... Context>
solution<Y> solve_checkpointed(const Field& field, const Y& y0, interval span, const Solver& solver,
                               const Control& control, const checkpointed& policy = {},
                               const std::vector<double>& save_at = {}, const Context&... context) {
  return solve_in_graph(field, y0, span, solver, control, policy, save_at, context...);
}

}  // namespace fathom::ode
