// SPDX-License-Identifier: Apache-2.0
// All real tensors of a tree as one vector, so that optimisers work on every parameter in one pass.
#pragma once

#include <string>
#include <vector>

#include <fathom/op/layout.hpp>
#include <fathom/tree/tree.hpp>

namespace fathom::train {

namespace detail {
template <class B, class Leaf>
inline constexpr bool is_parameter =
    any_tensor<Leaf>&& std::is_same_v<typename std::remove_cvref_t<Leaf>::value_type, scalar_of<B>>;
/// Throws error where a parameter has no values.
template <class Leaf>
void expect_values(const std::string& path, const Leaf& leaf) {
  if (leaf.empty())
    throw error(::fathom::detail::concat("flatten: '", path, "' has no values; initialise or load it first"));
}
}  // namespace detail

/// Number of scalars that flatten(x) holds; with `align`, what unflatten needs where every tensor begins at a multiple
/// of that.
template <class X>
index_t parameter_count(const X& x, index_t align = 1) {
  using B = tree::backend_of_t<X>;
  index_t n = 0;
  tree::for_each(x, [&](const auto& leaf) {
    if constexpr (any_tensor<decltype(leaf)>)
      if constexpr (detail::is_parameter<B, decltype(leaf)>) n += (leaf.size() + align - 1) / align * align;
  });
  return n;
}

/// The parameters one after the other, in the order of visit: [parameter_count(x)]. Throws error where one has no
/// values.
template <class X>
tensor<tree::backend_of_t<X>, 1> flatten(const X& x) {
  using B = tree::backend_of_t<X>;
  tensor<B, 1> flat;
  const index_t n = parameter_count(x);
  index_t at = 0;
  tree::for_each_named(x, [&](const std::string& path, const auto& leaf) {
    if constexpr (any_tensor<decltype(leaf)>)
      if constexpr (detail::is_parameter<B, decltype(leaf)>) {
        detail::expect_values(path, leaf);
        if (flat.empty()) flat = tensor<B, 1>(leaf.backend(), {n});
        const auto row_major =
            ::fathom::detail::row_major_strides<std::remove_cvref_t<decltype(leaf)>::rank>(leaf.shape());
        auto window = flat.reinterpret(leaf.shape(), row_major, at);
        leaf.backend().map(::fathom::detail::copy_value{}, window.mutable_view(), leaf.view());
        at += leaf.size();
      }
  });
  if (flat.empty()) throw error("flatten: the tree holds no parameters");
  return flat;
}

/// The parameters in the order of visit, each as a contiguous vector; nothing is copied that lies in order already.
template <class X>
std::vector<tensor<tree::backend_of_t<X>, 1>> parameter_vectors(const X& x) {
  using B = tree::backend_of_t<X>;
  std::vector<tensor<B, 1>> all;
  tree::for_each_named(x, [&](const std::string& path, const auto& leaf) {
    if constexpr (any_tensor<decltype(leaf)>)
      if constexpr (detail::is_parameter<B, decltype(leaf)>) {
        detail::expect_values(path, leaf);
        all.push_back(contiguous(leaf).reinterpret(extents<1>{leaf.size()}, extents<1>{1}));
      }
  });
  if (all.empty()) throw error("flatten: the tree holds no parameters");
  return all;
}

/// A tree like `x` whose parameters are windows of `flat`, each at a multiple of `align`: nothing is copied.
template <class X>
X unflatten(const X& x, const tensor<tree::backend_of_t<X>, 1>& flat, index_t align = 1) {
  using B = tree::backend_of_t<X>;
  ::fathom::detail::expect_extents<1>("unflatten", "the vector", flat, {parameter_count(x, align)});
  X y = x;
  index_t at = 0;
  tree::for_each(y, [&](auto& leaf) {
    if constexpr (any_tensor<decltype(leaf)>)
      if constexpr (detail::is_parameter<B, decltype(leaf)>) {
        const auto e = leaf.shape();
        leaf =
            flat.reinterpret(e, ::fathom::detail::row_major_strides<std::remove_cvref_t<decltype(leaf)>::rank>(e), at);
        at += (leaf.size() + align - 1) / align * align;
      }
  });
  return y;
}

}  // namespace fathom::train
