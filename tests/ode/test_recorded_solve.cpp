// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <fathom/autodiff/gradient.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/core/memory.hpp>
#include <fathom/ode/ode.hpp>
#include <fathom/op/reduction.hpp>

namespace ode = fathom::ode;
using namespace fathom;

namespace {

template <class B>
struct two_leaves {
  using backend_type = B;
  tensor<B, 2> m;
  tensor<B, 1> z;
  void visit(auto&& v) {
    v("m", m);
    v("z", z);
  }
  template <class B2>
  using rebind = two_leaves<B2>;
};

template <class B>
struct mask_tree {
  using backend_type = B;
  tensor<B, 1> keep;
  void visit(auto&& v) { v("keep", keep); }
  template <class B2>
  using rebind = mask_tree<B2>;
};

/// dm/dt = tanh(w m) t - 0.2 m z, dz/dt = mask v - z / 2
template <class B>
struct coupled_field {
  using backend_type = B;
  tensor<B, 2> w;
  tensor<B, 1> v;
  void visit(auto&& visitor) {
    visitor("w", w);
    visitor("v", v);
  }
  template <class B2>
  using rebind = coupled_field<B2>;

  two_leaves<B> operator()(const ode_time<B>& t, const two_leaves<B>& y, const mask_tree<B>& mask) const {
    return {tanh(w * y.m) * t - y.m * y.z * 0.2, mask.keep * v - y.z * 0.5};
  }
};

template <class B, int R>
tensor<B, R> ramp(const B& b, extents<R> e, double scale) {
  host_tensor<scalar_of<B>> host(std::vector<index_t>(e.begin(), e.end()));
  for (std::size_t n = 0; n < host.data.size(); ++n)
    host.data[n] = static_cast<scalar_of<B>>(scale * std::sin(1.7 * static_cast<double>(n) + 0.3));
  return from_host<R>(b, host);
}

template <class B>
struct setting {
  B b;
  two_leaves<B> y0{ramp<B, 2>(b, {3, 4}, 0.8), ramp<B, 1>(b, {4}, 0.5)};
  coupled_field<B> field{ramp<B, 2>(b, {3, 4}, 1.1), ramp<B, 1>(b, {4}, 0.9)};
  mask_tree<B> mask{from_host<1>(b, host_tensor<scalar_of<B>>({4}, {1, 1, 0, 1}))};
};

/// Field and start together, so that one gradient has both.
template <class B>
struct both {
  using backend_type = B;
  coupled_field<B> field;
  two_leaves<B> y0;
  void visit(auto&& v) {
    v("field", field);
    v("y0", y0);
  }
  template <class B2>
  using rebind = both<B2>;
};

template <class X>
std::vector<double> numbers(const X& x) {
  std::vector<double> all;
  tree::for_each(x, [&](const auto& leaf) {
    for (const auto value : to_host(leaf).data) all.push_back(static_cast<double>(value));
  });
  return all;
}

}  // namespace

TEST_CASE_TEMPLATE("ode: the checkpointed gradient through tensors equals the recorded one", B, reference<double>,
                   cpu<float>) {
  const setting<B> s;
  const double tolerance = sizeof(scalar_of<B>) == 8 ? 1e-13 : 5e-6;
  const auto mask_of = [&](const auto& field) {
    using backend = tree::backend_of_t<std::remove_cvref_t<decltype(field)>>;
    if constexpr (decorated_backend<backend>)
      return ode::detail::constant_tree(s.mask, s.b);
    else
      return s.mask;
  };
  const auto measure = [](const auto& y) { return mean_square(y.m) + mean(y.z); };
  const auto [value, recorded] = value_and_gradient(
      [&](const auto& x) {
        const auto mask = mask_of(x.field);
        const auto result = ode::solve(ode::with_context(x.field, mask), x.y0, {0, 1.5}, ode::rk4{},
                                       ode::fixed_steps{12}, {.save_at = {0.5, 1.0}});
        return measure(result.y1) + measure(result.values[0]) + measure(result.values[1]);
      },
      both<B>{s.field, s.y0});
  for (const std::int64_t slots : {1, 3, 12}) {
    const auto [again, gradient] = value_and_gradient(
        [&](const auto& x) {
          const auto result = ode::solve_checkpointed(x.field, x.y0, {0, 1.5}, ode::rk4{}, ode::fixed_steps{12},
                                                      ode::checkpointed{.slots = slots}, {0.5, 1.0}, mask_of(x.field));
          return measure(result.y1) + measure(result.values[0]) + measure(result.values[1]);
        },
        both<B>{s.field, s.y0});
    CHECK(again == value);
    const auto want = numbers(recorded), got = numbers(gradient);
    double largest = 0, worst = 0;
    for (std::size_t n = 0; n < want.size(); ++n) {
      largest = std::max(largest, std::abs(want[n]));
      worst = std::max(worst, std::abs(want[n] - got[n]));
    }
    CHECK(largest > 0.01);
    CHECK(worst <= tolerance * largest);
  }
  CHECK(live_gradient_nodes() == 0);
}

