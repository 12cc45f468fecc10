// SPDX-License-Identifier: Apache-2.0
// expect: fathom: ode::reversible needs a reversible method: ode::reversible_heun or ode::coupled<ode::rk4>
#include <fathom/ode/ode.hpp>

namespace ode = fathom::ode;

struct decay {
  using gradient_type = double;
  double zero_gradient() const { return 0; }
  double operator()(double, double y) const { return -y; }
  ode::field_cotangent<double> vjp(double, double, double a, double&) const { return {-a, 0}; }
};

int main() {
#ifdef FATHOM_WITHOUT_MISTAKE
  const ode::coupled<ode::rk4> solver;
#else
  const ode::rk4 solver;
#endif
  ode::solve_with_gradient(decay{}, 1.0, {0, 1}, solver, ode::fixed_steps{8}, ode::reversible{});
}
