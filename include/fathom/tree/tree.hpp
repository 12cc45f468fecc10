// SPDX-License-Identifier: Apache-2.0
// Trees: any struct with `visit`, and vectors and arrays of them, seen as named leaves. One visit serves parameters,
// ODE states, optimisers and checkpoints; the path of a leaf is its checkpoint key.
//
//   void visit(auto&& v) { v("layer_norm", layer_norm); v("linear_1", linear_1); }   // names are OpenFold's
//   template <class B2> using rebind = transition<B2, C, N>;                          // the same struct on another
//   backend
//
// Settings that are no leaves (flags, eps) live in a member `options`, a plain struct that does not depend on a
// backend.
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
concept branch = requires(std::remove_cvref_t<X>& x, detail::any_visitor& v) {
  x.visit(v);
};
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
  static_assert(
      any_tree<plain>,
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
namespace detail {

// Walks are compiled once for each pair of (member type, functor type). Functors with a name that does not mention the
// tree, instead of a lambda in every function over trees, let all trees share the walks of their common members.
struct collect_addresses {
  std::vector<const void*>& at;
  template <class Leaf>
  void operator()(Leaf& leaf) const {
    at.push_back(&leaf);
  }
};
template <class X>
std::vector<const void*> addresses(X& x) {
  std::vector<const void*> at;
  collect_addresses collect{at};
  walk_leaves(x, collect);
  return at;
}

/// Calls f(leaf, leaf at the same place of the others ...); Const says which of the others are const.
template <class F, bool... Const>
struct call_zipped {
  F& f;
  const std::array<std::vector<const void*>, sizeof...(Const)>& others;
  std::size_t place = 0;

  template <class Leaf>
  void operator()(Leaf& leaf) {
    call(leaf, std::make_index_sequence<sizeof...(Const)>{});
    ++place;
  }
  template <class Leaf, std::size_t... K>
  void call(Leaf& leaf, std::index_sequence<K...>) {
    using plain = std::remove_const_t<Leaf>;
    f(leaf, *static_cast<std::conditional_t<Const, const plain*, plain*>>(const_cast<void*>(others[K][place]))...);
  }
};
template <class F>
struct assign_result {
  F& f;
  template <class Leaf, class... In>
  void operator()(Leaf& leaf, const In&... in) const {
    leaf = f(std::as_const(leaf), in...);
  }
};

}  // namespace detail

/// f(leaf of x, leaf of the others ...) for trees of one type and structure.
template <class X, class F, class... Others>
void for_each_zipped(F&& f, X& x, Others&... others) {
  static_assert((std::is_same_v<std::remove_const_t<X>, std::remove_const_t<Others>> && ...),
                "fathom: zipped trees must be of one type");
  const std::array<std::vector<const void*>, sizeof...(Others)> all{detail::addresses(others)...};
  const std::size_t count = detail::addresses(x).size();
  for (const auto& one : all)
    if (one.size() != count)
      throw shape_error(::fathom::detail::concat("tree: zipped trees have ", count, " and ", one.size(), " leaves"));
  detail::call_zipped<std::remove_reference_t<F>, std::is_const_v<Others>...> call{f, all};
  detail::walk_leaves(x, call);
}
/// The tree of f(leaf).
template <class X, class F>
X map(F&& f, const X& x) {
  X y = x;
  detail::assign_result<std::remove_reference_t<F>> assign{f};
  detail::walk_leaves(y, assign);
  return y;
}

namespace detail {
struct empty_leaf {
  template <class Leaf>
  Leaf operator()(const Leaf& leaf) const {
    if constexpr (any_tensor<Leaf>)
      return Leaf{};
    else
      return leaf;
  }
};
}  // namespace detail

/// x with empty tensors in place of its own, everything else as it is.
template <class X>
X emptied(const X& x) {
  return map(detail::empty_leaf{}, x);
}
/// The tree of f(leaf of x, leaf of others ...).
template <class X, class F, class... Others>
X map_zipped(F&& f, const X& x, const Others&... others) {
  X y = x;
  for_each_zipped(detail::assign_result<std::remove_reference_t<F>>{f}, y, others...);
  return y;
}
namespace detail {
struct count_scalars {
  index_t n = 0;
  template <class Leaf>
  void operator()(const Leaf& leaf) {
    if constexpr (any_tensor<Leaf>)
      n += leaf.size();
    else
      ++n;
  }
};
}  // namespace detail

/// Number of scalars in all leaves.
template <class X>
index_t count(const X& x) {
  detail::count_scalars counter;
  detail::walk_leaves(x, counter);
  return counter.n;
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
    [&]<std::size_t... I>(std::index_sequence<I...>) { ((std::get<I>(y) = converted<B2>(std::get<I>(x), b, f)), ...); }
    (std::make_index_sequence<std::tuple_size_v<X>>{});
  } else if constexpr (optional<X>) {
    if (x)
      y = converted<B2>(*x, b, f);
    else
      y.reset();  // a default may hold a value
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
  static_assert(
      requires { typename X::backend_type; },
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

namespace detail {
/// The backend where a tree's type says it, else void.
template <class X>
struct known_backend {
  using type = void;
};
template <class X>
  requires requires { typename X::backend_type; }
struct known_backend<X> {
  using type = typename X::backend_type;
};
template <class X, class A>
struct known_backend<std::vector<X, A>> : known_backend<X> {};
template <class X, std::size_t N>
struct known_backend<std::array<X, N>> : known_backend<X> {};
template <class X>
struct known_backend<std::optional<X>> : known_backend<X> {};
template <class First, class... Rest>
struct known_backend<std::tuple<First, Rest...>> {
  using own = typename known_backend<First>::type;
  using type = typename std::conditional_t<std::is_void_v<own>, known_backend<std::tuple<Rest...>>,
                                           std::type_identity<own>>::type;
};
template <>
struct known_backend<std::tuple<>> {
  using type = void;
};
}  // namespace detail

/// The backend of a tree's tensors.
template <class X>
using backend_of_t = typename detail::backend_of<std::remove_cvref_t<X>>::type;

}  // namespace fathom::tree
