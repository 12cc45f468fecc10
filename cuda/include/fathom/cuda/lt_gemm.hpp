// SPDX-License-Identifier: Apache-2.0
// Matrix products through cuBLASLt, with what comes after them in the same pass: bias and ReLU.
#pragma once

#include <cstdint>
#include <type_traits>

#include <fathom/cuda/gemm.hpp>

namespace fathom::cuda {

namespace detail {

/// Descriptors of one product; they go with the scope.
class lt_product {
 public:
  lt_product(cublasComputeType_t compute, cudaDataType_t type) {
    check(cublasLtMatmulDescCreate(&description, compute, type), "cublasLtMatmulDescCreate", "linear");
  }
  ~lt_product() {
    for (const auto layout : {first, second, out})
      if (layout != nullptr) (void)cublasLtMatrixLayoutDestroy(layout);
    (void)cublasLtMatmulDescDestroy(description);
  }
  lt_product(const lt_product&) = delete;
  lt_product& operator=(const lt_product&) = delete;

  template <class Value>
  void set(cublasLtMatmulDescAttributes_t attribute, const Value& value) {
    check(cublasLtMatmulDescSetAttribute(description, attribute, &value, sizeof value),
          "cublasLtMatmulDescSetAttribute", "linear");
  }
  /// A column-major matrix in memory.
  void lay_out(cublasLtMatrixLayout_t& layout, cudaDataType_t type, index_t rows, index_t columns, index_t leading,
               index_t batch, index_t step) {
    check(cublasLtMatrixLayoutCreate(&layout, type, static_cast<std::uint64_t>(rows),
                                     static_cast<std::uint64_t>(columns), leading),
          "cublasLtMatrixLayoutCreate", "linear");
    const int count = static_cast<int>(batch);
    const std::int64_t stride = step;
    check(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count),
          "cublasLtMatrixLayoutSetAttribute", "linear");
    check(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride),
          "cublasLtMatrixLayoutSetAttribute", "linear");
  }

  cublasLtMatmulDesc_t description = nullptr;
  cublasLtMatrixLayout_t first = nullptr, second = nullptr, out = nullptr;
};

class lt_preference {
 public:
  lt_preference() { check(cublasLtMatmulPreferenceCreate(&handle), "cublasLtMatmulPreferenceCreate", "linear"); }
  ~lt_preference() { (void)cublasLtMatmulPreferenceDestroy(handle); }
  lt_preference(const lt_preference&) = delete;
  lt_preference& operator=(const lt_preference&) = delete;

  template <class Value>
  void set(cublasLtMatmulPreferenceAttributes_t attribute, const Value& value) {
    check(cublasLtMatmulPreferenceSetAttribute(handle, attribute, &value, sizeof value),
          "cublasLtMatmulPreferenceSetAttribute", "linear");
  }

  cublasLtMatmulPreference_t handle = nullptr;
};

/// The largest power of two, at most 256, that divides the address.
inline std::uint32_t alignment_of(const void* data) {
  const auto address = reinterpret_cast<std::uintptr_t>(data);
  std::uint32_t bytes = 256;
  while (address % bytes != 0) bytes /= 2;
  return bytes;
}

}  // namespace detail

/// Whether run_lt can be asked for the plan: one strided batch, and a bias that runs along the rows of its product.
inline bool fits_lt(const device::gemm_plan& plan, bool with_bias) {
  return fits_cublas(plan) && plan.outer.size == 1 && (plan.swapped || !with_bias);
}

