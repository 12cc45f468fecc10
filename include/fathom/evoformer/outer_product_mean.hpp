// SPDX-License-Identifier: Apache-2.0
// Outer product mean (AF2 Suppl. Alg. 10): what the sequences say about every pair of residues.
#pragma once

#include <tuple>

#include <fathom/autodiff/chunked.hpp>
#include <fathom/nn/batched.hpp>
#include <fathom/nn/chunk_rows.hpp>
#include <fathom/nn/layer_norm.hpp>
#include <fathom/nn/linear.hpp>
#include <fathom/op/outer_product.hpp>

namespace fathom {

/// eps is added to the number of sequences that have both residues.
struct outer_product_mean_options {
  double eps = 1e-3;
};

/// z[i, j] = (W vec(sum_s a[s, i] (x) b[s, j]) + bias) / (eps + sum_s mask[s, i] mask[s, j]), a and b masked linear maps
/// of LN(m). The bias is divided too.
template <backend B, index_t Cm, index_t Cz, index_t Hidden>
struct outer_product_mean {
  using backend_type = B;

  fathom::layer_norm<B, Cm> layer_norm;
  linear<B, Cm, Hidden> linear_1, linear_2;
  linear<B, Hidden * Hidden, Cz> linear_out;
  outer_product_mean_options options;

  outer_product_mean() = default;
  explicit outer_product_mean(const B& b)
      : layer_norm(b), linear_1(b), linear_2(b), linear_out(b, init::final) {}

  void visit(auto&& v) {
    v("layer_norm", layer_norm);
    v("linear_1", linear_1);
    v("linear_2", linear_2);
    v("linear_out", linear_out);
  }
  template <class B2>
  using rebind = outer_product_mean<B2, Cm, Cz, Hidden>;

  /// m [s, i, Cm], mask [s, i]: the update of z [i, j, Cz], without the residual.
  tensor<B, 3> operator()(const tensor<B, 3>& m, const tensor<B, 2>& mask) const {
    // Both maps at once: a and b are slices of one [s, i, 2 Hidden].
    const auto weight = join(linear_1.weight, linear_2.weight, 0);
    const auto bias = join(linear_1.bias, linear_2.bias, 0);
    const auto ab = chunked(
        [](const auto& shared, const auto& rows, const auto& present) {
          const auto& [norm, w, b] = shared;
          using bias_t = std::optional<std::remove_cvref_t<decltype(b)>>;
          return apply<linear_op>(norm(rows), w, bias_t(b)) * unsqueeze(present, 2);
        },
        std::tuple(layer_norm, weight, bias), chunk_rows(m.extent(0), m.extent(1) * (Cm + 4 * Hidden)), m, mask);
    const auto count = matmul(transpose(mask, 0, 1), mask);
    return outer_product(slice(ab, 2, 0, Hidden), slice(ab, 2, Hidden, 2 * Hidden), linear_out.weight, linear_out.bias,
                         reciprocal(count + options.eps));
  }
  /// With a leading batch axis.
  tensor<B, 4> operator()(const tensor<B, 4>& m, const tensor<B, 3>& mask) const { return batched(*this, m, mask); }
};

}  // namespace fathom
