// SPDX-License-Identifier: Apache-2.0
// A function of trees of tensors as one CUDA graph: an evaluation of a field, a step, or a whole solve of fixed steps.
#pragma once

#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <fathom/cuda/gpu.hpp>
#include <fathom/cuda/graph.hpp>
#include <fathom/tree/tree.hpp>

namespace fathom::cuda {

namespace detail {
struct clone_leaf {
  template <class Leaf>
  Leaf operator()(const Leaf& leaf) const {
    if constexpr (any_tensor<Leaf>)
      return leaf.empty() ? leaf : clone(leaf);
    else
      return leaf;
  }
};
struct copy_leaf {
  template <class Leaf>
  void operator()(Leaf& to, const Leaf& from) const {
    static_assert(any_tensor<Leaf>, "fathom: a recorded function takes and returns tensors; numbers become part of it");
    if (!(to.shape() == from.shape()))
      throw shape_error(fathom::detail::concat("cuda::recorded: recorded for extents ", to_string_extents(to.shape()),
                                               ", called with ", to_string_extents(from.shape()),
                                               "; make another one for these"));
    if (!to.empty()) to.backend().map(fathom::detail::copy_value{}, to.mutable_view(), from.view());
  }
};
}  // namespace detail

/// f recorded on the stream of `b` and replayed for new values of its arguments.
///
///     auto options = ode::options<msa_pair<B>>{};
///     options.check_finite = false;                       // asks for a value, which a recording cannot
///     auto trunk = cuda::recorded(b, [&](const auto& y) {
///       return ode::solve(field, y, {0.0, 1.0}, ode::rk4{}, ode::fixed_steps{2}, options).y1;
///     }, y0);
///     const auto y1 = trunk(y0);                           // one launch for all evaluations
///
/// f is called twice when this is made: once to load what it needs, once to be recorded. Everything else that f reads
/// (parameters, masks) must live, unchanged in place, as long as this does; what f holds by value does. Arguments are
/// copied in and results out, three passes over them at most.
template <class F, class... In>
class recorded {
 public:
  using result = std::remove_cvref_t<std::invoke_result_t<const F&, const In&...>>;

  template <class P>
  recorded(const gpu<P>& b, F f, const In&... example)
      : f_(std::move(f)),
        in_(tree::map(detail::clone_leaf{}, example)...),
        out_(tree::map(detail::clone_leaf{}, std::apply(f_, std::as_const(in_)))),
        graph_(b.context(), [this] {
          const auto made = std::apply(f_, std::as_const(in_));
          tree::for_each_zipped(detail::copy_leaf{}, out_, made);
        }) {}
  recorded(const recorded&) = delete;
  recorded& operator=(const recorded&) = delete;

  result operator()(const In&... in) {
    copy_in(std::index_sequence_for<In...>{}, in...);
    graph_.launch();
    return tree::map(detail::clone_leaf{}, out_);
  }

 private:
  template <std::size_t... I>
  void copy_in(std::index_sequence<I...>, const In&... in) {
    (tree::for_each_zipped(detail::copy_leaf{}, std::get<I>(in_), in), ...);
  }

  F f_;
  std::tuple<In...> in_;
  result out_;
  graph graph_;
};
template <class P, class F, class... In>
recorded(const gpu<P>&, F, const In&...) -> recorded<F, In...>;

}  // namespace fathom::cuda
