// SPDX-License-Identifier: Apache-2.0
// Group 10: the five problems with their derivatives, and the peer's methods by name.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <fathom/ode/ode.hpp>

#include "support/golden_registry.hpp"

namespace fathom::golden {

/// Gradients of several parameters in one list: each is a leaf of its own in the error norm.
struct parted_gradient {
  std::vector<double> values;
  std::vector<std::size_t> from;  ///< where each parameter begins, and the end
};

}  // namespace fathom::golden

template <>
struct fathom::ode::state_traits<fathom::golden::parted_gradient> {
 private:
  using S = fathom::golden::parted_gradient;
  using list = std::vector<double>;
  using inner = state_traits<list>;
  template <std::size_t M>
  static std::array<const list*, M> values(const std::array<const S*, M>& k) {
    std::array<const list*, M> v;
    for (std::size_t m = 0; m < M; ++m) v[m] = &k[m]->values;
    return v;
  }

 public:
  using time_type = double;
  static double time(double t, const S&) { return t; }
  static double epsilon(const S& s) { return inner::epsilon(s.values); }
  template <std::size_t M>
  static void combine(S& out, const S& y, const std::array<double, M>& c, const std::array<const S*, M>& k) {
    inner::combine(out.values, y.values, c, values(k));
    out.from = y.from;
  }
  template <std::size_t M>
  static void scaled_sum(S& out, const std::array<double, M>& c, const std::array<const S*, M>& k) {
    inner::scaled_sum(out.values, c, values(k));
    out.from = k[0]->from;
  }
  template <std::size_t M>
  static leaf_error error_norm(const S& y0, const S& y1, const std::array<double, M>& c,
                               const std::array<const S*, M>& k, const tolerances& tol, const S* = nullptr) {
    leaf_error worst;
    for (std::size_t part = 0; part + 1 < y0.from.size(); ++part) {
      const auto of = [&](const list& x) {
        return list(x.begin() + static_cast<std::ptrdiff_t>(y0.from[part]),
                    x.begin() + static_cast<std::ptrdiff_t>(y0.from[part + 1]));
      };
      std::array<list, M> parts;
      std::array<const list*, M> at;
      for (std::size_t m = 0; m < M; ++m) {
        parts[m] = of(k[m]->values);
        at[m] = &parts[m];
      }
      const auto one = inner::error_norm(of(y0.values), of(y1.values), c, at, tol);
      if (!(one.square <= worst.square)) worst = {one.square, static_cast<int>(part)};
    }
    return worst;
  }
  static bool finite(const S& s) { return inner::finite(s.values); }
  static double dot(const S& a, const S& b) { return inner::dot(a.values, b.values); }
  static S clone(const S& s) { return s; }
  static std::size_t bytes(const S& s) { return inner::bytes(s.values); }
  static std::vector<std::string> leaves(const S&) { return {"parameters"}; }
};

namespace fathom::golden {

/// A problem of group 10: parameters in one list, the field and its vector-Jacobian product.
struct solver_problem {
  using state = std::vector<double>;
  using gradient_type = parted_gradient;
  enum class kind { forced, linear, lotka_volterra, van_der_pol, mlp };
  static constexpr std::array<const char*, 5> names{"forced", "linear", "lotka_volterra", "van_der_pol", "mlp"};

  kind which;
  std::vector<std::string> parts;  ///< names of the parameters
  std::vector<std::size_t> from;   ///< where each begins
  state p, y0, times;

  template <class Run>
  explicit solver_problem(Run& run) {
    const std::string prefix = "10_solvers_";
    std::size_t n = 0;
    while (n < names.size() && run.name() != prefix + names[n]) ++n;
    if (n == names.size()) throw error("group 10: no problem '" + run.name() + "'");
    which = static_cast<kind>(n);
    const std::array<std::vector<std::string>, 5> of{{{"k"}, {"A"}, {"p"}, {"mu"}, {"W1", "b1", "W2", "b2"}}};
    parts = of[n];
    for (const auto& one : parts) {
      from.push_back(p.size());
      const auto values = run.host("param." + one).data;
      p.insert(p.end(), values.begin(), values.end());
    }
    from.push_back(p.size());
    y0 = run.host("in.y0").data;
    times = run.host("in.t").data;
  }

