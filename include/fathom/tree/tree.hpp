// SPDX-License-Identifier: Apache-2.0
// Trees: any struct with `visit`, and vectors and arrays of them, seen as named leaves. One visit serves parameters, ODE
// states, optimisers and checkpoints; the path of a leaf is its checkpoint key.
//
//   void visit(auto&& v) { v("layer_norm", layer_norm); v("linear_1", linear_1); }   // names are OpenFold's
//   template <class B2> using rebind = transition<B2, C, N>;                          // the same struct on another backend
//
// Settings that are no leaves (flags, eps) live in a member `options`, a plain struct that does not depend on a backend.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <fathom/tensor/tensor.hpp>

namespace fathom::tree {

namespace detail {
struct any_visitor {
  template <class X>
  void operator()(const char*, X&) {}
  template <class X>
  void operator()(const std::string&, X&) {}
};
template <class X>
struct is_list : std::false_type {};
template <class X, class A>
struct is_list<std::vector<X, A>> : std::true_type {};
template <class X, std::size_t N>
struct is_list<std::array<X, N>> : std::true_type {};
template <class X>
struct is_tuple : std::false_type {};
template <class... X>
struct is_tuple<std::tuple<X...>> : std::true_type {};
template <class X>
struct is_optional : std::false_type {};
template <class X>
struct is_optional<std::optional<X>> : std::true_type {};
}  // namespace detail

/// A tensor or a number.
template <class X>
concept leaf = any_tensor<X> || std::is_arithmetic_v<std::remove_cvref_t<X>>;
/// A struct that names its members.
template <class X>
concept branch = requires(std::remove_cvref_t<X>& x, detail::any_visitor& v) { x.visit(v); };
/// A vector or array; its elements are named 0, 1, ...
template <class X>
concept list = detail::is_list<std::remove_cvref_t<X>>::value;
/// A std::tuple; its elements are named 0, 1, ...
template <class X>
concept tuple = detail::is_tuple<std::remove_cvref_t<X>>::value;
/// A std::optional: no leaves, or those of its value under the same name.
template <class X>
concept optional = detail::is_optional<std::remove_cvref_t<X>>::value;
/// Anything made of these.
template <class X>
concept any_tree = leaf<X> || branch<X> || list<X> || tuple<X> || optional<X>;

namespace detail {

template <class X>
X& unconst(const X& x) {
  return const_cast<X&>(x);
}

inline std::string joined(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + "." + name;
}

/// Calls f(path, member) for every leaf, in the order of visit. Constness is restored before f sees the leaf.
template <class X, class F>
void walk(X& x, const std::string& path, F& f) {
  using plain = std::remove_const_t<X>;
  static_assert(any_tree<plain>,
                "fathom: a tree is a tensor, a number, a struct with `void visit(auto&& v) { v(\"name\", member); ... }`, "
                "or a std::vector or std::array of those");
  if constexpr (leaf<plain>) {
    f(path, x);
  } else if constexpr (list<plain>) {
    std::size_t i = 0;
    for (auto& element : x) walk(element, joined(path, std::to_string(i++)), f);
  } else if constexpr (tuple<plain>) {
    std::size_t i = 0;
    std::apply([&](auto&... element) { (walk(element, joined(path, std::to_string(i++)), f), ...); }, x);
  } else if constexpr (optional<plain>) {
    if (x) walk(*x, path, f);
  } else {
    unconst(x).visit([&](const auto& name, auto& member) {
      using member_t = std::conditional_t<std::is_const_v<X>, const std::remove_reference_t<decltype(member)>,
                                          std::remove_reference_t<decltype(member)>>;
      walk(static_cast<member_t&>(member), joined(path, name), f);
    });
  }
}

/// The same walk without building paths.
template <class X, class F>
void walk_leaves(X& x, F& f) {
  using plain = std::remove_const_t<X>;
  static_assert(any_tree<plain>, "fathom: a tree is a tensor, a number, a struct with visit, or a list of those");
  if constexpr (leaf<plain>) {
    f(x);
  } else if constexpr (list<plain>) {
    for (auto& element : x) walk_leaves(element, f);
  } else if constexpr (tuple<plain>) {
    std::apply([&](auto&... element) { (walk_leaves(element, f), ...); }, x);
  } else if constexpr (optional<plain>) {
    if (x) walk_leaves(*x, f);
  } else {
    unconst(x).visit([&](const auto&, auto& member) {
      using member_t = std::conditional_t<std::is_const_v<X>, const std::remove_reference_t<decltype(member)>,
                                          std::remove_reference_t<decltype(member)>>;
      walk_leaves(static_cast<member_t&>(member), f);
    });
  }
}

}  // namespace detail

/// f(path, leaf) for every leaf; leaves of a const tree are const.
template <class X, class F>
void for_each_named(X& x, F&& f, const std::string& prefix = {}) {
  detail::walk(x, prefix, f);
}
/// f(leaf) for every leaf.
template <class X, class F>
void for_each(X& x, F&& f) {
  detail::walk_leaves(x, f);
}
/// f(leaf of x, leaf of the others ...) for trees of one type and structure.
template <class X, class F, class... Others>
void for_each_zipped(F&& f, X& x, Others&... others) {
  static_assert((std::is_same_v<std::remove_const_t<X>, std::remove_const_t<Others>> && ...),
                "fathom: zipped trees must be of one type");
  const auto leaves = [](auto& t) {
    std::vector<const void*> at;
    for_each(t, [&](auto& leaf) { at.push_back(&leaf); });
    return at;
  };
  std::array<std::vector<const void*>, sizeof...(Others)> all{leaves(others)...};
  std::size_t count = 0;
  for_each(x, [&](auto&) { ++count; });
  for (const auto& one : all)
    if (one.size() != count)
      throw shape_error(::fathom::detail::concat("tree: zipped trees have ", count, " and ", one.size(), " leaves"));
  std::size_t i = 0;
  for_each(x, [&](auto& leaf) {
    using leaf_t = std::remove_reference_t<decltype(leaf)>;
    [&]<std::size_t... K>(std::index_sequence<K...>) {
      f(leaf, *static_cast<std::conditional_t<std::is_const_v<Others>, const std::remove_const_t<leaf_t>*,
                                              std::remove_const_t<leaf_t>*>>(const_cast<void*>(all[K][i]))...);
    }(std::make_index_sequence<sizeof...(Others)>{});
    ++i;
  });
}
/// The tree of f(leaf).
template <class X, class F>
X map(F&& f, const X& x) {
  X y = x;
  for_each(y, [&](auto& leaf) { leaf = f(std::as_const(leaf)); });
  return y;
}
/// The tree of f(leaf of x, leaf of others ...).
template <class X, class F, class... Others>
X map_zipped(F&& f, const X& x, const Others&... others) {
  X y = x;
  for_each_zipped([&](auto& out, const auto&... in) { out = f(std::as_const(out), in...); }, y, others...);
  return y;
}
/// Number of scalars in all leaves.
template <class X>
index_t count(const X& x) {
  index_t n = 0;
  for_each(x, [&](const auto& leaf) {
    if constexpr (any_tensor<decltype(leaf)>)
      n += leaf.size();
    else
      ++n;
  });
  return n;
}

namespace detail {
template <class X, class B2>
struct rebind_of {
  using type = typename X::template rebind<B2>;
};
template <class X, class B2>
  requires std::is_arithmetic_v<X>
struct rebind_of<X, B2> {
  using type = X;
};
template <class B, int R, class T, class B2>
struct rebind_of<tensor<B, R, T>, B2> {
  // Real tensors take the scalar of their new backend; integers stay what they are.
  using type = tensor<B2, R, std::conditional_t<std::is_same_v<T, scalar_of<B>>, scalar_of<B2>, T>>;
};
template <class X, class A, class B2>
struct rebind_of<std::vector<X, A>, B2> {
  using type = std::vector<typename rebind_of<X, B2>::type>;
};
template <class X, std::size_t N, class B2>
struct rebind_of<std::array<X, N>, B2> {
  using type = std::array<typename rebind_of<X, B2>::type, N>;
};
template <class... X, class B2>
struct rebind_of<std::tuple<X...>, B2> {
  using type = std::tuple<typename rebind_of<X, B2>::type...>;
};
template <class X, class B2>
struct rebind_of<std::optional<X>, B2> {
  using type = std::optional<typename rebind_of<X, B2>::type>;
};
}  // namespace detail

/// The type of the same tree on backend B2.
template <class X, class B2>
using rebind_t = typename detail::rebind_of<std::remove_cvref_t<X>, B2>::type;

namespace detail {
template <class B2, class X, class F>
rebind_t<X, B2> converted(const X& x, const B2& b, F& f);

template <class B2, class X, class Y, class F>
void transfer(const X& x, Y& y, const B2& b, F& f) {
  if constexpr (leaf<X>) {
    if constexpr (any_tensor<X>)
      f(x, y);
    else
      y = x;
  } else if constexpr (list<X>) {
    if constexpr (requires { y.resize(x.size()); }) {
      y.clear();
      y.reserve(x.size());
      for (std::size_t i = 0; i < x.size(); ++i) {
        if constexpr (branch<typename Y::value_type> && std::is_constructible_v<typename Y::value_type, const B2&>)
          y.emplace_back(b);
        else
          y.emplace_back();
      }
    }
    for (std::size_t i = 0; i < x.size(); ++i) transfer<B2>(x[i], y[i], b, f);
  } else if constexpr (tuple<X>) {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      ((std::get<I>(y) = converted<B2>(std::get<I>(x), b, f)), ...);
    }(std::make_index_sequence<std::tuple_size_v<X>>{});
  } else if constexpr (optional<X>) {
    if (x) y = converted<B2>(*x, b, f);
  } else {
    if constexpr (requires { y.options = x.options; }) y.options = x.options;
    std::vector<void*> members;
    y.visit([&](const auto&, auto& member) { members.push_back(&member); });
    std::size_t i = 0;
    unconst(x).visit([&](const auto&, auto& member) {
      using target = rebind_t<decltype(member), B2>;
      transfer<B2>(std::as_const(member), *static_cast<target*>(members[i++]), b, f);
    });
  }
}
}  // namespace detail

