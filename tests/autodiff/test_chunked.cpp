// SPDX-License-Identifier: Apache-2.0
// chunked(f, ...) is f, with the memory of a chunk.
#include <doctest/doctest.h>

#include <fathom/autodiff/chunked.hpp>
#include <fathom/autodiff/gradient_check.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/nn/linear.hpp>
#include <fathom/op/elementwise.hpp>
#include <fathom/op/reduction.hpp>

#include "support/random.hpp"

using namespace fathom;
using B = reference<double>;
using testing::normal;
using testing::probe;

namespace {

/// rows -> tanh(W rows) + rows * bias, with an optional factor per row
constexpr auto layer = [](const auto& shared, const auto& rows, const auto& factor) {
  const auto& [map, bias] = shared;
  const auto y = tanh(map(rows)) + rows * bias;
  if (!factor) return y;
  return y * unsqueeze(*factor, 1);
};

template <class X>
using backend_t = typename X::backend_type;

double largest_difference(const host_tensor<double>& x, const host_tensor<double>& y) {
  REQUIRE(x.shape == y.shape);
  double worst = 0;
  for (std::size_t i = 0; i < x.data.size(); ++i) worst = std::max(worst, std::abs(x.data[i] - y.data[i]));
  return worst;
}

}  // namespace

TEST_CASE("autodiff: chunked gives the value and gradients of one piece, whatever the chunk") {
  const B b;
  const auto x = normal<2>(b, {7, 3}, 1), bias = normal<2>(b, {1, 3}, 2);
  const auto factor = normal<1>(b, {7}, 3);
  const auto map = testing::randomised(linear<B, 3, 3>(b), 4);
  for (const bool with_factor : {false, true}) {
    const auto loss = [&](index_t chunk) {
      return [&, chunk](const auto& in) {
        const auto& [rows, f, m, beta] = in;
        using T = backend_t<std::remove_cvref_t<decltype(rows)>>;
        const auto some = with_factor ? std::optional<tensor<T, 1>>(f) : std::nullopt;
        const auto shared = std::tuple(m, beta);
        return probe(chunk == 0 ? layer(shared, rows, some) : chunked(layer, shared, chunk, rows, some));
      };
    };
    const auto inputs = std::tuple(x, factor, map, bias);
    const auto whole = value_and_gradient(loss(0), inputs);
    for (const index_t chunk : {1, 2, 3, 7, 100}) {
      const auto parts = value_and_gradient(loss(chunk), inputs);
      CHECK(parts.first == doctest::Approx(whole.first).epsilon(1e-14));
      tree::for_each_zipped(
          [](const auto& p, const auto& q) { CHECK(largest_difference(to_host(p), to_host(q)) < 1e-13); }, parts.second,
          whole.second);
      CHECK(live_gradient_nodes() == 0);
    }
    CHECK(gradient_check(loss(3), inputs) < 1e-6);
  }
}

TEST_CASE("autodiff: chunked inputs may be strided, repeated, or constant") {
  const B b;
  const auto x = normal<2>(b, {4, 6}, 1);
  const auto f = [](const auto& u) {
    const auto t = transpose(u, 0, 1);
    const auto product = [](const auto& shared, const auto& p, const auto& q) { return p * q + square(p) * shared; };
    const auto c = full<2>(u.backend(), {1, 4}, 0.5);
    return probe(chunked(product, c, 2, t, t)) + probe(chunked(product, c, 4, constant(u.backend(), primal(t)), t), 5);
  };
  CHECK(gradient_check(f, x) > 1e-3);  // the constant copy of x moves with x in the difference, but has no gradient
  const auto fixed = normal<2>(b, {6, 4}, 2);
  const auto g = [&](const auto& u) {
    const auto t = transpose(u, 0, 1);
    const auto product = [](const auto& shared, const auto& p, const auto& q) { return p * q + square(p) * shared; };
    const auto c = full<2>(u.backend(), {1, 4}, 0.5);
    return probe(chunked(product, c, 2, t, t)) + probe(chunked(product, c, 4, constant(u.backend(), fixed), t), 5);
  };
  CHECK(gradient_check(g, x) < 1e-6);
  CHECK(live_gradient_nodes() == 0);
}

