// SPDX-License-Identifier: Apache-2.0
// How gpu<Precision> stores numbers and multiplies matrices.
#pragma once

#include <cublas_v2.h>

namespace fathom {

/// Numbers stored in float32; matrix products read them as bfloat16 and sum in float32. Everything else is float32.
struct bf16_mixed {};
/// The same with products that read TF32: float32's range with 10 bits behind the point.
struct tf32_mixed {};

namespace cuda {

/// gpu<float> is the float32 reference mode (no TF32), gpu<double> for comparisons, gpu<tf32_mixed> and gpu<bf16_mixed>
/// for speed.
template <class Precision>
struct precision;
template <>
struct precision<float> {
  using scalar = float;
  static constexpr const char* name = "float32";
  static constexpr cublasComputeType_t product = CUBLAS_COMPUTE_32F;
};
template <>
struct precision<tf32_mixed> {
  using scalar = float;
  static constexpr const char* name = "tf32";
  static constexpr cublasComputeType_t product = CUBLAS_COMPUTE_32F_FAST_TF32;
};
template <>
struct precision<bf16_mixed> {
  using scalar = float;
  static constexpr const char* name = "bf16";
  static constexpr cublasComputeType_t product = CUBLAS_COMPUTE_32F_FAST_16BF;
};
template <>
struct precision<double> {
  using scalar = double;
  static constexpr const char* name = "float64";
  static constexpr cublasComputeType_t product = CUBLAS_COMPUTE_64F;
};

}  // namespace cuda
}  // namespace fathom
