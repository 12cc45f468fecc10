// SPDX-License-Identifier: Apache-2.0
// Trees: names, maps, zips, and the same tree on another backend.
#include <doctest/doctest.h>

#include <fathom/autodiff/autodiff.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/nn/linear.hpp>
#include <fathom/tree/tree.hpp>

#include "support/random.hpp"

using namespace fathom;

namespace {

struct settings {
  double eps = 1e-5;
};

template <backend B>
struct pair_of_maps {
  using backend_type = B;
  linear<B, 2, 3> first;
  linear<B, 3, 2, false> second;
  settings options;
  pair_of_maps() = default;
  explicit pair_of_maps(const B& b) : first(b), second(b) {}
  void visit(auto&& v) {
    v("first", first);
    v("second", second);
  }
  template <class B2>
  using rebind = pair_of_maps<B2>;
};

template <backend B>
struct model {
  using backend_type = B;
  std::vector<pair_of_maps<B>> blocks;
  std::array<tensor<B, 1>, 2> pieces;
  std::optional<tensor<B, 1>> extra;
  double scale = 2;
  model() = default;
  explicit model(const B& b)
      : blocks(2, pair_of_maps<B>(b)), pieces{full<1>(b, {2}, scalar_of<B>(1)), full<1>(b, {3}, scalar_of<B>(2))} {}
  void visit(auto&& v) {
    v("blocks", blocks);
    v("pieces", pieces);
    v("extra", extra);
    v("scale", scale);
  }
  template <class B2>
  using rebind = model<B2>;
};

/// Made with its optional part unless told otherwise.
template <backend B>
struct with_part {
  using backend_type = B;
  std::optional<tensor<B, 1>> part;
  with_part() = default;
  explicit with_part(const B& b, bool has_part = true) {
    if (has_part) part = full<1>(b, {2}, scalar_of<B>(1));
  }
  void visit(auto&& v) { v("part", part); }
  template <class B2>
  using rebind = with_part<B2>;
};

using B = reference<double>;

model<B> example() {
  model<B> m(B{});
  for (auto& block : m.blocks) block = testing::randomised(block, 3);
  m.blocks[1].options.eps = 0.25;
  return m;
}

template <class X>
std::vector<std::string> names(const X& x) {
  std::vector<std::string> all;
  tree::for_each_named(x, [&](const std::string& name, const auto&) { all.push_back(name); });
  return all;
}

}  // namespace

TEST_CASE("tree: paths of leaves, in the order of visit") {
  auto m = example();
  const std::vector<std::string> expected{
      "blocks.0.first.weight", "blocks.0.first.bias", "blocks.0.second.weight", "blocks.1.first.weight",
      "blocks.1.first.bias",   "blocks.1.second.weight", "pieces.0", "pieces.1", "scale"};
  CHECK(names(m) == expected);
  m.extra = full<1>(B{}, {4}, 1.0);
  CHECK(names(m).size() == expected.size() + 1);
  CHECK(names(m)[8] == "extra");
  CHECK(tree::count(m) == 2 * (6 + 3 + 6) + 2 + 3 + 4 + 1);
  std::vector<std::string> prefixed;
  tree::for_each_named(m.blocks[0], [&](const std::string& name, const auto&) { prefixed.push_back(name); }, "trunk");
  CHECK(prefixed.front() == "trunk.first.weight");
  CHECK(names(std::tuple(m.pieces, 1.0)) == std::vector<std::string>{"0.0", "0.1", "1"});
  CHECK(names(1.5) == std::vector<std::string>{""});
}

TEST_CASE("tree: leaves of a const tree are const, those of another can be changed") {
  auto m = example();
  tree::for_each(std::as_const(m), [](auto& leaf) {
    CHECK(std::is_const_v<std::remove_reference_t<decltype(leaf)>>);
  });
  tree::for_each(m, [](auto& leaf) {
    if constexpr (!any_tensor<decltype(leaf)>) leaf = 7;
  });
  CHECK(m.scale == 7);
}

TEST_CASE("tree: map and map_zipped") {
  const auto m = example();
  const auto doubled = tree::map([](const auto& leaf) { return leaf * 2.0; }, m);
  CHECK(doubled.scale == 4);
  CHECK(to_host(doubled.pieces[1]).data == std::vector<double>{4, 4, 4});
  CHECK(to_host(m.pieces[1]).data == std::vector<double>{2, 2, 2});
  CHECK(doubled.blocks[1].options.eps == 0.25);
  const auto sum = tree::map_zipped([](const auto& a, const auto& b) { return a + b; }, m, doubled);
  CHECK(sum.scale == 6);
  CHECK(to_host(sum.blocks[0].first.weight).data[1] == doctest::Approx(3 * to_host(m.blocks[0].first.weight).data[1]));
}

TEST_CASE("tree: trees of different structure do not zip") {
  auto m = example();
  auto longer = m;
  longer.blocks.emplace_back(B{});
  CHECK_THROWS_AS(tree::for_each_zipped([](auto&, auto&) {}, m, longer), shape_error);
}

TEST_CASE("tree: rebind moves a tree to another backend, with its settings") {
  const auto m = example();
  const cpu<float> b;
  const auto moved = tree::rebind(m, b, [&](const auto& from, auto& to) {
    using leaf_t = std::remove_cvref_t<decltype(to)>;
    to = from_host<leaf_t::rank>(b, to_host(from));
  });
  static_assert(std::is_same_v<decltype(moved), const model<cpu<float>>>);
  CHECK(moved.blocks.size() == 2);
  CHECK(moved.blocks[1].options.eps == 0.25);
  CHECK(moved.scale == 2);
  CHECK(to_host(moved.blocks[1].second.weight).data[3] ==
        static_cast<float>(to_host(m.blocks[1].second.weight).data[3]));
  static_assert(std::is_same_v<tree::rebind_t<std::vector<model<B>>, cpu<float>>, std::vector<model<cpu<float>>>>);
  static_assert(std::is_same_v<tree::rebind_t<std::tuple<tensor<B, 2>, double>, cpu<float>>,
                               std::tuple<tensor<cpu<float>, 2>, double>>);
  static_assert(std::is_same_v<tree::backend_of_t<std::array<tensor<B, 1>, 3>>, B>);
}

TEST_CASE("tree: rebind leaves out an optional part that is absent, though the type's default has one") {
  const auto move = [](const with_part<B>& x) {
    return tree::rebind(x, cpu<float>(), [](const auto& from, auto& to) {
      to = from_host<1>(cpu<float>(), to_host(from));
    });
  };
  CHECK(move(with_part<B>(B{}, true)).part.has_value());
  CHECK_FALSE(move(with_part<B>(B{}, false)).part.has_value());
}
