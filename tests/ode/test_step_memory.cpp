// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <optional>
#include <vector>

#include <fathom/autodiff/chunked.hpp>
#include <fathom/autodiff/gradient.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/core/memory.hpp>
#include <fathom/ode/ode.hpp>
#include <fathom/op/linear.hpp>
#include <fathom/op/random.hpp>
#include <fathom/op/reduction.hpp>
#if __has_include(<thrust/version.h>)
#include <fathom/backend/thrust.hpp>
#endif

namespace ode = fathom::ode;
using namespace fathom;

namespace {

/// y' = keep(t) tanh(w y) - y / 4, keep(t) a dropout mask that is a function of t; as a split field two parts.
template <class B>
struct dropping_field {
  using backend_type = B;
  tensor<B, 2> w;
  void visit(auto&& v) { v("w", w); }
  template <class B2>
  using rebind = dropping_field<B2>;

  tensor<B, 2> operator()(const ode_time<B>& t, const tensor<B, 2>& y) const { return part(0, t, y) + part(1, t, y); }
  std::size_t parts() const { return 2; }
  tensor<B, 2> part(std::size_t n, const ode_time<B>& t, const tensor<B, 2>& y) const {
    if (n == 1) return y * -0.25;
    const auto seed = static_cast<std::uint64_t>(std::llround(1e6 * static_cast<double>(item(t))));
    return dropout(tanh(w * y), 0.3, seed);
  }

 private:
  static tensor<B, 2> dropout(const tensor<B, 2>& x, double rate, std::uint64_t seed) {
    host_tensor<scalar_of<B>> keep({x.extent(0), x.extent(1)});
    for (std::size_t n = 0; n < keep.data.size(); ++n)
      keep.data[n] = static_cast<scalar_of<B>>(
          std::fmod(0.618 * static_cast<double>(seed % 997) + 0.37 * static_cast<double>(n), 1.0) < rate
              ? 0.0
              : 1 / (1 - rate));
    return x * from_host<2>(x.backend(), keep);
  }
};

template <class B>
struct problem {
  static constexpr extents<2> shape{12, 16};
  B b;
  dropping_field<B> field{random_normal<2>(b, shape, 1)};
  tensor<B, 2> y0 = random_normal<2>(b, shape, 2), a = random_normal<2>(b, shape, 3);

  template <class Solver, class Policy>
  auto gradient(const Solver& solver, const Policy& policy) const {
    const auto pullback =
        ode::solve_with_gradient(ode::differentiable(field), y0, {0, 1.5}, solver, ode::fixed_steps{13}, policy).second;
    return pullback(a);
  }
  /// Of <a, y(1.5)> along y0 as a direction of the weights, by differences.
  template <class Solver>
  double slope(const Solver& solver) const {
    const auto loss = [&](double by) {
      auto moved = field;
      moved.w = moved.w + y0 * by;
      return ode::state_traits<tensor<B, 2>>::dot(a, ode::solve(moved, y0, {0, 1.5}, solver, ode::fixed_steps{13}).y1);
    };
    return (8 * (loss(1e-3) - loss(-1e-3)) - (loss(2e-3) - loss(-2e-3))) / 12e-3;
  }
};

/// y' = W_2 tanh(W_1 y) - tanh(y v), rows in chunks; counts how often a chunk runs.
template <class B>
struct chunked_field {
  using backend_type = B;
  tensor<B, 2> w;  // [32, 16]
  tensor<B, 2> v;  // [16, 16]
  inline static long runs = 0;
  void visit(auto&& visitor) {
    visitor("w", w);
    visitor("v", v);
  }
  template <class B2>
  using rebind = chunked_field<B2>;

  /// No bias.
  template <class B2>
  static std::optional<tensor<B2, 1>> none_of(const tensor<B2, 2>&) {
    return {};
  }
  tensor<B, 2> operator()(const ode_time<B>&, const tensor<B, 2>& y) const {
    const auto wide = chunked(
        [](const auto& one, const auto& rows) {
          ++chunked_field<reference<float>>::runs;
          return apply<linear_op>(tanh(apply<linear_op>(rows, one, none_of(one))), transpose(one, 0, 1), none_of(one));
        },
        w, 3, y);
    return wide - chunked(
                      [](const auto& one, const auto& rows) {
                        ++chunked_field<reference<float>>::runs;
                        return tanh(apply<linear_op>(rows, one, none_of(one)));
                      },
                      v, 4, y);
  }
};

template <class G>
bool same(const G& x, const G& y) {
  return to_host(x.y0).data == to_host(y.y0).data && to_host(x.parameters.w).data == to_host(y.parameters.w).data;
}
template <class G>
double difference(const G& x, const G& y) {
  double worst = 0;
  const auto look = [&](const auto& p, const auto& q) {
    for (std::size_t n = 0; n < p.data.size(); ++n)
      worst = std::max(worst, std::abs(static_cast<double>(p.data[n]) - static_cast<double>(q.data[n])));
  };
  look(to_host(x.y0), to_host(y.y0));
  look(to_host(x.parameters.w), to_host(y.parameters.w));
  return worst;
}

template <class B>
void host_storage_is_bitwise_the_same() {
  const problem<B> p;
  for (const std::int64_t slots : {2, 5, 20}) {
    const auto here = p.gradient(ode::rk4{}, ode::checkpointed{.slots = slots});
    const auto there = p.gradient(ode::rk4{}, ode::checkpointed{.slots = slots, .where = ode::storage::host});
    CHECK(same(here, there));
    CHECK(same(p.gradient(ode::adams_bashforth<3>{}, ode::checkpointed{}),
               p.gradient(ode::adams_bashforth<3>{}, ode::checkpointed{.slots = slots, .where = ode::storage::host})));
  }
}

}  // namespace

