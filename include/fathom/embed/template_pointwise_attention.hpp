// SPDX-License-Identifier: Apache-2.0
// Every pair asks the templates about itself (AF2 Suppl. Alg. 17).
#pragma once

#include <cmath>
#include <tuple>
#include <vector>

#include <fathom/autodiff/chunked.hpp>
#include <fathom/evoformer/dims.hpp>
#include <fathom/nn/chunk_rows.hpp>
#include <fathom/nn/linear.hpp>
#include <fathom/op/softmax.hpp>

namespace fathom {

/// Templates whose mask is 0 get the additive bias inf (mask - 1).
struct template_attention_options {
  double inf = 1e5;
};

/// The ungated attention of template_pointwise_attention.
template <backend B, evoformer_dims D>
struct template_attention_maps {
  using backend_type = B;
  static constexpr index_t width = D::c_hidden_template_att * D::no_heads_template_att;
  linear<B, D::c_z, width, false> linear_q;
  linear<B, D::c_t, width, false> linear_k, linear_v;
  linear<B, width, D::c_z> linear_o;

  template_attention_maps() = default;
  explicit template_attention_maps(const B& b)
      : linear_q(b, init::glorot), linear_k(b, init::glorot), linear_v(b, init::glorot), linear_o(b, init::final) {}
  void visit(auto&& v) {
    v("linear_q", linear_q);
    v("linear_k", linear_k);
    v("linear_v", linear_v);
    v("linear_o", linear_o);
  }
  template <class B2>
  using rebind = template_attention_maps<B2, D>;
};

/// Query z[i, j], keys and values t[:, i, j]; no layer norm, no gate.
template <backend B, evoformer_dims D>
struct template_pointwise_attention {
  using backend_type = B;
  static constexpr index_t heads = D::no_heads_template_att, c = D::c_hidden_template_att;

  template_attention_maps<B, D> mha;
  template_attention_options options;

  template_pointwise_attention() = default;
  explicit template_pointwise_attention(const B& b) : mha(b) {}
  void visit(auto&& v) { v("mha", mha); }
  template <class B2>
  using rebind = template_pointwise_attention<B2, D>;

  /// t [templates, n, n, c_t], z [n, n, c_z], mask [templates]: the update of z.
  tensor<B, 3> operator()(const tensor<B, 4>& t, const tensor<B, 3>& z, const tensor<B, 1>& mask) const {
    const index_t templates = t.extent(0), n = z.extent(0);
    detail::expect_extents<4>("template_pointwise_attention", "t", t, {templates, n, z.extent(1), D::c_t});
    detail::expect_extents<1>("template_pointwise_attention", "the mask", mask, {templates});
    // Rows come first, so that chunks of them can be taken.
    return chunked([](const auto& shared, const auto& z_rows,
                      const auto& t_rows) { return attend(std::get<0>(shared), std::get<1>(shared), z_rows, t_rows); },
                   std::tuple(mha, mask_bias(mask, options.inf)),
                   chunk_rows(n, z.extent(1) * (4 * templates + 3) * heads * c), z, transpose(t, 0, 1));
  }

 private:
  /// z [r, n, c_z], t [r, templates, n, c_t]
  template <class Maps, class Bias, class Z, class T>
  static auto attend(const Maps& maps, const Bias& bias, const Z& z, const T& t) {
    const index_t r = z.extent(0), n = z.extent(1), templates = t.extent(1);
    const extents<5> split{r, templates, n, heads, c};
    const auto q = reshape<5>(maps.linear_q(z), {r, 1, n, heads, c});
    const auto logits = permute(sum_product(q, reshape<5>(maps.linear_k(t), split)), {0, 2, 3, 1});
    const auto p = softmax(logits * (1 / std::sqrt(static_cast<double>(c))) + bias);  // [r, n, heads, templates]
    const auto weights = unsqueeze(permute(p, {0, 3, 1, 2}), 4);
    const auto o = sum(weights * reshape<5>(maps.linear_v(t), split), 1);
    return maps.linear_o(reshape<3>(o, {r, n, heads * c}));
  }
};

}  // namespace fathom
