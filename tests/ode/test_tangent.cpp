// SPDX-License-Identifier: Apache-2.0
// Forward mode: exact for the discrete map, the steps of the plain solve, the transpose of the adjoint.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <vector>

#include <fathom/backend/reference.hpp>
#include <fathom/ode/adams.hpp>
#include <fathom/ode/adjoint.hpp>
#include <fathom/ode/autodiff_field.hpp>
#include <fathom/ode/differenced_field.hpp>
#include <fathom/ode/dual_field.hpp>
#include <fathom/ode/explicit_rk.hpp>
#include <fathom/ode/implicit_rk.hpp>
#include <fathom/ode/tangent.hpp>

#include <fathom/op/matmul.hpp>

#include "problems.hpp"
#include "support/random.hpp"

namespace ode = fathom::ode;
using namespace problems;

namespace {

/// A forced pendulum with friction, over any scalar; its parameters' derivative for the adjoint.
struct pendulum {
  struct gradient_type {
    double friction = 0;
  };
  double friction = 0.3;

  template <class S>
  std::array<S, 2> operator()(double t, const std::array<S, 2>& y) const {
    using std::cos;
    using std::sin;
    return {y[1], sin(y[0]) * -4.0 - y[1] * friction + std::cos(t) * y[0] * y[1]};
  }
  gradient_type zero_gradient() const { return {}; }
  ode::field_cotangent<vec2> vjp(double t, const vec2& y, const vec2& a, gradient_type& g) const {
    g.friction -= a[1] * y[1];
    return {{a[1] * (-4 * std::cos(y[0]) + std::cos(t) * y[1]), a[0] + a[1] * (-friction + std::cos(t) * y[0])},
            -std::sin(t) * y[0] * y[1] * a[1]};
  }
};

/// The same with a direction of its parameter: (df/dp) dp joins the slopes.
struct moved_pendulum {
  ode::dual<double> friction;
  template <class S>
  std::array<S, 2> operator()(double t, const std::array<S, 2>& y) const {
    using std::sin;
    return {y[1], sin(y[0]) * -4.0 - y[1] * friction + std::cos(t) * y[0] * y[1]};
  }
};

const vec2 from{0.7, -0.2}, v{0.6, -1.1}, w{-0.4, 0.9};
double product(const vec2& a, const vec2& b) { return a[0] * b[0] + a[1] * b[1]; }

}  // namespace

TEST_CASE_TEMPLATE("ode: <J v, w> = <v, J^T w> with the adjoint, fixed and adaptive steps", Solver, ode::dopri5,
                   ode::bosh3, ode::dopri8, ode::adaptive_heun) {
  const auto check = [](const auto& control) {
    const auto forward = ode::solve_tangent(pendulum{}, from, v, {0, 3}, Solver{}, control, {.record_steps = true});
    auto [s, pullback] = ode::solve_with_gradient(pendulum{}, from, {0, 3}, Solver{}, control);
    const auto g = pullback(w);
    CHECK(product(forward.y1.direction, w) == doctest::Approx(product(v, g.y0)).epsilon(1e-13));
    // The derivative changes neither values nor steps.
    CHECK(forward.y1.value == s.y1);
    CHECK(forward.stats.accepted == s.stats.accepted);
    CHECK(forward.stats.rejected == s.stats.rejected);
    // Along a direction of the parameter.
    const auto moved = ode::solve_tangent(moved_pendulum{{0.3, 1.0}}, from, vec2{0, 0}, {0, 3}, Solver{}, control);
    CHECK(product(moved.y1.direction, w) == doctest::Approx(g.parameters.friction).epsilon(1e-12));
  };
  check(ode::fixed_steps{37});
  check(ode::i{.rtol = 1e-6, .atol = 1e-8});
}

TEST_CASE_TEMPLATE("ode: forward mode is exact for other methods too: differences of the solve itself", Solver,
                   ode::adams_bashforth<3>, ode::adams_bashforth_moulton<4>, ode::gauss_legendre4, ode::tr_bdf2) {
  Solver solver{};
  if constexpr (requires { solver.newton; }) solver.newton.tolerance = 1e-14;
  const auto end = [&](double by) {
    return ode::solve(pendulum{}, vec2{from[0] + by * v[0], from[1] + by * v[1]}, {0, 2}, solver, ode::fixed_steps{40})
        .y1;
  };
  const auto s = ode::solve_tangent(pendulum{}, from, v, {0, 2}, solver, ode::fixed_steps{40});
  const double h = 1e-3;
  for (std::size_t n = 0; n < 2; ++n) {
    const double quotient = (8 * (end(h)[n] - end(-h)[n]) - (end(2 * h)[n] - end(-2 * h)[n])) / (12 * h);
    CHECK(s.y1.direction[n] == doctest::Approx(quotient).epsilon(1e-8));
  }
}

