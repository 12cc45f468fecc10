// SPDX-License-Identifier: Apache-2.0
// Group 02: the sub-layers of the Evoformer. They return updates, without the residual.
#include <fathom/evoformer/msa_column_attention.hpp>
#include <fathom/evoformer/msa_column_global_attention.hpp>
#include <fathom/evoformer/msa_row_attention.hpp>
#include <fathom/evoformer/outer_product_mean.hpp>
#include <fathom/evoformer/transitions.hpp>
#include <fathom/evoformer/triangle_attention.hpp>
#include <fathom/evoformer/triangle_multiplication.hpp>

#include "support/golden_dims.hpp"
#include "support/golden_masks.hpp"
#include "support/golden_registry.hpp"

namespace golden_modules {
namespace {

using namespace fathom;
using golden::covers;
using golden::dims;
using golden::like;

template <class Run>
using backend_t = typename std::remove_cvref_t<Run>::backend_type;

/// A module of one representation x ("m" or "z") and its mask.
template <class Module, class Run>
void masked_update(Run& run, const char* x_name) {
  const auto mask = run.template in<2>("mask");
  run.differentiable(
      std::array{x_name}, run.load(Module(run.backend())),
      [&](const auto& module, const auto& x) { return std::tuple(module(x, like(x, mask))); },
      run.template input<3>(x_name));
}

const covers row_attention("02_msa_row_attention_pair_bias", [](auto& run) {
  using B = backend_t<decltype(run)>;
  using module_t = msa_row_attention<B, dims::c_m, dims::c_z, dims::c_hidden_msa_att, dims::no_heads_msa>;
  const auto mask = run.template in<2>("mask");
  run.exclude_fully_masked("m", golden::rows_with_data(run.host("in.mask"), 1));
  run.differentiable(
      std::array{"m"}, run.load(module_t(run.backend())),
      [&](const auto& module, const auto& m, const auto& z) { return std::tuple(module(m, z, like(m, mask))); },
      run.template input<3>("m"), run.template input<3>("z"));
});

const covers row_attention_batched("02_msa_row_attention_batched", [](auto& run) {
  using B = backend_t<decltype(run)>;
  using module_t = msa_row_attention<B, dims::c_m, dims::c_z, dims::c_hidden_msa_att, dims::no_heads_msa>;
  const auto mask = run.template in<3>("mask");
  run.exclude_fully_masked("m", golden::rows_with_data(run.host("in.mask"), 2));
  run.differentiable(
      std::array{"m"}, run.load(module_t(run.backend())),
      [&](const auto& module, const auto& m, const auto& z) { return std::tuple(module(m, z, like(m, mask))); },
      run.template input<4>("m"), run.template input<4>("z"));
});

const covers column_attention("02_msa_column_attention", [](auto& run) {
  using B = backend_t<decltype(run)>;
  run.exclude_fully_masked("m", golden::rows_with_data(run.host("in.mask"), 0));
  masked_update<msa_column_attention<B, dims::c_m, dims::c_hidden_msa_att, dims::no_heads_msa>>(run, "m");
});

const covers column_global_attention("02_msa_column_global_attention", [](auto& run) {
  using B = backend_t<decltype(run)>;
  run.exclude_fully_masked("m", golden::rows_with_data(run.host("in.mask"), 0));
  masked_update<msa_column_global_attention<B, dims::c_m, dims::c_hidden_msa_att, dims::no_heads_msa>>(run, "m");
});

const covers msa_transition_case("02_msa_transition", [](auto& run) {
  masked_update<msa_transition<backend_t<decltype(run)>, dims::c_m, dims::transition_n>>(run, "m");
});

const covers pair_transition_case("02_pair_transition", [](auto& run) {
  masked_update<pair_transition<backend_t<decltype(run)>, dims::c_z, dims::transition_n>>(run, "z");
});

const covers outer_product_mean_case("02_outer_product_mean", [](auto& run) {
  using B = backend_t<decltype(run)>;
  const auto mask = run.template in<2>("mask");
  run.exclude_from_scale("z", golden::pairs_with_data(run.host("in.mask")));
  run.differentiable(
      std::array{"z"}, run.load(outer_product_mean<B, dims::c_m, dims::c_z, dims::c_hidden_opm>(run.backend())),
      [&](const auto& module, const auto& m) { return std::tuple(module(m, like(m, mask))); },
      run.template input<3>("m"));
});

const covers triangle_out("02_triangle_multiplication_outgoing", [](auto& run) {
  masked_update<triangle_multiplication_outgoing<backend_t<decltype(run)>, dims::c_z, dims::c_hidden_mul>>(run, "z");
});
const covers triangle_in("02_triangle_multiplication_incoming", [](auto& run) {
  masked_update<triangle_multiplication_incoming<backend_t<decltype(run)>, dims::c_z, dims::c_hidden_mul>>(run, "z");
});
const covers fused_triangle_out("02_fused_triangle_multiplication_outgoing", [](auto& run) {
  using B = backend_t<decltype(run)>;
  masked_update<triangle_multiplication_outgoing<B, dims::c_z, dims::c_hidden_mul, true>>(run, "z");
});
const covers fused_triangle_in("02_fused_triangle_multiplication_incoming", [](auto& run) {
  using B = backend_t<decltype(run)>;
  masked_update<triangle_multiplication_incoming<B, dims::c_z, dims::c_hidden_mul, true>>(run, "z");
});

const covers triangle_start("02_triangle_attention_starting", [](auto& run) {
  using B = backend_t<decltype(run)>;
  run.exclude_fully_masked("z", golden::rows_with_data(run.host("in.mask"), 1));
  masked_update<triangle_attention_starting<B, dims::c_z, dims::c_hidden_pair_att, dims::no_heads_pair>>(run, "z");
});
const covers triangle_end("02_triangle_attention_ending", [](auto& run) {
  using B = backend_t<decltype(run)>;
  run.exclude_fully_masked("z", golden::rows_with_data(run.host("in.mask"), 0));
  masked_update<triangle_attention_ending<B, dims::c_z, dims::c_hidden_pair_att, dims::no_heads_pair>>(run, "z");
});

}  // namespace
}  // namespace golden_modules