TEST_CASE_TEMPLATE("ode: steps held whole, by stages, or as the budget allows have the same gradient, bitwise", Solver,
                   ode::rk4, ode::dopri5) {
  const problem<reference<float>> p;
  const auto whole = p.gradient(Solver{}, ode::checkpointed{.memory = ode::step_memory::step});
  for (const std::int64_t slots : {1, 3, 13}) {
    CHECK(same(whole, p.gradient(Solver{}, ode::checkpointed{.slots = slots, .memory = ode::step_memory::stage})));
    CHECK(same(whole, p.gradient(Solver{}, ode::checkpointed{.bytes = 6000, .slots = slots})));
    CHECK(same(whole, p.gradient(Solver{}, ode::checkpointed{.bytes = 30000, .slots = slots})));
  }
  CHECK(same(whole, p.gradient(Solver{}, ode::checkpointed{.bytes = 1})));
}

TEST_CASE("ode: a step that is held is evaluated once more, one that is not once more per stage that others need") {
  const problem<reference<double>> p;
  const auto held = p.gradient(ode::rk4{}, ode::checkpointed{.slots = 13, .memory = ode::step_memory::step});
  const auto staged = p.gradient(ode::rk4{}, ode::checkpointed{.slots = 13, .memory = ode::step_memory::stage});
  CHECK(held.stats.recompute_evaluations == 13 * 4);
  CHECK(staged.stats.recompute_evaluations == 13 * 3);  // and the products evaluate all four
  CHECK(held.stats.vjp_evaluations == 13 * 4);
  CHECK(staged.stats.vjp_evaluations == 13 * 4);
}

TEST_CASE("ode: what the budget leaves goes to the graphs of chunks, within the budget and without changing a bit") {
  using B = reference<float>;
  using counted = chunked_field<B>;
  const B b;
  const counted field{random_normal<2>(b, {32, 16}, 1), random_normal<2>(b, {16, 16}, 2)};
  const auto y0 = random_normal<2>(b, {12, 16}, 3), a = random_normal<2>(b, {12, 16}, 4);
  struct outcome {
    host_tensor<float> y0, w, v;
    std::int64_t peak;
    long runs, evaluations;
  };
  const auto gradient = [&](std::size_t bytes, ode::step_memory memory) {
    memory_counter::reset_peak();
    const auto before = memory_counter::current();
    const auto pullback =
        ode::solve_with_gradient(ode::differentiable(field), y0, {0, 1}, ode::rk4{}, ode::fixed_steps{9},
                                 ode::checkpointed{.bytes = bytes, .slots = 4, .memory = memory})
            .second;
    counted::runs = 0;
    const auto g = pullback.consume(a);
    return outcome{to_host(g.y0),           to_host(g.parameters.w),
                   to_host(g.parameters.v), memory_counter::peak() - before,
                   counted::runs,           g.stats.recompute_evaluations};
  };
  const auto least = gradient(1, ode::step_memory::automatic);
  const auto most = gradient(1 << 24, ode::step_memory::automatic);
  // Seven chunks run for every evaluation: without room again when it is differentiated, with room not. The first
  // product of a pass measures, and keeps nothing.
  CHECK(least.runs == 7 * (least.evaluations + 2 * 9 * 4));
  CHECK(most.runs == 7 * (most.evaluations + 2 + 3));  // the last step's products; the stages of other steps are held
  CHECK(most.peak > least.peak);
  long runs = least.runs;
  for (std::size_t bytes = static_cast<std::size_t>(least.peak); bytes < static_cast<std::size_t>(2 * most.peak);
       bytes += bytes / 8) {
    const auto some = gradient(bytes, ode::step_memory::automatic);
    CHECK(some.peak <= static_cast<std::int64_t>(bytes));
    CHECK(some.runs <= runs);
    runs = some.runs;
    CHECK(some.y0.data == least.y0.data);
    CHECK(some.w.data == least.w.data);
    CHECK(some.v.data == least.v.data);
  }
  CHECK(runs == most.runs);
  const auto staged = gradient(1, ode::step_memory::stage), whole = gradient(1, ode::step_memory::step);
  for (const auto* other : {&staged, &whole}) {
    CHECK(other->y0.data == least.y0.data);
    CHECK(other->w.data == least.w.data);
  }
}