  gradient_type zero_gradient() const { return {state(p.size(), 0.0), from}; }

  state operator()(double t, const state& y) const {
    state unused;
    return evaluate(t, y, nullptr, unused).y;
  }
  ode::field_cotangent<state> vjp(double t, const state& y, const state& a, gradient_type& gradient) const {
    return evaluate(t, y, &a, gradient.values);
  }

 private:
  /// Without `a` the value, with it the products.
  ode::field_cotangent<state> evaluate(double t, const state& y, const state* a, state& g) const {
    const std::size_t n = y.size();
    ode::field_cotangent<state> c{state(n, 0.0), 0};
    switch (which) {
      case kind::forced:
        for (std::size_t i = 0; i < n; ++i) {
          if (a == nullptr) {
            c.y[i] = -p[i] * (y[i] - std::cos(t));
          } else {
            c.y[i] = -p[i] * (*a)[i];
            c.t -= p[i] * std::sin(t) * (*a)[i];
            g[i] -= (y[i] - std::cos(t)) * (*a)[i];
          }
        }
        break;
      case kind::linear:
        for (std::size_t i = 0; i < n; ++i)
          for (std::size_t j = 0; j < n; ++j) {
            if (a == nullptr) {
              c.y[i] += p[i * n + j] * y[j];
            } else {
              c.y[j] += p[i * n + j] * (*a)[i];
              g[i * n + j] += (*a)[i] * y[j];
            }
          }
        break;
      case kind::lotka_volterra:
        if (a == nullptr) {
          c.y = {p[0] * y[0] - p[1] * y[0] * y[1], -p[2] * y[1] + p[3] * y[0] * y[1]};
        } else {
          const double u = (*a)[0], v = (*a)[1];
          c.y = {(p[0] - p[1] * y[1]) * u + p[3] * y[1] * v, -p[1] * y[0] * u + (p[3] * y[0] - p[2]) * v};
          g[0] += y[0] * u, g[1] -= y[0] * y[1] * u, g[2] -= y[1] * v, g[3] += y[0] * y[1] * v;
        }
        break;
      case kind::van_der_pol:
        if (a == nullptr) {
          c.y = {y[1], p[0] * (1 - y[0] * y[0]) * y[1] - y[0]};
        } else {
          const double u = (*a)[0], v = (*a)[1];
          c.y = {(-2 * p[0] * y[0] * y[1] - 1) * v, u + p[0] * (1 - y[0] * y[0]) * v};
          g[0] += (1 - y[0] * y[0]) * y[1] * v;
        }
        break;
      case kind::mlp:
        perceptron(t, y, a, g, c);
        break;
    }
    return c;
  }
  /// W2 tanh(W1 [y, t] + b1) + b2
  void perceptron(double t, const state& y, const state* a, state& g, ode::field_cotangent<state>& c) const {
    const std::size_t n = y.size(), hidden = from[2] - from[1];
    const double *w1 = &p[from[0]], *b1 = &p[from[1]], *w2 = &p[from[2]], *b2 = &p[from[3]];
    for (std::size_t i = 0; i < n; ++i) {
      if (a == nullptr)
        c.y[i] = b2[i];
      else
        g[from[3] + i] += (*a)[i];
    }
    for (std::size_t h = 0; h < hidden; ++h) {
      double sum = b1[h] + w1[h * (n + 1) + n] * t;
      for (std::size_t j = 0; j < n; ++j) sum += w1[h * (n + 1) + j] * y[j];
      const double u = std::tanh(sum);
      double back = 0;
      for (std::size_t i = 0; i < n; ++i) {
        if (a == nullptr) {
          c.y[i] += w2[i * hidden + h] * u;
        } else {
          back += w2[i * hidden + h] * (*a)[i];
          g[from[2] + i * hidden + h] += (*a)[i] * u;
        }
      }
      if (a == nullptr) continue;
      back *= 1 - u * u;
      g[from[1] + h] += back;
      for (std::size_t j = 0; j < n; ++j) {
        c.y[j] += back * w1[h * (n + 1) + j];
        g[from[0] + h * (n + 1) + j] += back * y[j];
      }
      g[from[0] + h * (n + 1) + n] += back * t;
      c.t += back * w1[h * (n + 1) + n];
    }
  }
};

/// One entry of the metadata's list of solves.
struct solver_request {
  std::string method;
  double rtol = 1e-7, atol = 1e-9;
  nlohmann::json options;
  long evaluations = 0, adjoint_evaluations = 0;

