// SPDX-License-Identifier: Apache-2.0
// Reverse mode as a backend decorator: a tensor of autodiff<B> is a tensor of B plus its place in the gradient graph,
// and one partial specialisation of kernel records every operation through the operation's own vjp.
#pragma once

#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include <fathom/autodiff/node.hpp>
#include <fathom/op/kernel.hpp>

namespace fathom {

/// autodiff<cpu<float>>: the same model, with gradients.
template <class B>
class autodiff {
  static_assert(!decorated_backend<B>,
                "fathom: autodiff<autodiff<B>> is not supported: the fused operations carry first derivatives only; "
                "second derivatives along a direction are those of directional_derivative()");

 public:
  using scalar = typename B::scalar;
  using inner_backend = B;

  autodiff() = default;
  explicit autodiff(B inner) : inner_(std::move(inner)) {}
  const B& inner() const { return inner_; }
  bool operator==(const autodiff&) const = default;

 private:
  [[no_unique_address]] B inner_{};
};

template <class B, int R, class T>
class tensor<autodiff<B>, R, T> {
 public:
  using backend_type = autodiff<B>;
  using value_type = T;
  static constexpr int rank = R;

  tensor() = default;
  /// A constant: no gradient flows into it.
  explicit tensor(fathom::tensor<B, R, T> primal) : primal_(std::move(primal)) {}
  /// An output of `node`, whose cotangent is collected in `*slot`.
  tensor(tensor<B, R, T> primal, std::shared_ptr<detail::gradient_node> node, tensor<B, R, T>* slot)
      : primal_(std::move(primal)), node_(std::move(node)), slot_(slot) {}
  /// Undefined contents, as on a plain backend; a constant.
  tensor(const autodiff<B>& b, const extents<R>& e) : primal_(b.inner(), e) {}

  static tensor unfilled(const autodiff<B>& b, const extents<R>& e) {
    return tensor(fathom::tensor<B, R, T>::unfilled(b.inner(), e));
  }

  const tensor<B, R, T>& primal() const { return primal_; }
  autodiff<B> backend() const { return autodiff<B>(primal_.backend()); }
  bool empty() const { return primal_.empty(); }
  const extents<R>& shape() const { return primal_.shape(); }
  index_t extent(int axis) const { return primal_.extent(axis); }
  index_t size() const { return primal_.size(); }

  const std::shared_ptr<detail::gradient_node>& node() const { return node_; }
  tensor<B, R, T>* slot() const { return slot_; }

