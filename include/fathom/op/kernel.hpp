// SPDX-License-Identifier: Apache-2.0
// The protocol of every operation, and the point where a backend may replace one.
//
//   struct some_op {
//     static constexpr const char* name = "some_op";
//     static auto forward(args...)            -> op_result{value, residuals}
//     static auto vjp(residuals, cotangent)   -> std::tuple of cotangents, one for each argument of forward
//   };
//
// value is a tensor or a std::tuple of tensors; arguments are tensors, std::optional or std::vector of tensors, or plain
// settings, whose cotangent is `none`. A backend overrides an operation by specialising kernel<some_op, its_backend>;
// autodiff<B> is one partial specialisation for all operations.
#pragma once

#include <optional>
#include <tuple>
#include <type_traits>
#include <vector>

#include <fathom/tensor/tensor.hpp>

namespace fathom {

/// Cotangent of an argument that has none.
struct none {};

/// What forward returns: the value, and what vjp needs to know. Residuals are O(inputs + outputs).
template <class Value, class Residuals>
struct op_result {
  Value value;
  Residuals residuals;
};
template <class Value, class Residuals>
op_result(Value, Residuals) -> op_result<Value, Residuals>;

/// Override point.
template <class Op, class B>
struct kernel : Op {};

namespace detail {

/// The backend a call runs on: that of its first argument that has one.
template <class X>
struct argument_backend {
  using type = void;
};
template <class B, int R, class T>
struct argument_backend<tensor<B, R, T>> {
  using type = B;
};
template <class X>
struct argument_backend<std::optional<X>> : argument_backend<X> {};
template <class X>
struct argument_backend<std::vector<X>> : argument_backend<X> {};

template <class... Args>
struct call_backend;
template <class First, class... Rest>
struct call_backend<First, Rest...> {
  using own = typename argument_backend<First>::type;
  using type = typename std::conditional_t<std::is_void_v<own>, call_backend<Rest...>, std::type_identity<own>>::type;
};
template <>
struct call_backend<> {
  using type = void;
};

/// The handle that finally computes: behind autodiff<B> it is B's.
template <class B>
struct plain_of {
  using type = B;
};
template <decorated_backend B>
struct plain_of<B> {
  using type = typename B::inner_backend;
};
template <class X>
const auto& plain_handle(const X& x) {
  if constexpr (requires { x.primal(); })
    return x.primal().backend();
  else
    return x.backend();
}

template <class P, class X>
void check_argument(const char*, const P*&, const X&) {}
template <class P, class B, int R, class T>
void check_argument(const char* name, const P*& first, const tensor<B, R, T>& x) {
  if (x.empty())
    throw error(concat(name, ": a tensor of rank ", R,
                       " has no values; fill parameters first (initialise(module, seed), or load a checkpoint)"));
  const P& handle = plain_handle(x);
  if (first != nullptr && !(*first == handle))
    throw backend_mismatch(concat(name, ": its tensors live on different backend handles; bring them to one first"));
  first = &handle;
}
template <class P, class X>
void check_argument(const char* name, const P*& first, const std::optional<X>& x) {
  if (x) check_argument(name, first, *x);
}
template <class P, class X>
void check_argument(const char* name, const P*& first, const std::vector<X>& xs) {
  for (const auto& x : xs) check_argument(name, first, x);
}

}  // namespace detail

/// Runs an operation on the backend of its arguments.
template <class Op, class... Args>
auto apply(const Args&... args) {
  using B = typename detail::call_backend<Args...>::type;
  static_assert(!std::is_void_v<B>, "fathom: an operation needs at least one tensor argument");
  const typename detail::plain_of<B>::type* first = nullptr;
  (detail::check_argument(Op::name, first, args), ...);
  return kernel<Op, B>::forward(args...).value;
}

namespace detail {
/// Raises a shape_error "<name>: <what> has extents [..], expected [..]".
template <class Got, class Expected>
[[noreturn]] void throw_extents(const char* name, const char* what, const Got& got, const Expected& expected) {
  throw shape_error(
      concat(name, ": ", what, " has extents ", to_string_extents(got), ", expected ", to_string_extents(expected)));
}
template <int R, class X>
void expect_extents(const char* name, const char* what, const X& x, const extents<R>& expected) {
  if (x.shape() != expected) throw_extents(name, what, x.shape(), expected);
}
}  // namespace detail

}  // namespace fathom
