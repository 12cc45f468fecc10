// SPDX-License-Identifier: Apache-2.0
// expect: fathom: implicit methods have gradients by ode::backsolve only
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
  const ode::backsolve policy;
#else
  const ode::checkpointed policy;
#endif
  ode::solve_with_gradient(decay{}, 1.0, {0, 1}, ode::trapezoid{}, ode::fixed_steps{4}, policy);
}