  explicit solver_request(const nlohmann::json& entry)
      : method(entry.at("method")),
        rtol(entry.value("rtol", 1e-7)),
        atol(entry.value("atol", 1e-9)),
        options(entry.at("options")),
        evaluations(entry.at("nfe")),
        adjoint_evaluations(entry.value("nfe_adjoint_backward_only", 0L)) {}

  double number(const char* key, double otherwise) const {
    return options.contains(key) ? options.at(key).get<double>() : otherwise;
  }
  double step() const { return number("step_size", 0); }
  ode::i control() const {
    ode::adaptive_limits limits;
    limits.safety = number("safety", 0.9);
    limits.max_factor = number("ifactor", 10);
    limits.min_factor = number("dfactor", 0.2);
    limits.first_step = number("first_step", 0);
    limits.max_step = number("max_step", limits.max_step);
    return ode::torchdiffeq_semantics::control(rtol, atol, limits);
  }
  ode::interpolation between() const {
    return options.value("interp", std::string("linear")) == "cubic" ? ode::interpolation::natural
                                                                     : ode::interpolation::linear;
  }

  /// use(solver) for the explicit methods of fixed step; false for others.
  template <class Use>
  bool with_fixed(const Use& use) const {
    using peer = ode::torchdiffeq_semantics;
    const bool fifth = number("max_order", 12) == 5;
    if (method == "euler") return use(peer::euler{}), true;
    if (method == "midpoint") return use(peer::midpoint{}), true;
    if (method == "heun2") return use(peer::heun2{}), true;
    if (method == "heun3") return use(peer::heun3{}), true;
    if (method == "rk4") return use(peer::rk4{}), true;
    if (method == "explicit_adams" && fifth) return use(peer::explicit_adams<5>{}), true;
    if (method == "explicit_adams") return use(peer::explicit_adams<>{}), true;
    return false;
  }
  template <class Use>
  bool with_implicit(const Use& use) const {
    if (method == "implicit_euler") return use(ode::implicit_euler{}), true;
    if (method == "implicit_midpoint") return use(ode::implicit_midpoint{}), true;
    if (method == "trapezoid") return use(ode::trapezoid{}), true;
    if (method == "radauIIA3") return use(ode::radau_iia3{}), true;
    if (method == "radauIIA5") return use(ode::radau_iia5{}), true;
    if (method == "gl4") return use(ode::gauss_legendre4{}), true;
    if (method == "gl6") return use(ode::gauss_legendre6{}), true;
    if (method == "sdirk2") return use(ode::sdirk2{}), true;
    if (method == "trbdf2") return use(ode::tr_bdf2{}), true;
    return false;
  }
  template <class Use>
  bool with_adaptive(const Use& use) const {
    using peer = ode::torchdiffeq_semantics;
    if (method == "dopri5") return use(peer::dopri5{}), true;
    if (method == "dopri8") return use(peer::dopri8{}), true;
    if (method == "bosh3") return use(peer::bosh3{}), true;
    if (method == "fehlberg2") return use(peer::fehlberg2{}), true;
    if (method == "adaptive_heun") return use(peer::adaptive_heun{}), true;
    if (method == "tsit5") return use(peer::tsit5{}), true;
    return false;
  }
};

/// The largest difference in units of the largest expected value.
inline double relative_difference(const std::vector<double>& got, const std::vector<double>& want, std::size_t at = 0) {
  double error = 0, largest = 0;
  for (std::size_t n = 0; n < want.size(); ++n) {
    error = std::max(error, std::abs(got[at + n] - want[n]));
    largest = std::max(largest, std::abs(want[n]));
  }
  return largest > 0 ? error / largest : error;
}

}  // namespace fathom::golden