TEST_CASE("autodiff: cotangents of chunks meet those that came before, and arguments that are not used get none") {
  const B b;
  const auto x = normal<2>(b, {7, 3}, 1), y = normal<2>(b, {7, 3}, 2), factor = normal<2>(b, {1, 3}, 3);
  const auto first_only = [](const auto& shared, const auto& p, const auto&) { return square(p) * shared; };
  const auto both = [](const auto& shared, const auto& p, const auto& q) { return p * q + square(q) * shared; };
  for (const index_t chunk : {2, 7}) {
    // y has a cotangent by its own before the chunks of `both` add theirs; x has none; z only what chunks give it.
    const auto f = [&](const auto& in) {
      const auto& [u, v, c] = in;
      const auto z = u * v;
      const auto a = chunked(both, c, chunk, z, v), d = chunked(first_only, c, chunk, a, z);
      return probe(d) + probe(v, 5) + probe(chunked(first_only, c, chunk, u, v), 6);
    };
    CHECK(gradient_check(f, std::tuple(x, y, factor)) < 1e-6);
    CHECK(live_gradient_nodes() == 0);
  }
}

TEST_CASE("autodiff: chunked keeps no more than inputs and outputs alive") {
  const B b;
  const auto x = normal<2>(b, {64, 32}, 1);
  const auto wide = testing::randomised(linear<B, 32, 512>(b), 2);
  const auto narrow = testing::randomised(linear<B, 512, 32>(b), 3);
  const auto mlp = [](const auto& shared, const auto& rows) {
    return std::get<1>(shared)(tanh(std::get<0>(shared)(rows)));
  };
  const auto bytes_kept = [&](index_t chunk) {
    const auto before = memory_counter::current();
    const auto [value, pullback] = vjp(
        b, [&](const auto& w, const auto& n, const auto& rows) { return chunked(mlp, std::tuple(w, n), chunk, rows); },
        wide, narrow, x);
    return memory_counter::current() - before;
  };
  const std::int64_t state = 64 * 32 * 8, hidden = 64 * 512 * 8;
  CHECK(bytes_kept(4) < 2 * state);
  // Without chunks the recomputation is the same: hidden layers are never residuals.
  CHECK(bytes_kept(64) < 2 * state);
  const auto plain = [&] {
    const auto before = memory_counter::current();
    const auto [value, pullback] = vjp(
        b, [&](const auto& w, const auto& n, const auto& rows) { return mlp(std::tuple(w, n), rows); }, wide, narrow,
        x);
    return memory_counter::current() - before;
  }();
  CHECK(plain > hidden);
}

TEST_CASE("autodiff: kept activations change neither value nor gradients, and count against their limit") {
  const B b;
  const auto x = normal<2>(b, {64, 32}, 1), shift = normal<2>(b, {64, 32}, 4);
  const auto wide = testing::randomised(linear<B, 32, 512>(b), 2);
  const auto narrow = testing::randomised(linear<B, 512, 32>(b), 3);
  const auto mlp = [](const auto& shared, const auto& rows, const auto& more) {
    return std::get<1>(shared)(tanh(std::get<0>(shared)(rows))) * more;
  };
  struct outcome {
    host_tensor<double> value;
    std::vector<host_tensor<double>> gradients;
    std::int64_t kept = 0;
  };
  const auto run = [&](std::int64_t limit) {
    const keep_activations keep(limit);
    const auto before = memory_counter::in_use();
    auto [value, pullback] = vjp(
        b,
        [&](const auto& w, const auto& n, const auto& rows, const auto& more) {
          return chunked(mlp, std::tuple(w, n), 8, rows, more);
        },
        wide, narrow, x, shift);
    outcome result{to_host(value), {}, memory_counter::in_use() - before};
    for (int time = 0; time < 2; ++time) {  // a pullback may be called again
      const auto gradients = pullback(shift);
      tree::for_each(gradients, [&](const auto& leaf) { result.gradients.push_back(to_host(leaf)); });
    }
    return result;
  };
  const std::int64_t hidden = 64 * 512 * 8;
  const auto recomputed = run(0), kept = run(std::int64_t(1) << 40), some = run(memory_counter::in_use() + hidden);
  CHECK(recomputed.kept < hidden / 2);
  CHECK(kept.kept > 2 * hidden);  // before and after tanh
  CHECK(some.kept > hidden / 2);
  CHECK(some.kept < 2 * hidden);
  for (const auto* other : {&kept, &some}) {
    CHECK(other->value.data == recomputed.value.data);
    REQUIRE(other->gradients.size() == recomputed.gradients.size());
    for (std::size_t i = 0; i < other->gradients.size(); ++i)
      CHECK(other->gradients[i].data == recomputed.gradients[i].data);
  }
  CHECK(!keep_activations::now());
  CHECK(live_gradient_nodes() == 0);
}

