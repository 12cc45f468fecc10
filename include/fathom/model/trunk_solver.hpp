// SPDX-License-Identifier: Apache-2.0
// How a trunk is run in training: fixed steps of a method that is picked by name, or a stack of blocks one by one.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include <fathom/continuous/continuous_evoformer.hpp>
#include <fathom/evoformer/evoformer_stack.hpp>
#include <fathom/model/solver_choice.hpp>

namespace fathom {

/// Fixed steps of a method. Written "heun:3".
///
/// `states` says how a gradient goes through them: 0 records every evaluation, memory grows with the steps; n stores n
/// states, one of them the initial one, and takes the steps between them once more. Both are exact.
struct trunk_solver {
  using method_choice = std::variant<ode::euler, ode::midpoint, ode::heun, ode::rk4>;
  static constexpr const char* names[] = {"euler", "midpoint", "heun", "rk4"};
  method_choice method = ode::heun{};
  index_t steps = 3;
  index_t states = 0;

  std::string text() const { return detail::concat(names[method.index()], ":", steps); }
  /// The method as one of those that a fold may use.
  solver_choice choice() const {
    return std::visit([](const auto& m) { return solver_choice(m); }, method);
  }
  /// Evaluations of the field.
  index_t evaluations() const {
    return steps *
           std::visit([](const auto& m) { return static_cast<index_t>(std::remove_cvref_t<decltype(m)>::stages); },
                      method);
  }
};

/// "heun:3" -> {heun, 3}; throws error for anything else than NAME:STEPS.
inline trunk_solver parse_trunk_solver(const std::string& text) {
  trunk_solver solver;
  const auto colon = text.find(':');
  const std::string name = text.substr(0, colon);
  bool known = false;
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    ((name == trunk_solver::names[I] ? void((solver.method.emplace<I>(), known = true)) : void()), ...);
  }
  (std::make_index_sequence<std::variant_size_v<trunk_solver::method_choice>>{});
  const std::string count = colon == std::string::npos ? "" : text.substr(colon + 1);
  const bool number = !count.empty() && count.size() < 6 && count.find_first_not_of("0123456789") == std::string::npos;
  if (!known || !number || std::stol(count) < 1)
    throw error(detail::concat("trunk solver '", text, "': expected NAME:STEPS with one of euler, midpoint, heun, rk4 ",
                               "and at least one step, such as heun:3"));
  solver.steps = std::stol(count);
  return solver;
}

/// "heun:2,heun:3" -> both.
inline std::vector<trunk_solver> parse_trunk_solvers(const std::string& text) {
  std::vector<trunk_solver> solvers;
  for (std::size_t from = 0; from <= text.size();) {
    const auto to = std::min(text.find(',', from), text.size());
    solvers.push_back(parse_trunk_solver(text.substr(from, to - from)));
    from = to + 1;
  }
  return solvers;
}

struct trunk_field_options {
  dropout_key dropout;
};

/// A trunk's field with the dropout of one solve, as a tree of its own: field(t, y, mask).
template <backend B, evoformer_dims D>
struct trunk_field {
  using backend_type = B;
  evoformer_field<B, D> field;
  trunk_field_options options;

  trunk_field() = default;
  explicit trunk_field(const B& b) : field(b) {}
  trunk_field(const evoformer_field<B, D>& f, const dropout_key& dropout) : field(f), options{dropout} {}

  void visit(auto&& v) { v("field", field); }
  template <class B2>
  using rebind = trunk_field<B2, D>;

  msa_pair<B> operator()(const ode_time<B>& t, const msa_pair<B>& y, const masks<B>& mask) const {
    return field(t, y, mask, options.dropout);
  }
};

/// (m, z) at the end of the depth. Dropout masks are the same at every evaluation, so that the field stays a function.
template <backend B, evoformer_dims D>
msa_pair<B> run_trunk(const continuous_evoformer<B, D>& trunk, const msa_pair<B>& y0, const masks<B>& mask,
                      const trunk_solver& solver, const dropout_key& dropout = {}) {
  const auto with_masks = ode::with_context(trunk.field, mask, dropout);
  const ode::interval span{0, trunk.options.depth};
  const ode::fixed_steps steps{static_cast<long>(solver.steps)};
  if constexpr (plain_backend<B>) {
    return fathom::solve(with_masks, y0, span, solver.choice(), steps).y1;
  } else {
    if (solver.states <= 0)
      return std::visit([&](const auto& method) { return ode::solve(with_masks, y0, span, method, steps).y1; },
                        solver.method);
    const trunk_field<B, D> field(trunk.field, dropout);
    const ode::checkpointed policy{.slots = static_cast<std::int64_t>(solver.states)};
    return std::visit(
        [&](const auto& method) { return ode::solve_in_graph(field, y0, span, method, steps, policy, {}, mask).y1; },
        solver.method);
  }
}
/// The discrete control: its blocks one after the other; the solver plays no part.
template <backend B, evoformer_dims D>
msa_pair<B> run_trunk(const evoformer_stack<B, D>& trunk, const msa_pair<B>& y0, const masks<B>& mask,
                      const trunk_solver&, const dropout_key& dropout = {}) {
  auto out = trunk(y0, mask, dropout);
  return {std::move(out.m), std::move(out.z)};
}

/// s [i, c_s] = linear(m[0])
template <class Trunk, backend B>
tensor<B, 2> trunk_single(const Trunk& trunk, const msa_pair<B>& y) {
  return trunk.linear(select(y.m, 0, 0));
}

}  // namespace fathom
