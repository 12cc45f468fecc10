// SPDX-License-Identifier: Apache-2.0
// A function applied chunk by chunk along the first axis, remembered by its inputs only: the backward pass runs each
// chunk again under a short-lived graph. This bounds the memory of every row-wise layer, forward and backward, to one
// chunk beyond inputs and outputs.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <tuple>

#include <fathom/autodiff/gradient.hpp>
#include <fathom/op/layout.hpp>

namespace fathom {

namespace detail {

template <class B, int R>
tensor<B, R> rows_of(const tensor<B, R>& x, index_t from, index_t to) {
  return kernel<slice_op, B>::forward(x, 0, from, to).value;
}
template <class X>
std::optional<X> rows_of(const std::optional<X>& x, index_t from, index_t to) {
  return x ? std::optional<X>(rows_of(*x, from, to)) : std::nullopt;
}

template <class B, int R>
void write_rows(tensor<B, R>& whole, const tensor<B, R>& part, index_t from) {
  auto window = rows_of(whole, from, from + part.extent(0));
  whole.backend().map(copy_value{}, window.mutable_view(), part.view());
}

/// Only one chunk is needed, or the chunks of y one after the other.
template <class F, class Shared, class First, class... Rest>
auto run_chunks(const F& f, const Shared& shared, index_t chunk, const First& first, const Rest&... rest) {
  const index_t n = first.extent(0);
  if (n <= chunk) return f(shared, first, rest...);
  auto part = f(shared, rows_of(first, 0, chunk), rows_of(rest, 0, chunk)...);
  auto e = part.shape();
  e[0] = n;
  decltype(part) y(part.backend(), e);
  write_rows(y, part, 0);
  for (index_t from = chunk; from < n; from += chunk) {
    const index_t to = std::min(n, from + chunk);
    write_rows(y, f(shared, rows_of(first, from, to), rows_of(rest, from, to)...), from);
  }
  return y;
}

/// All tensors of a tree without their history.
template <class B, class X>
auto plain_tree(const X& x, const B& b) {
  return tree::rebind(x, b, take_primal{});
}

/// A fresh leaf where there was a watched tensor; a constant stays one, and costs no gradient.
template <class B>
struct watch_again {
  template <class Leaf>
  Leaf operator()(const Leaf& leaf) const {
    if constexpr (any_tensor<Leaf>) {
      if constexpr (std::is_same_v<typename Leaf::value_type, scalar_of<B>>) {
        if (leaf.node()) return watched_leaf<B>(leaf.primal());
      }
    }
    return leaf;
  }
};
template <class B, class X>
X rewatch(const X& x) {
  return tree::map(watch_again<B>{}, x);
}

struct collect_nodes {
  std::vector<std::shared_ptr<gradient_node>>& nodes;
  template <class Leaf>
  void operator()(const Leaf& leaf) const {
    if constexpr (any_tensor<Leaf>)
      if (leaf.node()) nodes.push_back(leaf.node());
  }
};
struct find_watched {
  bool found = false;
  template <class Leaf>
  void operator()(const Leaf& leaf) {
    if constexpr (any_tensor<Leaf>) found = found || leaf.node() != nullptr;
  }
};
/// Adds the cotangents that the leaves of one tree collected to those of the tree they stand for.
template <class B>
struct hand_over {
  template <class Leaf>
  void operator()(Leaf& to, Leaf& from) const {
    if constexpr (any_tensor<Leaf>) {
      if constexpr (std::is_same_v<typename Leaf::value_type, scalar_of<B>>) {
        if (to.node() && !from.slot()->empty()) accumulate(*to.slot(), *from.slot());
      }
    }
  }
};

template <class B, class F, class Shared, class Y, class... Mapped>
class chunked_node final : public gradient_node {
 public:
  chunked_node(F f, Shared shared, index_t chunk, const Mapped&... mapped)
      : f_(std::move(f)), shared_(std::move(shared)), chunk_(chunk), mapped_(mapped...) {
    tree::for_each(std::as_const(shared_), collect_nodes{inputs_});
    tree::for_each(std::as_const(mapped_), collect_nodes{inputs_});
  }

  Y cotangent;

