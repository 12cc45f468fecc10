// SPDX-License-Identifier: Apache-2.0
// Batched matrix products through cuBLAS.
#pragma once

#include <climits>
#include <type_traits>

#include <fathom/backend/device_gemm.hpp>
#include <fathom/cuda/context.hpp>

namespace fathom::cuda {

/// Whether cuBLAS can run the plan: its extents are int.
inline bool fits_cublas(const device::gemm_plan& plan) {
  for (const index_t n : {plan.rows, plan.columns, plan.depth, plan.first_leading, plan.second_leading, plan.out_leading,
                          plan.batch})
    if (n > INT_MAX) return false;
  return plan.possible;
}

/// Executes a plan: c = alpha a b + beta c with a's and b's first elements at `a` and `b`.
template <class U>
void run_gemm(context& c, const device::gemm_plan& plan, cublasComputeType_t compute, U alpha, const U* a, const U* b,
              U beta, U* out) {
  constexpr cudaDataType_t type = std::is_same_v<U, double> ? CUDA_R_64F : CUDA_R_32F;
  const U* first = plan.swapped ? b : a;
  const U* second = plan.swapped ? a : b;
  const device_guard here(c.device());
  for (index_t i = 0; i < plan.outer.size; ++i) {
    index_t at[3];
    plan.outer.locate(i, at);
    detail::check(cublasGemmStridedBatchedEx(
                      c.blas(), plan.first_transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
                      plan.second_transposed ? CUBLAS_OP_T : CUBLAS_OP_N, static_cast<int>(plan.rows),
                      static_cast<int>(plan.columns), static_cast<int>(plan.depth), &alpha, first + at[0], type,
                      static_cast<int>(plan.first_leading), plan.first_step, second + at[1], type,
                      static_cast<int>(plan.second_leading), plan.second_step, &beta, out + at[2], type,
                      static_cast<int>(plan.out_leading), plan.out_step, static_cast<int>(plan.batch), compute,
                      CUBLAS_GEMM_DEFAULT),
                  "cublasGemmStridedBatchedEx", [&plan] {
                    return fathom::detail::concat("matmul of ", plan.batch, " products ", plan.rows, " x ", plan.depth,
                                                  " by ", plan.depth, " x ", plan.columns);
                  });
  }
}

}  // namespace fathom::cuda