 private:
  tensor<B, R, T> primal_;
  std::shared_ptr<detail::gradient_node> node_;
  tensor<B, R, T>* slot_ = nullptr;
};

/// The value without its history; the identity on a plain backend.
template <class B, int R, class T>
const tensor<B, R, T>& primal(const tensor<autodiff<B>, R, T>& x) {
  return x.primal();
}
template <plain_backend B, int R, class T>
const tensor<B, R, T>& primal(const tensor<B, R, T>& x) {
  return x;
}

/// A tensor of the given backend that no gradient flows into.
template <class B, int R, class T>
tensor<autodiff<B>, R, T> constant(const autodiff<B>&, tensor<B, R, T> x) {
  return tensor<autodiff<B>, R, T>(std::move(x));
}
template <plain_backend B, int R, class T>
tensor<B, R, T> constant(const B&, tensor<B, R, T> x) {
  return x;
}
/// Stops the gradient: the same value as a constant.
template <class B, int R, class T>
tensor<autodiff<B>, R, T> detach(const tensor<autodiff<B>, R, T>& x) {
  return tensor<autodiff<B>, R, T>(x.primal());
}
template <plain_backend B, int R, class T>
tensor<B, R, T> detach(const tensor<B, R, T>& x) {
  return x;
}

template <int R, class B, class T = typename B::scalar>
tensor<autodiff<B>, R, T> full(const autodiff<B>& b, const extents<R>& e, T value) {
  return tensor<autodiff<B>, R, T>(full<R>(b.inner(), e, value));
}
template <int R, class T, class B, class U>
tensor<autodiff<B>, R, T> from_host_as(const autodiff<B>& b, const host_tensor<U>& host) {
  return tensor<autodiff<B>, R, T>(from_host_as<R, T>(b.inner(), host));
}
template <class B, int R, class T>
host_tensor<T> to_host(const tensor<autodiff<B>, R, T>& x) {
  return to_host(x.primal());
}
template <class B, class T>
T item(const tensor<autodiff<B>, 0, T>& x) {
  return item(x.primal());
}
/// Layout is a matter of the plain backend.
template <class B, int R, class T>
tensor<autodiff<B>, R, T> contiguous(const tensor<autodiff<B>, R, T>& x) {
  return x;
}

namespace detail {

/// A tree leaf whose gradient is asked for.
template <class B, int R>
class leaf_node final : public gradient_node {
 public:
  tensor<B, R> cotangent;
  void propagate(bool) override {}
};

/// *slot += g, in place where nothing else can see the storage.
template <class B, int R>
void accumulate(tensor<B, R>& slot, const tensor<B, R>& g) {
  if (slot.empty()) {
    slot = g;
  } else if (slot.is_unique() && slot.is_contiguous()) {
    slot.backend().map(sum_values{}, slot.mutable_view(), strided_view<const scalar_of<B>>(slot.view()), g.view());
  } else {
    tensor<B, R> total(slot.backend(), slot.shape());
    slot.backend().map(sum_values{}, total.mutable_view(), slot.view(), g.view());
    slot = std::move(total);
  }
}

/// How one argument of forward is stripped, watched and given its cotangent.
template <class Arg>
struct argument {
  static const Arg& primal(const Arg& x) { return x; }
  static bool watched(const Arg&) { return false; }
  struct edge {
    void accept(const auto&) const {}
  };
  static edge connect(const Arg&, std::vector<std::shared_ptr<gradient_node>>&) { return {}; }
};
template <class B, int R, class T>
struct argument<tensor<autodiff<B>, R, T>> {
  using var = tensor<autodiff<B>, R, T>;
  static const tensor<B, R, T>& primal(const var& x) { return x.primal(); }
  static bool watched(const var& x) { return x.node() != nullptr; }
  struct edge {
    tensor<B, R, T>* slot = nullptr;
    /// Where the cotangent gathers; null where none is wanted.
    tensor<B, R, T>* target() const { return slot; }
    void accept(const none&) const {}
    void accept(const tensor<B, R, T>& g) const {
      if (slot == nullptr || g.empty()) return;
      if constexpr (std::is_same_v<T, scalar_of<B>>) accumulate(*slot, g);
    }
  };
  static edge connect(const var& x, std::vector<std::shared_ptr<gradient_node>>& inputs) {
    if (x.node()) inputs.push_back(x.node());
    return {x.slot()};
  }
};
template <class Arg>
struct argument<std::optional<Arg>> {
  using plain = std::optional<std::remove_cvref_t<decltype(argument<Arg>::primal(std::declval<const Arg&>()))>>;
  static plain primal(const std::optional<Arg>& x) { return x ? plain(argument<Arg>::primal(*x)) : plain(); }
  static bool watched(const std::optional<Arg>& x) { return x && argument<Arg>::watched(*x); }
  struct edge {
    std::optional<typename argument<Arg>::edge> inner;
    auto target() const { return inner ? inner->target() : decltype(inner->target()){}; }
    void accept(const none&) const {}
    template <class G>
    void accept(const std::optional<G>& g) const {
      if (inner && g) inner->accept(*g);
    }
  };
  static edge connect(const std::optional<Arg>& x, std::vector<std::shared_ptr<gradient_node>>& inputs) {
    edge e;
    if (x) e.inner = argument<Arg>::connect(*x, inputs);
    return e;
  }
};
template <class Arg>
struct argument<std::vector<Arg>> {
  using plain = std::vector<std::remove_cvref_t<decltype(argument<Arg>::primal(std::declval<const Arg&>()))>>;
  static plain primal(const std::vector<Arg>& xs) {
    plain p;
    p.reserve(xs.size());
    for (const auto& x : xs) p.push_back(argument<Arg>::primal(x));
    return p;
  }
  static bool watched(const std::vector<Arg>& xs) {
    for (const auto& x : xs)
      if (argument<Arg>::watched(x)) return true;
    return false;
  }
  struct edge {
    std::vector<typename argument<Arg>::edge> inner;
    void accept(const none&) const {}
    template <class G>
    void accept(const std::vector<G>& g) const {
      for (std::size_t i = 0; i < g.size(); ++i) inner[i].accept(g[i]);
    }
  };
  static edge connect(const std::vector<Arg>& xs, std::vector<std::shared_ptr<gradient_node>>& inputs) {
    edge e;
    for (const auto& x : xs) e.inner.push_back(argument<Arg>::connect(x, inputs));
    return e;
  }
};

/// Empty cotangents become zeros of the output's extents, so that a vjp sees every output.
template <class B, int R>
void complete(tensor<B, R>& cotangent, const B& b, const extents<R>& e) {
  if (cotangent.empty()) cotangent = full<R>(b, e, scalar_of<B>(0));
}

template <class Op, class B, class Value, class Residuals, class... Args>
class op_node final : public gradient_node {
 public:
  op_node(Residuals residuals, const Args&... args)
      : residuals_(std::move(residuals)), edges_{argument<Args>::connect(args, inputs_)...} {}