TEST_CASE("autodiff: a plan measures one evaluation, and keeps what spares most work within its room") {
  const B b;
  const auto x = normal<2>(b, {64, 32}, 1), seed = normal<2>(b, {64, 32}, 5);
  const auto wide = testing::randomised(linear<B, 32, 512>(b), 2);
  const auto narrow = testing::randomised(linear<B, 512, 32>(b), 3);
  const auto small = testing::randomised(linear<B, 32, 32>(b), 4);
  // The first layer has little work for its bytes, the second much.
  const auto cheap = [](const auto& w, const auto& rows) { return tanh(tanh(tanh(w(rows)))); };
  const auto dear = [](const auto& shared, const auto& rows) {
    return std::get<1>(shared)(tanh(std::get<0>(shared)(rows)));
  };
  activation_plan plan;
  struct outcome {
    std::vector<host_tensor<double>> gradients;
    std::int64_t most;
  };
  const auto run = [&](activation_plan* under, index_t rows) {
    const auto some = slice(x, 0, 0, rows), a = slice(seed, 0, 0, rows);
    const auto before = memory_counter::in_use();
    memory_counter::watch();
    const activation_plan::recording scope(under);
    const auto gradients = value_and_gradient(
                               [&](const auto& in) {
                                 const auto& [s, w, n, at] = in;
                                 const auto y = chunked(dear, std::tuple(w, n), 8, chunked(cheap, s, 16, at));
                                 return sum(y * constant(y.backend(), a));
                               },
                               std::tuple(small, wide, narrow, some))
                               .second;
    outcome result{{}, memory_counter::watched() - before};
    tree::for_each(gradients, [&](const auto& leaf) { result.gradients.push_back(to_host(leaf)); });
    return result;
  };
  const auto plain = run(nullptr, 64);
  CHECK(!plan.known());
  run(&plan, 64);
  REQUIRE(plan.known());
  REQUIRE(plan.layers().size() == 2);
  // Two hidden layers of a chunk of 8 rows and 512 channels; three tanh and their input of 16 rows and 32.
  CHECK(plan.layers()[1].bytes >= 2 * 8 * 512 * 8);
  CHECK(plan.layers()[1].bytes < 3 * 8 * 512 * 8);
  CHECK(plan.layers()[0].bytes >= 3 * 16 * 32 * 8);
  CHECK(plan.layers()[1].work > 8 * plan.layers()[0].work);
  plan.choose(0);
  const std::int64_t least = plan.most();
  CHECK(plan.layers()[0].kept + plan.layers()[1].kept == 0);
  plan.choose_all();
  const std::int64_t all = plan.most();
  CHECK(all > least + plan.layers()[1].bytes * 6);
  index_t before = 0;
  for (std::int64_t room = least; room <= all; room += (all - least) / 16) {
    plan.choose(room);
    CHECK(plan.most() <= room);
    CHECK(plan.layers()[1].kept >= before);
    CHECK((plan.layers()[1].kept == 8 || room - plan.most() < plan.layers()[1].bytes));
    before = plan.layers()[1].kept;
    const auto under = run(&plan, 64);
    CHECK(under.most <= room);
    REQUIRE(under.gradients.size() == plain.gradients.size());
    for (std::size_t i = 0; i < plain.gradients.size(); ++i) CHECK(under.gradients[i].data == plain.gradients[i].data);
  }
  CHECK(before == 8);
  // Other extents than the measured ones: nothing is kept.
  plan.choose_all();
  const auto other = run(&plan, 40), without = run(nullptr, 40);
  CHECK(other.most <= without.most);
  for (std::size_t i = 0; i < other.gradients.size(); ++i) CHECK(other.gradients[i].data == without.gradients[i].data);
  CHECK(activation_plan::current() == nullptr);
  CHECK(live_gradient_nodes() == 0);
}
