// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <vector>

#include <fathom/ode/explicit_rk.hpp>
#include <fathom/ode/tableaus_implicit.hpp>

namespace {

/// A rooted tree as the sorted list of its children's numbers in `trees`; order and density as in Hairer, Norsett,
/// Wanner I, II.2.
struct rooted_tree {
  std::vector<std::size_t> children;
  int order = 1;
  double density = 1;
};

std::vector<rooted_tree> rooted_trees(int most) {
  std::vector<rooted_tree> trees{{}};
  for (int order = 2; order <= most; ++order) {
    const std::size_t known = trees.size();
    std::vector<std::size_t> chosen;
    // Children in non-decreasing numbers, so that every tree comes once.
    const auto extend = [&](auto&& self, std::size_t from, int left) -> void {
      if (left == 0) {
        rooted_tree t;
        t.children = chosen;
        for (const auto child : chosen) {
          t.order += trees[child].order;
          t.density *= trees[child].density;
        }
        t.density *= t.order;
        trees.push_back(t);
        return;
      }
      for (std::size_t child = from; child < known; ++child) {
        if (trees[child].order > left) continue;
        chosen.push_back(child);
        self(self, child, left - trees[child].order);
        chosen.pop_back();
      }
    };
    extend(extend, 0, order - 1);
  }
  return trees;
}

/// Largest |sum_i w_i Phi_i(tree) - theta^order / density| over all trees up to `order`.
template <std::size_t S>
double residual(const fathom::ode::tableau_matrix<S>& a, const std::array<double, S>& w, int order, double theta = 1) {
  const auto trees = rooted_trees(order);
  std::vector<std::array<double, S>> derivative(trees.size());
  double worst = 0;
  for (std::size_t n = 0; n < trees.size(); ++n) {
    double sum = 0;
    for (std::size_t s = 0; s < S; ++s) {
      double product = 1;
      for (const auto child : trees[n].children) {
        double inner = 0;
        for (std::size_t j = 0; j < S; ++j) inner += a[s][j] * derivative[child][j];
        product *= inner;
      }
      derivative[n][s] = product;
      sum += w[s] * product;
    }
    worst = std::max(worst, std::abs(sum - std::pow(theta, trees[n].order) / trees[n].density));
  }
  return worst;
}

/// Rounding of the coefficients shows multiplied by the largest of them.
template <class T>
double largest_coefficient() {
  double largest = 1;
  for (const auto& row : T::a)
    for (const double entry : row) largest = std::max(largest, std::abs(entry));
  return largest;
}

template <class T>
void check_tableau(double tolerance) {
  tolerance *= largest_coefficient<T>();
  INFO(T::name);
  CHECK(fathom::ode::detail::row_sum_residual(T::a, T::c) <= tolerance);
  CHECK(residual(T::a, T::b, T::order) <= tolerance);
  CHECK(residual(T::a, T::b, T::order + 1) > 1e-7);
  if constexpr (T::error_order > 0) {
    std::array<double, T::stages> embedded;
    for (std::size_t s = 0; s < T::stages; ++s) embedded[s] = T::b[s] - T::e[s];
    std::array<double, T::stages> other;
    for (std::size_t s = 0; s < T::stages; ++s) other[s] = T::b[s] + T::e[s];
    // The sign of an error estimate carries no meaning.
    const int p = T::order - 1;
    const double best = std::min(residual(T::a, embedded, p), residual(T::a, other, p));
    CHECK(best <= tolerance);
  }
  if constexpr (T::fsal) CHECK(T::a[T::stages - 1] == T::b);
  if constexpr (T::has_mid) CHECK(residual(T::a, T::mid, 4, 0.5) <= 10 * tolerance);
}

}  // namespace

TEST_CASE("ode: rooted trees are as many as the order conditions") {
  const auto trees = rooted_trees(8);
  std::map<int, int> count;
  for (const auto& t : trees) ++count[t.order];
  CHECK(count[5] == 9);
  CHECK(count[6] == 20);
  CHECK(count[8] == 115);
}

TEST_CASE("ode: order conditions hold for every explicit tableau") {
  using namespace fathom::ode::tableau;
  const double tiny = 10 * 2.220446049250313e-16;
  check_tableau<euler>(tiny);
  check_tableau<midpoint>(tiny);
  check_tableau<heun2>(tiny);
  check_tableau<ralston>(tiny);
  check_tableau<heun3>(tiny);
  check_tableau<ssp3>(tiny);
  check_tableau<rk4>(tiny);
  check_tableau<rk4_38>(tiny);
  check_tableau<adaptive_heun>(tiny);
  check_tableau<fehlberg2>(tiny);
  check_tableau<bosh3>(tiny);
  check_tableau<dopri5>(tiny);
  check_tableau<dopri5_shampine>(tiny);
  check_tableau<tsit5>(tiny);
  // Published as fractions of nine or ten digits that only approximate the true coefficients.
  check_tableau<dopri8>(10 * tiny);
}

TEST_CASE("ode: order conditions hold for every implicit tableau") {
  using namespace fathom::ode::tableau;
  const auto check = [](auto tableau) {
    using T = decltype(tableau);
    INFO(T::name);
    CHECK(fathom::ode::detail::row_sum_residual(T::a, T::c) <= 2e-15);
    CHECK(residual(T::a, T::b, T::order) <= 2e-15);
    CHECK(residual(T::a, T::b, T::order + 1) > 1e-7);
  };
  check(implicit_euler{});
  check(implicit_midpoint{});
  check(trapezoid{});
  check(gauss_legendre4{});
  check(gauss_legendre6{});
  check(radau_iia3{});
  check(radau_iia5{});
  check(sdirk2{});
  check(tr_bdf2{});
  check(kvaerno3{});
  std::array<double, 4> embedded;
  for (std::size_t n = 0; n < 4; ++n) embedded[n] = kvaerno3::b[n] - kvaerno3::e[n];
  CHECK(residual(kvaerno3::a, embedded, 2) <= 2e-15);
}

TEST_CASE("ode: the continuous extension of dopri8 has order five inside the step") {
  using fathom::ode::tableau::dopri8;
  double worst = 0, next = 0;
  for (int n = 1; n < 10; ++n) {
    const double theta = n / 10.0;
    worst = std::max(worst, residual(dopri8::a, dopri8::interior(theta), 5, theta));
    next = std::max(next, residual(dopri8::a, dopri8::interior(theta), 6, theta));
  }
  CHECK(worst < 1e-12);
  CHECK(next > 1e-7);
}