  void propagate(bool release) override {
    if (!any(cotangents_)) return;
    complete_all(cotangents_, shapes_);
    if constexpr (requires { Op::template add_cotangent<B>(*residuals_, cotangents_, std::get<0>(edges_).slot); }) {
      // Into the argument's own cotangent: a part's cotangent never becomes a tensor as large as the whole.
      if (auto* const slot = std::get<0>(edges_).slot; slot != nullptr)
        Op::template add_cotangent<B>(*residuals_, cotangents_, slot);
      cotangents_ = Value{};
      if (release) residuals_.reset();
      return;
    }
    if constexpr (adds_itself) {
      std::apply([&](const auto&... edge) { kernel<Op, B>::add_gradients(*residuals_, cotangents_, edge...); }, edges_);
      cotangents_ = Value{};
      if (release) residuals_.reset();
      return;
    } else {
      auto gradients = kernel<Op, B>::vjp(*residuals_, cotangents_);
      cotangents_ = Value{};
      if (release) residuals_.reset();
      deliver(gradients, std::index_sequence_for<Args...>{});
    }
  }

  template <class Tensor>
  void remember(const Tensor& value) {
    backend_ = value.backend();
    shapes_ = value.shape();
  }
  template <class... Tensors>
  void remember(const std::tuple<Tensors...>& values) {
    backend_ = std::get<0>(values).backend();
    shapes_ = std::apply([](const auto&... v) { return std::tuple(v.shape()...); }, values);
  }
  Value& cotangents() { return cotangents_; }

 private:
  /// A backend's version of an operation may add to the cotangents of the arguments in place (and skip those that
  /// nobody wants): static void add_gradients(residuals, cotangent, edge of each argument...), an edge being what has
  /// target() where the argument is a tensor. It may overwrite a cotangent that is unique.
  static constexpr bool adds_itself =
      requires(const Residuals& residuals, Value& cotangent, const typename argument<Args>::edge&... edges) {
    kernel<Op, B>::add_gradients(residuals, cotangent, edges...);
  };

  template <class Tensor>
  struct shape_of;
  template <int R>
  struct shape_of<tensor<B, R>> {
    using type = extents<R>;
  };
  template <int... R>
  struct shape_of<std::tuple<tensor<B, R>...>> {
    using type = std::tuple<extents<R>...>;
  };

