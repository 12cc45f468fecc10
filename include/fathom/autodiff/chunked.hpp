// SPDX-License-Identifier: Apache-2.0
// A function applied chunk by chunk along the first axis, remembered by its inputs only: the backward pass runs each
// chunk again under a short-lived graph. This bounds the memory of every row-wise layer, forward and backward, to one
// chunk beyond inputs and outputs. Where memory is left, keep_activations or an activation_plan spares the second run.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <tuple>

#include <fathom/autodiff/activation_plan.hpp>
#include <fathom/autodiff/gradient.hpp>
#include <fathom/core/memory.hpp>
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

/// The chunk a backend takes where `chunk` rows out of n suit a processor with caches; all chunks equally long.
template <class B>
index_t chunk_on(const B& b, index_t chunk, index_t n) {
  if constexpr (requires { b.chunk_of(chunk); }) {
    chunk = std::max<index_t>(b.chunk_of(std::max<index_t>(chunk, 1)), 1);
    const index_t chunks = std::max<index_t>(1, (n + chunk - 1) / chunk);
    return std::max<index_t>(1, (n + chunks - 1) / chunks);
  } else {
    return std::max<index_t>(chunk, 1);
  }
}

template <class B, int R>
void write_rows(tensor<B, R>& whole, const tensor<B, R>& part, index_t from) {
  auto window = rows_of(whole, from, from + part.extent(0));
  whole.backend().map(copy_value{}, window.mutable_view(), part.view());
}

