// SPDX-License-Identifier: Apache-2.0
// Which algorithm cuBLASLt takes for a product: its advice costs more than a small product, so it is asked once.
#pragma once

#include <cublasLt.h>

#include <array>
#include <cstdint>
#include <map>
#include <optional>

namespace fathom::cuda {

/// Everything that the advice depends on: types, transpositions, epilogue, extents, leading dimensions, steps,
/// alignments.
using lt_key = std::array<std::int64_t, 17>;
/// Nothing where cuBLASLt cannot do such a product.
using lt_choices = std::map<lt_key, std::optional<cublasLtMatmulAlgo_t>>;

}  // namespace fathom::cuda
