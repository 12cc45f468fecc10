// SPDX-License-Identifier: Apache-2.0
// Group 10: gradients through torchdiffeq's solvers: backpropagation against the discrete adjoint, its odeint_adjoint
// against the continuous one.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <fathom/io/safetensors.hpp>
#include <fathom/ode/backsolve.hpp>
#include <fathom/ode/torchdiffeq.hpp>

namespace {

namespace ode = fathom::ode;
using peer = ode::torchdiffeq_semantics;
using state = std::vector<double>;

std::filesystem::path directory() {
  if (const char* given = std::getenv("FATHOM_GOLDENS")) return given;
  const std::string shared = FATHOM_SHARED_DIR;
  return shared.empty() ? std::filesystem::path() : std::filesystem::path(shared) / "goldens";
}

/// y0' = y1, y1' = mu (1 - y0^2) y1 - y0.
struct van_der_pol {
  using gradient_type = state;
  double mu;
  state zero_gradient() const { return {0}; }
  state operator()(double, const state& y) const { return {y[1], mu * (1 - y[0] * y[0]) * y[1] - y[0]}; }
  ode::field_cotangent<state> vjp(double, const state& y, const state& a, state& gradient) const {
    gradient[0] += (1 - y[0] * y[0]) * y[1] * a[1];
    return {{(-2 * mu * y[0] * y[1] - 1) * a[1], a[0] + mu * (1 - y[0] * y[0]) * a[1]}, 0};
  }
};

double worst(const state& got, const state& want) {
  double error = 0, largest = 0;
  for (std::size_t n = 0; n < want.size(); ++n) {
    error = std::max(error, std::abs(got[n] - want[n]));
    largest = std::max(largest, std::abs(want[n]));
  }
  return error / largest;
}

struct reference_case {
  fathom::io::safetensors file;
  van_der_pol field;
  state times, y0;
  std::vector<state> cotangents;

  explicit reference_case(const std::filesystem::path& path)
      : file(path),
        field{file.get<double>("param.mu").data[0]},
        times(file.get<double>("in.t").data),
        y0(file.get<double>("in.y0").data) {
    const auto ct = file.get<double>("ct.y").data;
    for (std::size_t n = 0; n < times.size(); ++n) cotangents.push_back({ct[2 * n], ct[2 * n + 1]});
  }
  double y0_error(const std::string& key, const state& got) const {
    return worst(got, file.get<double>(key + ".y0").data);
  }
  double mu_error(const std::string& key, const state& got) const {
    return worst(got, file.get<double>(key + ".mu").data);
  }
};

/// The discrete adjoint on the peer's grid, whose points hold every output time here.
template <class Solver>
void check_backpropagation(const reference_case& c, const std::string& name, double step) {
  INFO(name);
  auto [s, pullback] = ode::solve_with_gradient(c.field, c.y0, {c.times.front(), c.times.back()}, Solver{},
                                                ode::fixed_grid{peer::grid(c.times, step)},
                                                ode::checkpointed{.slots = 3}, {.save_at = c.times});
  const auto g = pullback(state{0, 0}, c.cotangents);
  CHECK(c.y0_error("grad." + name + ".backprop", g.y0) < 1e-11);
  CHECK(c.mu_error("grad." + name + ".backprop", g.parameters) < 1e-11);
}

}  // namespace

TEST_CASE("golden: group 10, backpropagation through steps on the output times") {
  const auto path = directory() / "10_solvers_van_der_pol.safetensors";
  if (!std::filesystem::exists(path)) {
    MESSAGE("skipped: no " << path.string());
    return;
  }
  const reference_case c(path);
  check_backpropagation<peer::rk4>(c, "rk4_on_output_times", 0);
}

TEST_CASE("golden: group 10, the continuous adjoint by adaptive methods") {
  const auto path = directory() / "10_solvers_van_der_pol.safetensors";
  if (!std::filesystem::exists(path)) {
    MESSAGE("skipped: no " << path.string());
    return;
  }
  const reference_case c(path);
  const auto check = [&](const std::string& name, auto solver, double rtol, double atol, double tolerance) {
    INFO(name);
    const auto control = peer::control(rtol, atol);
    const auto s = peer::solve(c.field, c.y0, c.times, solver, control);
    const auto g = ode::solve_backwards(c.field, c.times, s.values, c.cotangents, solver, control, {.overshoot = true});
    CHECK(c.y0_error("grad." + name + ".adjoint", g.y0) < tolerance);
    CHECK(c.mu_error("grad." + name + ".adjoint", g.parameters) < tolerance);
    const auto nfe =
        nlohmann::json::parse(c.file.metadata().at("solves")).at(name).at("nfe_adjoint_backward_only").get<long>();
    CHECK(g.stats.vjp_evaluations == nfe);
  };
  check("dopri5", peer::dopri5{}, 1e-7, 1e-9, 1e-9);
  check("dopri5_loose", peer::dopri5{}, 1e-3, 1e-4, 1e-9);
  check("bosh3", peer::bosh3{}, 1e-7, 1e-9, 1e-9);
  check("tsit5", peer::tsit5{}, 1e-7, 1e-9, 1e-9);
}

TEST_CASE("golden: group 10, gradients with respect to the times, with and without the seminorm") {
  const auto path = directory() / "10_adjoint_times.safetensors";
  if (!std::filesystem::exists(path)) {
    MESSAGE("skipped: no " << path.string());
    return;
  }
  const reference_case c(path);
  const auto control = peer::control(1e-8, 1e-10);
  const auto s = peer::solve(c.field, c.y0, c.times, peer::dopri5{}, control);
  long full = 0;
  for (const std::string name : {"default", "seminorm"}) {
    INFO(name);
    const auto g = ode::solve_backwards(c.field, c.times, s.values, c.cotangents, peer::dopri5{}, control,
                                        {.seminorm = name == "seminorm", .times = true, .overshoot = true});
    CHECK(c.y0_error("grad." + name, g.y0) < 1e-9);
    CHECK(c.mu_error("grad." + name, g.parameters) < 1e-9);
    CHECK(worst(g.times, c.file.get<double>("grad." + name + ".t").data) < 1e-9);
    if (name == "default")
      full = g.stats.vjp_evaluations;
    else
      CHECK(g.stats.vjp_evaluations < full);
    CHECK(g.reconstruction_error < 1e-5);
  }
}

TEST_CASE("golden: the continuous adjoint shows by its reconstruction error where it cannot be trusted") {
  const van_der_pol damped{-20};
  const state times{0, 2};
  const ode::i control{.rtol = 1e-6, .atol = 1e-8};
  ode::options<state> option{.save_at = times};
  const auto s = ode::solve(damped, state{0.3, 0.1}, {0, 2}, ode::dopri5{}, control, option);
  ode::adaptive_limits limits;
  limits.max_step = 0.05;
  const auto g = ode::solve_backwards(damped, times, s.values, {{0, 0}, {1, 1}}, ode::dopri5{},
                                      ode::i{.rtol = 1e-6, .atol = 1e-8, .limits = limits});
  CHECK(g.reconstruction_error > 1e-3);
}