/// Executes a plan with an epilogue: out = f(alpha a b + beta out + bias); bias may be null, f is ReLU or nothing.
/// False where cuBLASLt has no algorithm for it: then nothing was done.
template <class U>
bool run_lt(context& c, const device::gemm_plan& plan, cublasComputeType_t compute, U alpha, const U* a, const U* b,
            U beta, U* out, const U* bias, bool relu) {
  constexpr cudaDataType_t type = std::is_same_v<U, double> ? CUDA_R_64F : CUDA_R_32F;
  const auto operation = [&plan, bias, relu] {
    return fathom::detail::concat("linear layer of ", plan.columns, " rows, ", plan.depth, " to ", plan.rows,
                                  " channels", bias != nullptr ? ", bias" : "", relu ? ", ReLU" : "");
  };
  const U* const first = plan.swapped ? b : a;
  const U* const second = plan.swapped ? a : b;
  const cublasLtEpilogue_t epilogue = bias != nullptr ? (relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS)
                                                      : (relu ? CUBLASLT_EPILOGUE_RELU : CUBLASLT_EPILOGUE_DEFAULT);
  const device_guard here(c.device());
  detail::lt_product product(compute, type);
  product.set(CUBLASLT_MATMUL_DESC_TRANSA, plan.first_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  product.set(CUBLASLT_MATMUL_DESC_TRANSB, plan.second_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  product.set(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
  if (bias != nullptr) product.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  const auto lay_out = [&](cublasLtMatrixLayout_t& layout, bool transposed, index_t rows, index_t columns,
                           index_t leading, index_t step) {
    product.lay_out(layout, type, transposed ? columns : rows, transposed ? rows : columns, leading, plan.batch, step);
  };
  lay_out(product.first, plan.first_transposed, plan.rows, plan.depth, plan.first_leading, plan.first_step);
  lay_out(product.second, plan.second_transposed, plan.depth, plan.columns, plan.second_leading, plan.second_step);
  lay_out(product.out, false, plan.rows, plan.columns, plan.out_leading, plan.out_step);

  const std::uint32_t aligned[] = {detail::alignment_of(first), detail::alignment_of(second), detail::alignment_of(out),
                                   bias != nullptr ? detail::alignment_of(bias) : 0};
  const lt_key key{type,
                   compute,
                   epilogue,
                   plan.first_transposed + 2 * plan.second_transposed + 4 * (beta != U(0)),
                   plan.rows,
                   plan.columns,
                   plan.depth,
                   plan.first_leading,
                   plan.second_leading,
                   plan.out_leading,
                   plan.batch,
                   plan.first_step,
                   plan.second_step,
                   plan.out_step,
                   aligned[0] + (std::int64_t(aligned[1]) << 16),
                   aligned[2],
                   aligned[3]};
  auto& known = c.lt_algorithms();
  auto at = known.find(key);
  if (at == known.end()) {
    detail::lt_preference wish;
    wish.set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, context::workspace_size);
    // Sums that meet in the output by atomics would change with the schedule.
    wish.set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
             std::uint32_t(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE));
    wish.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, aligned[0]);
    wish.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, aligned[1]);
    wish.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, aligned[2]);
    wish.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, aligned[2]);
    cublasLtMatmulHeuristicResult_t best{};
    int found = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(c.lt(), product.description, product.first, product.second, product.out,
                                       product.out, wish.handle, 1, &best, &found);
    // Either says that there is none: which one depends on types and epilogue.
    if (status != CUBLAS_STATUS_NOT_SUPPORTED && status != CUBLAS_STATUS_INVALID_VALUE)
      detail::check(status, "cublasLtMatmulAlgoGetHeuristic", operation);
    const bool possible = status == CUBLAS_STATUS_SUCCESS && found > 0 && best.state == CUBLAS_STATUS_SUCCESS;
    at = known.emplace(key, possible ? std::optional(best.algo) : std::nullopt).first;
  }
  if (!at->second) return false;
  detail::check(
      cublasLtMatmul(c.lt(), product.description, &alpha, first, product.first, second, product.second, &beta, out,
                     product.out, out, product.out, &*at->second, c.workspace(), context::workspace_size, c.stream()),
      "cublasLtMatmul", operation);
  return true;
}

}  // namespace fathom::cuda
