// SPDX-License-Identifier: Apache-2.0
// A vector field of one's own: defined in about twenty lines, integrated, differentiated, on two backends.
#include <cmath>
#include <iostream>

#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/evoformer/evoformer.hpp>
#include <fathom/ode/ode.hpp>
#include <fathom/op/random.hpp>

using namespace fathom;

// dm/dt = 0, dz/dt = sigmoid(g(LN z)) v(LN z) + outer product mean of m
template <backend B, evoformer_dims D>
struct gated_pair_field {
  using backend_type = B;
  layer_norm<B, D::c_z> layer_norm_z;
  linear<B, D::c_z, D::c_z> linear_g, linear_v;
  outer_product_mean<B, D::c_m, D::c_z, D::c_hidden_opm> opm;

  explicit gated_pair_field(const B& b) : layer_norm_z(b), linear_g(b), linear_v(b), opm(b) {}
  void visit(auto&& v) { v("layer_norm_z", layer_norm_z); v("linear_g", linear_g); v("linear_v", linear_v); v("opm", opm); }
  template <class B2>
  using rebind = gated_pair_field<B2, D>;

  msa_pair<B> operator()(const ode_time<B>&, const msa_pair<B>& y, const masks<B>& mask) const {
    const auto z = layer_norm_z(y.z);
    return {.m = zeros_like(y.m), .z = gate(linear_g(z), linear_v(z)) + opm(y.m, mask.msa)};
  }
};

struct my_dims : small {
  static constexpr index_t c_m = 16, c_z = 12, c_hidden_opm = 4;
};

// The loss of a solve with 8 Heun steps, and its gradient with respect to every parameter of the field.
template <class B>
std::pair<double, double> loss_and_gradient_norm(const B& b) {
  const index_t sequences = 5, residues = 9;
  const auto field = initialise(gated_pair_field<B, my_dims>(b), {.seed = 1, .final_scale = 0.5});
  const msa_pair<B> y0{random_normal<3>(b, {sequences, residues, my_dims::c_m}, 1),
                       random_normal<3>(b, {residues, residues, my_dims::c_z}, 2)};

  const auto [loss, gradient] = value_and_gradient(
      [&](const auto& f) {
        using A = typename std::remove_cvref_t<decltype(f)>::backend_type;
        const A a(b);
        const msa_pair<A> start{constant(a, y0.m), constant(a, y0.z)};
        const auto mask = full_masks(a, sequences, residues);
        return mean_square(ode::solve(ode::with_context(f, mask), start, {0, 1}, ode::heun{}, ode::fixed_steps{8}).y1.z);
      },
      field);

  double square = 0;
  tree::for_each(gradient, [&](const auto& leaf) { square += item(sum(fathom::square(leaf))); });
  return {loss, std::sqrt(square)};
}

int main() {
  const auto exact = loss_and_gradient_norm(reference<double>{});
  const auto fast = loss_and_gradient_norm(cpu<float>{});
  std::cout << "reference<double>  loss " << exact.first << "  |gradient| " << exact.second << '\n'
            << "cpu<float>         loss " << fast.first << "  |gradient| " << fast.second << '\n';
  const bool agree = std::abs(exact.first - fast.first) < 1e-4 * std::abs(exact.first) &&
                     std::abs(exact.second - fast.second) < 1e-3 * exact.second;
  std::cout << (agree ? "the two backends agree\n" : "the two backends DISAGREE\n");
  return agree ? 0 : 1;
}