TEST_CASE("ode: gradients with respect to the ends of the interval, through tensors") {
  using B = reference<double>;
  const setting<B> s;
  const auto field = ode::differentiable(s.field, s.mask);
  const auto run = [&](double t0, double t1) {
    return ode::solve_with_gradient(field, s.y0, {t0, t1}, ode::heun3{}, ode::fixed_steps{8},
                                    ode::checkpointed{.times = true});
  };
  const auto [result, pullback] = run(0.2, 1.1);
  const auto gradient = pullback(s.y0);
  const auto value = [&](double t0, double t1) {
    return ode::state_traits<two_leaves<B>>::dot(s.y0, run(t0, t1).first.y1);
  };
  const double h = 1e-4;
  CHECK(gradient.t0 == doctest::Approx((value(0.2 + h, 1.1) - value(0.2 - h, 1.1)) / (2 * h)).epsilon(1e-7));
  CHECK(gradient.t1 == doctest::Approx((value(0.2, 1.1 + h) - value(0.2, 1.1 - h)) / (2 * h)).epsilon(1e-7));
}

TEST_CASE("ode: a batch of module states with masks of their own: the gradients of its samples") {
  using B = reference<double>;
  const setting<B> s;
  const auto with_mask = [&](std::vector<double> keep) {
    return mask_tree<B>{from_host<1>(s.b, host_tensor<double>({4}, std::move(keep)))};
  };
  const std::vector<mask_tree<B>> masks{s.mask, with_mask({0, 1, 1, 1})};
  const std::vector<two_leaves<B>> states{s.y0, {ramp<B, 2>(s.b, {3, 4}, -0.3), ramp<B, 1>(s.b, {4}, 0.2)}};
  const ode::fixed_steps control{8};
  const ode::checkpointed policy{.times = true};
  const auto field = ode::differentiable_batch(s.field, masks);
  const auto [all, pullback] = ode::solve_batch_with_gradient(field, states, {0, 1}, ode::heun3{}, control, policy);
  const auto g = pullback(states);
  const auto forward = ode::solve_batch(field, states, {0, 1}, ode::heun3{}, control);
  auto sum = numbers(s.field);
  std::fill(sum.begin(), sum.end(), 0.0);
  for (std::size_t n = 0; n < 2; ++n) {
    const auto [alone, one] = ode::solve_with_gradient(ode::differentiable(s.field, masks[n]), states[n], {0, 1},
                                                       ode::heun3{}, control, policy);
    const auto expected = one(states[n]);
    CHECK(numbers(all.samples[n].y1) == numbers(alone.y1));
    CHECK(numbers(forward.samples[n].y1) == numbers(alone.y1));
    CHECK(numbers(g.y0[n]) == numbers(expected.y0));
    const auto parameters = numbers(expected.parameters);
    for (std::size_t k = 0; k < sum.size(); ++k) sum[k] += parameters[k];
  }
  CHECK(numbers(g.parameters) == sum);
}

TEST_CASE("ode: memory of the checkpointed gradient does not grow with the number of steps") {
  using B = reference<float>;  // keeps no storage for later
  const B b;
  const setting<B> s{b,
                     {ramp<B, 2>(b, {16, 32}, 0.8), ramp<B, 1>(b, {32}, 0.5)},
                     {ramp<B, 2>(b, {16, 32}, 1.1), ramp<B, 1>(b, {32}, 0.9)},
                     {full<1>(b, {32}, 1.0f)}};
  const auto peak = [&](long n, bool record) {
    memory_counter::reset_peak();
    const auto before = memory_counter::current();
    value_and_gradient(
        [&](const auto& x) {
          const auto mask = ode::detail::constant_tree(s.mask, s.b);
          if (record)
            return mean_square(
                ode::solve(ode::with_context(x.field, mask), x.y0, {0, 1}, ode::rk4{}, ode::fixed_steps{n}).y1.m);
          return mean_square(ode::solve_checkpointed(x.field, x.y0, {0, 1}, ode::rk4{}, ode::fixed_steps{n},
                                                     ode::checkpointed{.slots = 8}, {}, mask)
                                 .y1.m);
        },
        both<B>{s.field, s.y0});
    return static_cast<double>(memory_counter::peak() - before);
  };
  CHECK(peak(200, false) / peak(10, false) <= 1.05);
  CHECK(peak(100, true) / peak(10, true) > 5);
}
