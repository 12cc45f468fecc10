// SPDX-License-Identifier: Apache-2.0
// The whole suite for one backend handle: every kernel and every operation against reference<double>.
#pragma once

#include "kernels.hpp"
#include "operations.hpp"

#include <fathom/backend/reference.hpp>

namespace conformance {

/// float32 to 1e-5 of a tensor's largest value, float64 to 1e-12.
template <class B>
constexpr double tolerance = std::is_same_v<typename B::scalar, float> ? 1e-5 : 1e-12;

template <class B>
void check_kernels(const B& b) {
  compare(kernel_records(b), kernel_records(fathom::reference<double>{}), tolerance<B>);
}

template <class B>
void check_operations(const B& b) {
  for (const layout l : all_layouts) {
    CAPTURE(std::string(name_of(l)));
    compare(operation_records(b, l), operation_records(fathom::reference<double>{}, l), tolerance<B>);
  }
}

/// Both handles give the same bits.
template <class B>
void check_same_bits(const B& one, const B& other) {
  compare_bitwise(kernel_records(one), kernel_records(other));
  for (const layout l : {layout::dense, layout::transposed}) {
    CAPTURE(std::string(name_of(l)));
    compare_bitwise(operation_records(one, l), operation_records(other, l));
  }
}

}  // namespace conformance