  template <int R>
  static bool any(const tensor<B, R>& x) {
    return !x.empty();
  }
  template <class... X>
  static bool any(const std::tuple<X...>& xs) {
    return std::apply([](const auto&... x) { return (!x.empty() || ...); }, xs);
  }
  template <int R>
  void complete_all(tensor<B, R>& x, const extents<R>& e) {
    complete(x, *backend_, e);
  }
  template <class... X, class... E>
  void complete_all(std::tuple<X...>& xs, const std::tuple<E...>& es) {
    [&]<std::size_t... I>(std::index_sequence<I...>) { (complete(std::get<I>(xs), *backend_, std::get<I>(es)), ...); }
    (std::index_sequence_for<X...>{});
  }
  template <class Gradients, std::size_t... I>
  void deliver(const Gradients& gradients, std::index_sequence<I...>) {
    static_assert(std::tuple_size_v<Gradients> == sizeof...(Args),
                  "fathom: an operation's vjp must return one cotangent (or none{}) for each argument of forward");
    (std::get<I>(edges_).accept(std::get<I>(gradients)), ...);
  }

  std::optional<Residuals> residuals_;
  std::optional<B> backend_;
  typename shape_of<Value>::type shapes_{};
  std::tuple<typename argument<Args>::edge...> edges_;
  Value cotangents_{};
};

/// Values with their place in the graph: outputs of `owner`, whose cotangents gather in `slots`; constants where it is
/// null.
template <class B, int R>
tensor<autodiff<B>, R> recorded(const tensor<B, R>& value, const std::shared_ptr<gradient_node>& owner,
                                tensor<B, R>* slot) {
  return tensor<autodiff<B>, R>(value, owner, slot);
}
template <class... X>
auto recorded(const std::tuple<X...>& values, const std::shared_ptr<gradient_node>& owner, std::tuple<X...>* slots) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    return std::tuple(recorded(std::get<I>(values), owner, slots != nullptr ? &std::get<I>(*slots) : nullptr)...);
  }
  (std::index_sequence_for<X...>{});
}

/// A watched leaf with the value x.
template <class B, int R>
tensor<autodiff<B>, R> watched_leaf(const tensor<B, R>& x) {
  const auto [owner, node] = make_node<leaf_node<B, R>>();
  return tensor<autodiff<B>, R>(x, owner, &node->cotangent);
}

/// Functors for walks over trees of recorded tensors.
struct take_primal {
  template <class From, class To>
  void operator()(const From& from, To& to) const {
    to = from.primal();
  }
};
template <class B>
struct watch_leaf {
  template <class From, class To>
  void operator()(const From& from, To& to) const {
    if constexpr (std::is_same_v<typename From::value_type, scalar_of<B>>) {
      if (!from.empty()) to = watched_leaf<B>(from);
    } else {
      to = To(from);
    }
  }
};

}  // namespace detail

/// Records any operation: forward on B, residuals kept, vjp on B when the gradient is asked for. A backend's own
/// version of an operation is picked up in both directions.
template <class Op, class B>
struct kernel<Op, autodiff<B>> {
  template <class... Args>
  static auto forward(const Args&... args) {
    auto result = kernel<Op, B>::forward(detail::argument<Args>::primal(args)...);
    using value_t = decltype(result.value);
    using node_t = detail::op_node<Op, B, value_t, decltype(result.residuals), Args...>;
    std::shared_ptr<detail::gradient_node> owner;
    value_t* slots = nullptr;
    if ((detail::argument<Args>::watched(args) || ...)) {
      auto made = detail::make_node<node_t>(std::move(result.residuals), args...);
      made.second->remember(result.value);
      owner = std::move(made.first);
      slots = &made.second->cotangents();
    }
    return op_result{detail::recorded(result.value, owner, slots), none{}};
  }
};

}  // namespace fathom