TEST_CASE("ode: dropout that is a function of the time is the same when steps are made again") {
  const problem<reference<double>> p;
  const auto recorded = p.gradient(ode::rk4{}, ode::direct{});
  for (const std::int64_t slots : {1, 4, 13})
    CHECK(difference(recorded, p.gradient(ode::rk4{}, ode::checkpointed{.slots = slots})) < 1e-13);
  CHECK(difference(p.gradient(ode::reversible_heun{}, ode::direct{}),
                   p.gradient(ode::reversible_heun{}, ode::reversible{})) < 1e-12);
  CHECK(difference(p.gradient(ode::coupled<ode::heun>{}, ode::direct{}),
                   p.gradient(ode::coupled<ode::heun>{}, ode::reversible{})) < 1e-12);
}

TEST_CASE("ode: splitting methods of fields of modules have recorded and checkpointed gradients") {
  const problem<reference<double>> p;
  const auto check = [&](const auto& solver) {
    const auto recorded = p.gradient(solver, ode::direct{});
    CHECK(difference(recorded, p.gradient(solver, ode::checkpointed{.slots = 3})) < 1e-13);
    CHECK(ode::state_traits<tensor<reference<double>, 2>>::dot(p.y0, recorded.parameters.w) ==
          doctest::Approx(p.slope(solver)).epsilon(1e-8));
  };
  check(ode::lie_trotter{});
  check(ode::strang{});
}

TEST_CASE("ode: implicit methods of fields of modules have exact gradients") {
  const problem<reference<double>> p;
  const ode::implicit_midpoint solver{{.tolerance = 1e-14}};
  const auto whole = p.gradient(solver, ode::checkpointed{});
  for (const std::int64_t slots : {1, 3, 13}) {
    CHECK(same(whole, p.gradient(solver, ode::checkpointed{.slots = slots})));
    CHECK(same(whole, p.gradient(solver, ode::checkpointed{.slots = slots, .memory = ode::step_memory::stage})));
  }
  CHECK(ode::state_traits<tensor<reference<double>, 2>>::dot(p.y0, whole.parameters.w) ==
        doctest::Approx(p.slope(solver)).epsilon(1e-8));
  // In float32 the stage equations are solved as far as its rounding allows.
  const auto rough = problem<reference<float>>{}.gradient(ode::implicit_midpoint{}, ode::checkpointed{});
  const auto exact = to_host(whole.y0), near = [&] {
    const auto f = to_host(rough.y0);
    return host_tensor<double>{f.shape, std::vector<double>(f.data.begin(), f.data.end())};
  }();
  double largest = 0, worst = 0;
  for (std::size_t n = 0; n < exact.data.size(); ++n) {
    largest = std::max(largest, std::abs(exact.data[n]));
    worst = std::max(worst, std::abs(exact.data[n] - near.data[n]));
  }
  CHECK(worst < 1e-4 * largest);
}

TEST_CASE("ode: states stored on the host give the same gradient, bitwise, and take no memory of the backend") {
  host_storage_is_bitwise_the_same<reference<float>>();
#if __has_include(<thrust/version.h>)
  host_storage_is_bitwise_the_same<thrust_backend<double, thrust_system::cpp>>();
#endif
  const problem<reference<float>> p;
  const auto peak = [&](ode::storage where) {
    memory_counter::reset_peak();
    const auto before = memory_counter::current();
    p.gradient(ode::euler{}, ode::checkpointed{.slots = 13, .where = where});
    return memory_counter::peak() - before;
  };
  CHECK(peak(ode::storage::backend) - peak(ode::storage::host) >= 8 * 12 * 16 * 4);
}

TEST_CASE("ode: every policy serves inside value_and_gradient") {
  const problem<reference<double>> p;
  const auto gradient = [&](const auto& solver, const auto& policy) {
    return value_and_gradient(
               [&](const auto& field) {
                 using A = tree::backend_of_t<std::remove_cvref_t<decltype(field)>>;
                 const tensor<A, 2> y0(p.y0);
                 const auto s = ode::solve_in_graph(field, y0, {0, 1.5}, solver, ode::fixed_steps{60}, policy, {0.75});
                 return mean_square(s.y1) + mean_square(s.values[0]);
               },
               p.field)
        .second;
  };
  const auto far = [](const auto& x, const auto& y) { return std::sqrt(item(sum(square(x.w - y.w)))); };
  const auto want = gradient(ode::coupled<ode::rk4>{}, ode::direct{});
  CHECK(far(want, gradient(ode::coupled<ode::rk4>{}, ode::reversible{})) < 1e-13);
  CHECK(far(gradient(ode::rk4{}, ode::checkpointed{}), gradient(ode::rk4{}, ode::direct{})) < 1e-13);
  CHECK(live_gradient_nodes() == 0);
}
