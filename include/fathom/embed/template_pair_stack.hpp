// SPDX-License-Identifier: Apache-2.0
// Refines the pair representation of each template by triangle updates (AF2 Suppl. Alg. 16).
#pragma once

#include <utility>
#include <vector>

#include <fathom/evoformer/dims.hpp>
#include <fathom/evoformer/transitions.hpp>
#include <fathom/evoformer/triangle_attention.hpp>
#include <fathom/evoformer/triangle_multiplication.hpp>
#include <fathom/nn/layer_norm.hpp>
#include <fathom/op/dropout.hpp>

namespace fathom {

/// AlphaFold2 attends first; AlphaFold-Multimer multiplies first. mask_trans: whether the transition's update is masked.
/// Dropout acts only where a call passes a dropout_key.
struct template_pair_stack_options {
  bool tri_mul_first = false;
  bool mask_trans = true;
  double pair_dropout = 0.25;
};

/// One block: attention around the starting and the ending node, multiplication out and in, transition, each added.
template <backend B, evoformer_dims D>
struct template_pair_stack_block {
  using backend_type = B;

  triangle_attention_starting<B, D::c_t, D::c_hidden_tri_att_t, D::no_heads_t> tri_att_start;
  triangle_attention_ending<B, D::c_t, D::c_hidden_tri_att_t, D::no_heads_t> tri_att_end;
  triangle_multiplication_outgoing<B, D::c_t, D::c_hidden_tri_mul_t> tri_mul_out;
  triangle_multiplication_incoming<B, D::c_t, D::c_hidden_tri_mul_t> tri_mul_in;
  fathom::pair_transition<B, D::c_t, D::pair_transition_n_t> pair_transition;
  template_pair_stack_options options;

  template_pair_stack_block() = default;
  explicit template_pair_stack_block(const B& b)
      : tri_att_start(b), tri_att_end(b), tri_mul_out(b), tri_mul_in(b), pair_transition(b) {}

  void visit(auto&& v) {
    v("tri_att_start", tri_att_start);
    v("tri_att_end", tri_att_end);
    v("tri_mul_out", tri_mul_out);
    v("tri_mul_in", tri_mul_in);
    v("pair_transition", pair_transition);
  }
  template <class B2>
  using rebind = template_pair_stack_block<B2, D>;

  /// t [n, n, c_t], mask [n, n]: the new t. Dropout acts on whole rows or columns.
  tensor<B, 3> operator()(tensor<B, 3> t, const tensor<B, 2>& mask, const dropout_key& of_call = {}) const {
    const auto key = of_call.with_rate(options.pair_dropout);
    if (!options.tri_mul_first) attend(t, mask, key);
    t = std::move(t) + dropout(tri_mul_out(t, mask), key.split(2), 0);
    t = std::move(t) + dropout(tri_mul_in(t, mask), key.split(3), 0);
    if (options.tri_mul_first) attend(t, mask, key);
    return options.mask_trans ? std::move(t) + pair_transition(t, mask) : std::move(t) + pair_transition(t);
  }

 private:
  void attend(tensor<B, 3>& t, const tensor<B, 2>& mask, const dropout_key& key) const {
    t = std::move(t) + dropout(tri_att_start(t, mask), key.split(0), 0);
    t = std::move(t) + dropout(tri_att_end(t, mask), key.split(1), 1);
  }
};

/// Blocks, then a layer norm; each template on its own.
template <backend B, evoformer_dims D>
struct template_pair_stack {
  using backend_type = B;

  std::vector<template_pair_stack_block<B, D>> blocks;
  fathom::layer_norm<B, D::c_t> layer_norm;

  template_pair_stack() = default;
  explicit template_pair_stack(const B& b, index_t no_blocks = 2)
      : blocks(static_cast<std::size_t>(no_blocks), template_pair_stack_block<B, D>(b)), layer_norm(b) {}

  void visit(auto&& v) {
    v("blocks", blocks);
    v("layer_norm", layer_norm);
  }
  template <class B2>
  using rebind = template_pair_stack<B2, D>;

  /// In every block.
  void set_options(const template_pair_stack_options& options) {
    for (auto& block : blocks) block.options = options;
  }

  /// One template: t [n, n, c_t], mask [n, n].
  tensor<B, 3> operator()(tensor<B, 3> t, const tensor<B, 2>& mask, const dropout_key& key = {}) const {
    std::uint64_t number = 0;
    for (const auto& block : blocks) t = block(std::move(t), mask, key.split(number++));
    return layer_norm(t);
  }
  /// All templates: t [templates, n, n, c_t], mask [n, n].
  tensor<B, 4> operator()(const tensor<B, 4>& t, const tensor<B, 2>& mask, const dropout_key& key = {}) const {
    std::vector<tensor<B, 3>> refined;
    for (index_t one = 0; one < t.extent(0); ++one)
      refined.push_back((*this)(select(t, 0, one), mask, key.split(static_cast<std::uint64_t>(one))));
    return stack(refined, 0);
  }
};

}  // namespace fathom
