// SPDX-License-Identifier: Apache-2.0
// expect: this method keeps something between steps that ode::checkpointed does not know
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
  const ode::direct policy;
#else
  const ode::checkpointed policy;
#endif
  ode::solve_with_gradient(decay{}, 1.0, {0, 1}, ode::reversible_heun{}, ode::fixed_steps{8}, policy);
}
