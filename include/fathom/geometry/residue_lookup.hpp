// SPDX-License-Identifier: Apache-2.0
// Residue tables as tensors of a backend, one row for each residue of a sequence.
#pragma once

#include <algorithm>

#include <fathom/geometry/residue_constants.hpp>
#include <fathom/op/indexing.hpp>
#include <fathom/op/matmul.hpp>

namespace fathom {

/// Residue types [n] on a backend; an index outside 0..20 becomes X (20), as gaps of templates must.
template <backend B, class T>
tensor<B, 1, index_t> aatype_from_host(const B& b, const host_tensor<T>& host) {
  host_tensor<index_t> clamped(host.shape);
  for (std::size_t i = 0; i < host.data.size(); ++i) {
    const auto type = static_cast<index_t>(host.data[i]);
    clamped.data[i] = type < 0 || type > restype_unknown ? restype_unknown : type;
  }
  return from_host_as<1, index_t>(b, clamped);
}

/// Rows of a real table [21, ...] at aatype [n]: [n, ...].
template <int R, class B>
tensor<B, R> residue_lookup(const host_tensor<double>& table, const tensor<B, 1, index_t>& aatype) {
  return gather(from_host<R>(aatype.backend(), table), aatype);
}

/// Rows of a table of numbers [21, ...] at aatype [n]: [n, ...].
template <int R, class B>
tensor<B, R, index_t> residue_index_lookup(const host_tensor<std::int64_t>& table,
                                           const tensor<B, 1, index_t>& aatype) {
  if constexpr (plain_backend<B>) {
    const auto whole = from_host_as<R, index_t>(aatype.backend(), table);
    auto e = whole.shape();
    e[0] = aatype.extent(0);
    tensor<B, R, index_t> rows(aatype.backend(), e);
    aatype.backend().gather(rows.mutable_view(), whole.view(), aatype.view());
    return rows;
  } else {
    return constant(aatype.backend(), residue_index_lookup<R>(table, aatype.primal()));
  }
}

/// A table of numbers [21, ...], flattened to k columns, as 0/1 matrices [21, k, columns]: row k has its 1 at the
/// number it holds, so that picking atoms is a matrix product on every backend.
inline host_tensor<double> selection_table(const host_tensor<std::int64_t>& numbers, index_t columns) {
  const index_t rows = numbers.shape.front(), k = numbers.size() / rows;
  host_tensor<double> table({rows, k, columns});
  for (index_t i = 0; i < rows * k; ++i) table(i / k, i % k, numbers.data[static_cast<std::size_t>(i)]) = 1;
  return table;
}

/// Picks rows of x [n, columns, c] by selection [n, k, columns]: [n, k, c].
template <class B>
tensor<B, 3> pick(const tensor<B, 3>& selection, const tensor<B, 3>& x) {
  return matmul(selection, x);
}
/// Picks entries of a mask [n, columns]: [n, k].
template <class B>
tensor<B, 2> pick(const tensor<B, 3>& selection, const tensor<B, 2>& x) {
  return squeeze(matmul(selection, unsqueeze(x, 2)), 2);
}

}  // namespace fathom
