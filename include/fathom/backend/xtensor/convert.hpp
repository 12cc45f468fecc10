// SPDX-License-Identifier: Apache-2.0
// The bridge to xtensor: its containers become tensors and back, without a copy where both see the same memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include <fathom/backend/xtensor/detail/include.hpp>
#include <fathom/tensor/tensor.hpp>

namespace fathom {

namespace detail {

/// Backends whose storage the host can read and write.
template <class B>
concept host_memory_backend = plain_backend<B> && requires { requires B::host_memory; };

/// Real numbers become the backend's scalar, whole numbers index_t, as in from_host.
template <class B, class U>
using element_of = std::conditional_t<std::is_floating_point_v<U>, typename B::scalar, index_t>;

/// Rank of an expression type, -1 where only run time knows it.
template <class E>
constexpr int static_rank() {
  if constexpr (requires { std::tuple_size<typename E::shape_type>::value; })
    return static_cast<int>(std::tuple_size<typename E::shape_type>::value);
  else
    return -1;
}

template <int R, class E>
constexpr int chosen_rank() {
  constexpr int known = static_rank<E>();
  static_assert(R >= 0 || known >= 0, "fathom: this expression knows its rank only at run time: write from_xtensor<R>(...)");
  static_assert(R < 0 || known < 0 || R == known, "fathom: from_xtensor<R>: R is not the rank of the expression");
  return R >= 0 ? R : known;
}

template <int R, class E>
extents<R> extents_of(const char* name, const E& x) {
  if (x.dimension() != static_cast<std::size_t>(R))
    throw shape_error(concat(name, ": expected ", R, " axes, got extents ", to_string_extents(x.shape())));
  extents<R> e{};
  for (std::size_t a = 0; a < e.size(); ++a) e[a] = static_cast<index_t>(x.shape()[a]);
  return e;
}

/// xtensor gives axes of extent 1 the stride 0; ours count on.
template <int R, class E>
extents<R> strides_of(const char* name, const E& x, const extents<R>& e) {
  extents<R> s = row_major_strides<R>(e);
  for (std::size_t a = 0; a < e.size(); ++a) {
    if (e[a] == 1) continue;
    s[a] = static_cast<index_t>(x.strides()[a]);
    if (s[a] < 0) throw shape_error(concat(name, ": axis ", a, " runs backwards (stride ", s[a], "); copy it with from_xtensor"));
  }
  return s;
}

}  // namespace detail

/// A copy of any xtensor expression: container, view, lazy sum. Give R where the rank is known only at run time
/// (xarray); throws shape_error where it is another.
template <int R = -1, plain_backend B, class E>
auto from_xtensor(const B& b, const xt::xexpression<E>& expression) {
  constexpr int rank = detail::chosen_rank<R, E>();
  using T = detail::element_of<B, typename E::value_type>;
  const E& x = expression.derived_cast();
  tensor<B, rank, T> y(b, detail::extents_of<rank>("from_xtensor", x));
  const auto copy = [&](T* to) {
    std::transform(x.template cbegin<xt::layout_type::row_major>(), x.template cend<xt::layout_type::row_major>(), to,
                   [](const auto& value) { return static_cast<T>(value); });
  };
  if constexpr (detail::host_memory_backend<B>) {
    copy(y.mutable_data());
  } else {
    host_tensor<T> host(std::vector<index_t>(y.shape().begin(), y.shape().end()));
    copy(host.data.data());
    b.upload(y.mutable_data(), host.data.data(), y.size());
  }
  return y;
}

/// Takes the container over: no copy where the element type is the backend's and its memory is the host's. Any layout.
template <plain_backend B, class Storage, std::size_t N, xt::layout_type L, class Tag>
auto from_xtensor(const B& b, xt::xtensor_container<Storage, N, L, Tag>&& x) {
  using container = xt::xtensor_container<Storage, N, L, Tag>;
  using U = typename container::value_type;
  using T = detail::element_of<B, U>;
  constexpr int R = static_cast<int>(N);
  if constexpr (detail::host_memory_backend<B> && std::is_same_v<T, U>) {
    const auto e = detail::extents_of<R>("from_xtensor", x);
    const auto s = detail::strides_of<R>("from_xtensor", x, e);
    auto owner = std::make_shared<container>(std::move(x));
    T* const data = owner->data();
    // An empty container may have no memory at all; a tensor without elements still has storage.
    if (data == nullptr) return tensor<B, R, T>(b, e);
    return tensor<B, R, T>(b, std::shared_ptr<T>(std::move(owner), data), e, s);
  } else {
    return from_xtensor(b, static_cast<const xt::xexpression<container>&>(x));
  }
}

/// A tensor over memory that stays the container's: `x` must outlive it and everything that shares its storage. Never
/// overwritten by in-place operations (is_unique() is false). Any strides that do not run backwards.
template <int R = -1, detail::host_memory_backend B, class X>
auto borrow_xtensor(const B& b, X&& x) {
  using E = std::remove_cvref_t<X>;
  using T = typename E::value_type;
  static_assert(std::is_lvalue_reference_v<X>,
                "fathom: borrow_xtensor of a temporary would dangle; from_xtensor takes it over");
  static_assert(std::is_same_v<T, typename B::scalar> || std::is_same_v<T, index_t>,
                "fathom: borrow_xtensor needs the backend's scalar (or index_t) as element type; from_xtensor converts");
  static_assert(requires { x.data() + x.data_offset(); },
                "fathom: borrow_xtensor needs a container or a strided view of one; from_xtensor copies the rest");
  constexpr int rank = detail::chosen_rank<R, E>();
  const auto e = detail::extents_of<rank>("borrow_xtensor", x);
  const auto s = detail::strides_of<rank>("borrow_xtensor", x, e);
  T* const data = const_cast<T*>(x.data() + static_cast<std::ptrdiff_t>(x.data_offset()));
  if (data == nullptr) return tensor<B, rank, T>(b, e);
  // Shares ownership of nothing, so that nobody is ever its only owner.
  return tensor<B, rank, T>(b, std::shared_ptr<T>(std::shared_ptr<void>(), data), e, s);
}

/// A row-major copy in an xt::xtensor<T, R>, from any backend.
template <plain_backend B, int R, class T>
xt::xtensor<T, static_cast<std::size_t>(R)> to_xtensor(const tensor<B, R, T>& x) {
  std::array<std::size_t, static_cast<std::size_t>(R)> shape{};
  for (std::size_t a = 0; a < shape.size(); ++a) shape[a] = static_cast<std::size_t>(x.shape()[a]);
  xt::xtensor<T, static_cast<std::size_t>(R)> y(shape);
  const auto packed = contiguous(x);
  if (x.size() > 0) x.backend().download(y.data(), packed.data(), x.size());
  x.backend().synchronize();
  return y;
}

/// The tensor's own memory as a read-only xtensor expression, which keeps it alive. Any strides.
template <detail::host_memory_backend B, int R, class T>
auto as_xtensor(const tensor<B, R, T>& x) {
  constexpr auto N = static_cast<std::size_t>(R);
  using buffer = xt::xbuffer_adaptor<const T*, xt::smart_ownership, std::shared_ptr<T>>;
  using adaptor = xt::xtensor_adaptor<buffer, N, xt::layout_type::dynamic>;
  typename adaptor::shape_type shape{};
  typename adaptor::strides_type strides{};
  index_t last = 0;
  for (std::size_t a = 0; a < N; ++a) {
    shape[a] = static_cast<typename adaptor::shape_type::value_type>(x.shape()[a]);
    strides[a] = x.shape()[a] == 1 ? 0 : x.strides()[a];
    last += (x.shape()[a] - 1) * x.strides()[a];
  }
  const std::size_t length = x.size() > 0 ? static_cast<std::size_t>(last) + 1 : 0;
  return adaptor(buffer(x.data(), length, x.storage()), shape, strides);
}

}  // namespace fathom