  void propagate(bool release) override {
    if (cotangent.empty()) return;
    const Y dy = std::exchange(cotangent, Y{});
    Shared shared = rewatch<B>(shared_);
    const index_t n = std::get<0>(mapped_).extent(0);
    for (index_t from = 0; from < n; from += chunk_) run(shared, dy, from, std::min(n, from + chunk_));
    deliver(shared_, shared);
    if (release) mapped_ = {};
  }

 private:
  void run(const Shared& shared, const Y& dy, index_t from, index_t to) {
    const index_t n = std::get<0>(mapped_).extent(0);
    auto rows = std::apply([&](const auto&... x) { return std::tuple(rewatch<B>(constant_rows(x, from, to))...); },
                           mapped_);
    const auto y = std::apply([&](const auto&... x) { return f_(shared, x...); }, rows);
    if (!y.node()) return;
    accumulate(*y.slot(), rows_of(dy, from, to));
    run_backward({y.node()}, true);
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (scatter(std::get<I>(mapped_), std::get<I>(rows), from, n), ...);
    }(std::index_sequence_for<Mapped...>{});
  }

  /// The rows of x, still marked as watched.
  template <int R, class T>
  static tensor<autodiff<B>, R, T> constant_rows(const tensor<autodiff<B>, R, T>& x, index_t from, index_t to) {
    return tensor<autodiff<B>, R, T>(rows_of(x.primal(), from, to), x.node(), nullptr);
  }
  template <class X>
  static std::optional<X> constant_rows(const std::optional<X>& x, index_t from, index_t to) {
    return x ? std::optional<X>(constant_rows(*x, from, to)) : std::nullopt;
  }

  /// Adds the cotangent of a chunk to that of the whole.
  template <int R>
  void scatter(const tensor<autodiff<B>, R>& whole, const tensor<autodiff<B>, R>& rows, index_t from, index_t n) {
    if (!whole.node() || rows.slot()->empty()) return;
    if (rows.extent(0) == n) {
      accumulate(*whole.slot(), *rows.slot());
      return;
    }
    auto& slot = *whole.slot();
    if (slot.empty())
      slot = full<R>(whole.primal().backend(), whole.shape(), scalar_of<B>(0));
    else if (!slot.is_unique())
      slot = clone(slot);
    auto window = rows_of(slot, from, from + rows.extent(0));
    slot.backend().map(functor::value_of<functor::add>{}, window.mutable_view(),
                       strided_view<const scalar_of<B>>(window.view()), rows.slot()->view());
  }
  template <class X>
  void scatter(const std::optional<X>& whole, const std::optional<X>& rows, index_t from, index_t n) {
    if (whole) scatter(*whole, *rows, from, n);
  }

  static void deliver(Shared& outer, Shared& inner) { tree::for_each_zipped(hand_over<B>{}, outer, inner); }

  F f_;
  Shared shared_;
  index_t chunk_;
  std::tuple<Mapped...> mapped_;
};

}  // namespace detail

/// f(shared, rows of mapped...) for `chunk` rows at a time, joined along the first axis. f must treat every row alike
/// and independently, and be callable on both the plain backend and autodiff of it; `shared` is any tree (a module, a
/// bias). Results do not depend on `chunk` beyond rounding, and never on the number of threads.
template <class F, class Shared, class First, class... Rest>
auto chunked(const F& f, const Shared& shared, index_t chunk, const First& first, const Rest&... rest) {
  using B = typename First::backend_type;
  chunk = std::max<index_t>(chunk, 1);
  if constexpr (plain_backend<B>) {
    return detail::run_chunks(f, shared, chunk, first, rest...);
  } else {
    using inner = typename B::inner_backend;
    const auto& b = first.primal().backend();
    const auto strip = [&](const auto& x) { return detail::plain_tree<inner>(x, b); };
    auto y = detail::run_chunks(f, strip(shared), chunk, strip(first), strip(rest)...);
    using Y = decltype(y);
    using variable = tensor<B, Y::rank>;
    detail::find_watched watched;
    tree::for_each(shared, watched);
    tree::for_each(first, watched);
    (tree::for_each(rest, watched), ...);
    if (!watched.found) return variable(y);
    using node_t = detail::chunked_node<inner, F, Shared, Y, First, Rest...>;
    const auto [node, slot] = detail::make_node<node_t>(f, shared, chunk, first, rest...);
    return variable(y, node, &slot->cotangent);
  }
}

}  // namespace fathom