TEST_CASE("ode: derivatives of saved values; scalars, vectors and fields that bring their own derivative") {
  const auto decay = [](double, const auto& y) { return y * -1.5; };
  const auto s = ode::solve_tangent(decay, 2.0, 1.0, {0, 1}, ode::dopri5{}, ode::i{.rtol = 1e-10, .atol = 1e-10},
                                    {.save_at = {0.25, 1}});
  CHECK(s.values[0].direction == doctest::Approx(std::exp(-0.375)).epsilon(1e-8));
  CHECK(s.values[1].direction == doctest::Approx(std::exp(-1.5)).epsilon(1e-9));
  const auto list = [](double, const auto& y) {
    auto f = y;
    for (auto& x : f) x = x * x * -0.5;
    return f;
  };
  const auto l = ode::solve_tangent(list, std::vector<double>{1, 2}, std::vector<double>{0, 1}, {0, 1}, ode::rk4{},
                                    ode::fixed_steps{100});
  CHECK(l.y1.direction[0] == 0);
  CHECK(l.y1.direction[1] == doctest::Approx(0.25).epsilon(1e-8));  // y = y0/(1 + y0 t/2)
  struct own {
    ode::tangent<double> jvp(double t, double y, double dy) const { return {y * std::cos(t), dy * std::cos(t)}; }
  };
  CHECK(ode::solve_tangent(own{}, 1.0, 3.0, {0, 2}, ode::rk4{}, ode::fixed_steps{200}).y1.direction ==
        doctest::Approx(3 * std::exp(std::sin(2.0))).epsilon(1e-9));
}

TEST_CASE("ode: the derivatives of dual numbers' functions") {
  using D = ode::dual<double>;
  const double x = 0.37, h = 1e-4;
  const auto check = [&](auto f) {
    const double quotient =
        (8 * (f(D(x + h)).value - f(D(x - h)).value) - (f(D(x + 2 * h)).value - f(D(x - 2 * h)).value)) / (12 * h);
    CHECK(f(D(x, 1.0)).slope == doctest::Approx(quotient).epsilon(1e-10));
  };
  check([](D a) { return sin(a) / cos(a) - a; });
  check([](D a) { return tan(a) * exp(a); });
  check([](D a) { return tanh(a) + atan(a) * 2.0; });
  check([](D a) { return log(a) - sqrt(a) + log1p(a); });
  check([](D a) { return pow(a, 2.5) + pow(a, a) + pow(D(1.3), a); });
  check([](D a) { return abs(a - 1.0) * abs(a); });
  check([](D a) {
    D b = -a;
    b += 1.0, b *= a, b -= a * a, b /= 3.0;
    return +b;
  });
  CHECK(D(1.0, 5.0) == D(1.0, 2.0));
  CHECK(D(1.0) < D(2.0));
  CHECK(static_cast<int>(D(2.75, 1.0)) == 2);
}

namespace {

using D = fathom::reference<double>;

/// dx/dt = tanh(x w) t - 0.3 x
template <class B>
struct small_network {
  using backend_type = B;
  fathom::tensor<B, 2> w;
  void visit(auto&& visitor) { visitor("w", w); }
  template <class B2>
  using rebind = small_network<B2>;
  fathom::tensor<B, 2> operator()(const fathom::ode_time<B>& t, const fathom::tensor<B, 2>& y) const {
    return tanh(matmul(y, w)) * t - y * 0.3;
  }
};

}  // namespace

TEST_CASE("ode: fields of modules: directions of the state and of the weights, against the adjoint") {
  using namespace fathom;
  const D b;
  const small_network<D> field{testing::normal<2>(b, {3, 3}, 1)}, along{testing::normal<2>(b, {3, 3}, 2)};
  const auto start = testing::normal<2>(b, {2, 3}, 3), dy = testing::normal<2>(b, {2, 3}, 4),
             a = testing::normal<2>(b, {2, 3}, 5);
  const auto inner = [](const auto& x, const auto& y) { return item(sum(x * y)); };
  const auto check = [&](const auto& control) {
    auto [s, pullback] = ode::solve_with_gradient(ode::differentiable(field), start, {0, 1}, ode::dopri5{}, control);
    const auto g = pullback(a);
    const auto agrees = [&](const auto& tangents, const auto& moved_tangents, double tolerance) {
      const auto state = ode::solve_tangent(tangents, start, dy, {0, 1}, ode::dopri5{}, control);
      CHECK(inner(state.y1.direction, a) == doctest::Approx(inner(dy, g.y0)).epsilon(tolerance));
      CHECK(to_host(state.y1.value).data == to_host(s.y1).data);
      const auto both = ode::solve_tangent(moved_tangents, start, dy, {0, 1}, ode::dopri5{}, control);
      CHECK(inner(both.y1.direction, a) ==
            doctest::Approx(inner(dy, g.y0) + inner(along.w, g.parameters.w)).epsilon(tolerance));
    };
    agrees(ode::by_dual_numbers(field), ode::by_dual_numbers(field, along), 1e-13);
    agrees(ode::by_differences(field), ode::by_differences(field, along), 1e-9);
  };
  check(ode::fixed_steps{6});
  check(ode::i{.rtol = 1e-5, .atol = 1e-6});
}