namespace detail {
template <class B2, class X, class F>
rebind_t<X, B2> converted(const X& x, const B2& b, F& f) {
  using Y = rebind_t<X, B2>;
  if constexpr (branch<Y> && std::is_constructible_v<Y, const B2&>) {
    Y y(b);
    transfer<B2>(x, y, b, f);
    return y;
  } else {
    Y y{};
    transfer<B2>(x, y, b, f);
    return y;
  }
}
}  // namespace detail

/// The same tree on backend `b`: f(const leaf& from, leaf& to) fills each tensor; numbers and `options` are copied.
template <class B2, class X, class F>
rebind_t<X, B2> rebind(const X& x, const B2& b, F&& f) {
  return detail::converted<B2>(x, b, f);
}

namespace detail {
template <class X>
struct backend_of {
  static_assert(requires { typename X::backend_type; },
                "fathom: this tree must say `using backend_type = B;` so that its backend is known");
  using type = typename X::backend_type;
};
template <class B, int R, class T>
struct backend_of<tensor<B, R, T>> {
  using type = B;
};
template <class X, class A>
struct backend_of<std::vector<X, A>> : backend_of<X> {};
template <class X, std::size_t N>
struct backend_of<std::array<X, N>> : backend_of<X> {};
}  // namespace detail

/// The backend of a tree's tensors.
template <class X>
using backend_of_t = typename detail::backend_of<std::remove_cvref_t<X>>::type;

}  // namespace fathom::tree
