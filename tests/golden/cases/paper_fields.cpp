// SPDX-License-Identifier: Apache-2.0
// Group 09: the vector fields of "Protein Folding with Neural ODEs", values and gradients at three times; the trained one
// with its released weights.
#include <fathom/continuous/paper_field.hpp>
#include <fathom/continuous/paper_field_2.hpp>
#include <fathom/continuous/paper_field_fast.hpp>

#include "golden/cases/paper_cases.hpp"

namespace {

using namespace fathom;
using golden::covers;

/// out.tK.dm, out.tK.dz, and the gradients tK.grad.* of sum(tK.ct.* out.tK.*).
template <class Field, class Run>
void field_case(Run& run) {
  using B = typename Run::backend_type;
  const auto field = run.load(Field(run.backend()));
  const auto m = run.template in<3>("m"), z = run.template in<3>("z");
  const auto times = run.host("in.t");
  for (std::size_t k = 0; k < times.data.size(); ++k) {
    const std::string tag = "t" + std::to_string(k);
    const auto at = [t = times.data[k]](const auto& f, const auto& m0, const auto& z0) {
      using A = typename std::remove_cvref_t<decltype(m0)>::backend_type;
      const auto rate = f(full<0>(m0.backend(), {}, static_cast<scalar_of<A>>(t)), msa_pair<A>{m0, z0});
      return std::tuple(rate.m, rate.z);
    };
    const auto [dm, dz] = at(field, m, z);
    run.output(tag + ".dm", dm);
    run.output(tag + ".dz", dz);
    const auto [value, pullback] = vjp(run.backend(), at, field, m, z);
    run.output(tag + ".dm", std::get<0>(value), " under autodiff");
    run.output(tag + ".dz", std::get<1>(value), " under autodiff");
    const auto gradients = pullback(std::tuple(from_host<3>(run.backend(), run.host(tag + ".ct.dm")),
                                               from_host<3>(run.backend(), run.host(tag + ".ct.dz"))));
    golden::compare_gradients<B>(run, tag + ".grad.", gradients);
  }
}

const covers full_field("09_ode_func", [](auto& run) {
  using B = typename std::remove_cvref_t<decltype(run)>::backend_type;
  field_case<evoformer_ode_func<B, golden::paper_test_dims>>(run);
});
const covers field_2("09_ode_func2", [](auto& run) {
  using B = typename std::remove_cvref_t<decltype(run)>::backend_type;
  field_case<evoformer_ode_func2<B, golden::paper_test_dims_2>>(run);
});
const covers field_fast("09_ode_func_fast", [](auto& run) {
  using B = typename std::remove_cvref_t<decltype(run)>::backend_type;
  field_case<evoformer_ode_func_fast<B, golden::paper_test_dims>>(run);
});

/// The trained field. Its references were computed in float64, or in float32: those agree to 2e-5 of the largest value.
template <class Run>
void trained_case(Run& run, bool computed_in_float) {
  const auto field = golden::trained_field(run.backend());
  const msa_pair<typename Run::backend_type> y{run.template in<3>("m"), run.template in<3>("z")};
  const auto times = run.host("in.t");
  run.limit_float(2e-5, 1e-4);
  for (std::size_t k = 0; k < times.data.size(); ++k) {
    const std::string tag = "t" + std::to_string(k);
    const auto rate = field(full<0>(run.backend(), {}, static_cast<scalar_of<typename Run::backend_type>>(times.data[k])), y);
    const auto check = [&](const std::string& key, const auto& got) {
      run.limit(computed_in_float ? golden::tolerance{0, 2e-5 * run.largest("out." + key)} : golden::tolerance{});
      run.output(key, got);
    };
    check(tag + ".dm", rate.m);
    check(tag + ".dz", rate.z);
  }
}

const covers trained_double("09_paper_field_f64", [](auto& run) { trained_case(run, false); });
const covers trained_float("09_paper_field_f32", [](auto& run) { trained_case(run, true); });

}  // namespace