/// Fresh storage with the extents of x, and its order of axes where x leaves no gaps.
template <class B, int R>
tensor<B, R> laid_out_like(const tensor<B, R>& x) {
  index_t span = 1;
  for (int axis = 0; axis < R; ++axis) span += (x.extent(axis) - 1) * x.stride(axis);
  const tensor<B, R> y(x.backend(), x.shape());
  return span == x.size() ? y.reinterpret(x.shape(), x.strides()) : y;
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
struct count_matrices {
  double numbers = 0;
  template <class Leaf>
  void operator()(const Leaf& leaf) {
    if constexpr (any_tensor<Leaf>)
      if constexpr (Leaf::rank >= 2) numbers += static_cast<double>(leaf.size());
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
        if (to.node() && !from.slot()->empty()) accumulate(*to.slot(), std::exchange(*from.slot(), {}));
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

  /// The value; chunks are kept as the thread's plan or keep_activations says.
  template <class Plain, class... PlainMapped>
  Y forward(const Plain& plain_shared, const PlainMapped&... plain) {
    const index_t n = std::get<0>(mapped_).extent(0);
    plan_ = n > 0 ? activation_plan::current() : nullptr;
    if (plan_ != nullptr) number_ = plan_->enter(n, chunk_, work());
    const activation_plan::pause inside;
    Y y;
    for (index_t from = 0; from < n || from == 0; from += chunk_) {
      const index_t to = std::min(n, from + chunk_);
      Y part;
      if (plan_ != nullptr ? plan_->keeps(number_, from) : n > 0 && keep_activations::now()) {
        if (!kept_shared_) kept_shared_.emplace(rewatch<B>(shared_));
        auto made = record(*kept_shared_, from, to);
        part = made.second.primal();
        kept_.push_back({from, std::move(made.first), made.second.node(), made.second.slot()});
      } else if (plan_ != nullptr && plan_->measuring() && from == 0) {
        part = measured(to);
      } else if (to == n && from == 0) {
        part = f_(plain_shared, plain...);
      } else {
        part = f_(plain_shared, rows_of(plain, from, to)...);
      }
      if (to == n && from == 0) {
        y = std::move(part);
        break;
      }
      if (y.empty()) {
        auto e = part.shape();
        e[0] = n;
        y = Y(part.backend(), e);
      }
      write_rows(y, part, from);
    }
    if (plan_ != nullptr) plan_->leave(number_);
    return y;
  }

  void propagate(bool release) override {
    if (cotangent.empty()) return;
    const bool measured = plan_ != nullptr && plan_ == activation_plan::current();
    if (measured) plan_->enter_backward(number_);
    {
      const activation_plan::pause inside;
      run(release);
    }
    if (measured) plan_->leave_backward(number_);
  }

 private:
  using rows_t = std::tuple<Mapped...>;
  /// A chunk's graph: its leaves (views of the inputs' rows) and its end.
  struct kept_chunk {
    index_t from;
    rows_t rows;
    std::shared_ptr<gradient_node> node;
    Y* slot;
  };

  void run(bool release) {
    const Y dy = std::exchange(cotangent, Y{});
    const index_t n = std::get<0>(mapped_).extent(0);
    Shared shared = kept_shared_ ? *kept_shared_ : rewatch<B>(shared_);
    std::size_t next = 0;
    being_written_ = {};
    for (index_t from = 0; from < n; from += chunk_) {
      const index_t to = std::min(n, from + chunk_);
      if (next < kept_.size() && kept_[next].from == from) {
        auto& one = kept_[next++];
        if (one.node) backward(one.rows, one.node, one.slot, dy, from, to, release);
        if (release) one = {};
      } else {
        const auto [rows, y] = record(shared, from, to);
        if (y.node()) backward(rows, y.node(), y.slot(), dy, from, to, true);
      }
    }
    deliver(shared_, shared);
    if (release) {
      mapped_ = {};
      kept_.clear();
      kept_shared_.reset();
    }
  }

  /// Numbers that a row's positions meet: products with the shared matrices are most of a chunk's work.
  double work() const {
    count_matrices count;
    tree::for_each(shared_, count);
    const auto& first = std::get<0>(mapped_);
    const index_t rows = std::min(chunk_, first.extent(0));
    return (1 + count.numbers) * static_cast<double>(rows) *
           static_cast<double>(
               std::max<index_t>(1, first.size() / std::max<index_t>(1, first.extent(0) * first.extent(-1))));
  }
  /// The first chunk's value, and what its graph takes.
  Y measured(index_t to) {
    const std::int64_t before = memory_counter::in_use();
    Y part;
    const auto graph = [&] {
      auto made = record(rewatch<B>(shared_), 0, to);
      part = made.second.primal();
      return std::pair(std::move(made.first), made.second.node());
    }();
    std::int64_t took = memory_counter::in_use() - before;
    if (part.is_unique())
      took -= static_cast<std::int64_t>(part.size()) * static_cast<std::int64_t>(sizeof(scalar_of<B>));
    plan_->took(number_, took);
    return part;
  }

  std::pair<rows_t, tensor<autodiff<B>, Y::rank>> record(const Shared& shared, index_t from, index_t to) const {
    rows_t rows =
        std::apply([&](const auto&... x) { return rows_t(rewatch<B>(constant_rows(x, from, to))...); }, mapped_);
    auto y = std::apply([&](const auto&... x) { return f_(shared, x...); }, rows);
    return {std::move(rows), std::move(y)};
  }
  void backward(const rows_t& rows, const std::shared_ptr<gradient_node>& node, Y* slot, const Y& dy, index_t from,
                index_t to, bool release) {
    const index_t n = std::get<0>(mapped_).extent(0);
    accumulate(*slot, rows_of(dy, from, to));
    run_backward({node}, release);
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (scatter(std::get<I>(mapped_), std::get<I>(rows), from, n, being_written_[I]), ...);
    }
    (std::index_sequence_for<Mapped...>{});
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

  /// Adds the cotangent of a chunk to that of the whole. Where the first chunk finds none there, `writing` is set, and
  /// all of them are written instead of being added to zeros.
  template <int R>
  void scatter(const tensor<autodiff<B>, R>& whole, const tensor<autodiff<B>, R>& rows, index_t from, index_t n,
               bool& writing) {
    if (!whole.node()) return;
    const auto part = std::exchange(*rows.slot(), tensor<B, R>{});
    auto& slot = *whole.slot();
    if (rows.extent(0) == n) {
      if (!part.empty()) accumulate(slot, part);
      return;
    }
    if (part.empty() && !writing) return;
    if (slot.empty()) {
      slot = tensor<B, R>(whole.primal().backend(), whole.shape());
      if (from > 0) clear(rows_of(slot, 0, from));
      writing = true;
    } else if (!slot.is_unique()) {
      slot = clone(slot);
    }
    auto window = rows_of(slot, from, from + rows.extent(0));
    if (part.empty())
      clear(window);
    else if (writing)
      slot.backend().map(copy_value{}, window.mutable_view(), part.view());
    else
      add_into(window, part);
  }
  template <class X>
  void scatter(const std::optional<X>& whole, const std::optional<X>& rows, index_t from, index_t n, bool& writing) {
    if (whole) scatter(*whole, *rows, from, n, writing);
  }
  template <int R>
  static void clear(tensor<B, R> x) {
    x.backend().generate(constant_value<scalar_of<B>>{scalar_of<B>(0)}, x.mutable_view());
  }

  static void deliver(Shared& outer, Shared& inner) { tree::for_each_zipped(hand_over<B>{}, outer, inner); }

  F f_;
  Shared shared_;
  index_t chunk_;
  std::tuple<Mapped...> mapped_;
  std::array<bool, sizeof...(Mapped)> being_written_{};
  std::optional<Shared> kept_shared_;
  std::vector<kept_chunk> kept_;
  activation_plan* plan_ = nullptr;
  std::size_t number_ = 0;
};

}  // namespace detail

/// f(shared, rows of mapped...) for `chunk` rows at a time, joined along the first axis. f must treat every row alike
/// and independently, and be callable on both the plain backend and autodiff of it; `shared` is any tree (a module, a
/// bias). Results do not depend on `chunk` beyond rounding, and never on the number of threads. A backend may take
/// longer chunks, or shorter ones where its memory is limited (cuda::gpu).
template <class F, class Shared, class First, class... Rest>
auto chunked(const F& f, const Shared& shared, index_t chunk, const First& first, const Rest&... rest) {
  using B = typename First::backend_type;
  chunk = detail::chunk_on(detail::plain_handle(first), chunk, first.extent(0));
  if constexpr (plain_backend<B>) {
    return detail::run_chunks(f, shared, chunk, first, rest...);
  } else {
    using inner = typename B::inner_backend;
    const auto& b = first.primal().backend();
    const auto strip = [&](const auto& x) { return detail::plain_tree<inner>(x, b); };
    detail::find_watched watched;
    tree::for_each(shared, watched);
    tree::for_each(first, watched);
    (tree::for_each(rest, watched), ...);
    using Y = decltype(f(strip(shared), strip(first), strip(rest)...));
    using variable = tensor<B, Y::rank>;
    if (!watched.found) return variable(detail::run_chunks(f, strip(shared), chunk, strip(first), strip(rest)...));
    using node_t = detail::chunked_node<inner, F, Shared, Y, First, Rest...>;
    const auto [node, slot] = detail::make_node<node_t>(f, shared, chunk, first, rest...);
    const auto y = slot->forward(strip(shared), strip(first), strip(rest)...);
    return variable(y, node, &slot->cotangent);
  }
}

/// x + chunked(f, shared, chunk, x, rest...): a residual branch. On a plain backend the sum takes over the storage of x
/// where nobody else holds it, rows at a time, so that no tensor of updates exists; hand x over by std::move.
template <class F, class Shared, class B, int R, class... Rest>
tensor<B, R> chunked_onto(const F& f, const Shared& shared, index_t chunk, tensor<B, R> x, const Rest&... rest) {
  if constexpr (plain_backend<B>) {
    const index_t n = x.extent(0);
    chunk = detail::chunk_on(x.backend(), chunk, n);
    auto y = x.is_unique() ? std::move(x) : detail::laid_out_like(x);
    const auto& from_rows = x.empty() ? y : x;
    for (index_t from = 0; from < n; from += chunk) {
      const index_t to = std::min(n, from + chunk);
      const auto rows = detail::rows_of(from_rows, from, to);
      const auto part = f(shared, rows, detail::rows_of(rest, from, to)...);
      detail::expect_extents<R>("chunked_onto", "the update", part, rows.shape());
      auto window = detail::rows_of(y, from, to);
      y.backend().map(functor::value_of<functor::add>{}, window.mutable_view(), rows.view(), part.view());
    }
    return y;
  } else {
    return x + chunked(f, shared, chunk, x, rest...);
  }
}

}  // namespace fathom
