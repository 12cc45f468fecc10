// SPDX-License-Identifier: Apache-2.0
// Batched products of matrices stored as bfloat16, summed in float32, through cuBLAS.
#pragma once

#include <type_traits>

#include <fathom/cuda/gemm.hpp>
#include <fathom/cuda/kernels/intrinsics.cuh>

namespace fathom::cuda {

template <class Precision>
class gpu;

/// c = a b over the last two axes, no extent 0; Out float or bf16. Throws cuda_error where cuBLAS cannot read the
/// operands as they lie.
template <class Precision, class Out>
void multiply_bf16(const gpu<Precision>& backend, const strided_view<const kernels::bf16>& a,
                   const strided_view<const kernels::bf16>& b, const strided_view<Out>& c) {
  // A plan is a matter of strides alone.
  const auto strides_of = [](const auto& x) {
    strided_view<float> view{nullptr, x.rank, {}, {}};
    for (int axis = 0; axis < x.rank; ++axis) {
      view.extent[axis] = x.extent[axis];
      view.stride[axis] = x.stride[axis];
    }
    return view;
  };
  const auto plan = device::plan_gemm<float>(strides_of(a), strides_of(b), strides_of(c));
  const auto operation = [&plan] {
    return fathom::detail::concat("bfloat16 matmul of ", plan.batch, " products ", plan.rows, " x ", plan.depth, " by ",
                                  plan.depth, " x ", plan.columns);
  };
  if (!fits_cublas(plan))
    throw cuda_error(fathom::detail::concat(operation(),
                                            ": cuBLAS needs a unit stride in every operand, and extents "
                                            "below 2^31"));
  constexpr cudaDataType_t out = std::is_same_v<Out, float> ? CUDA_R_32F : CUDA_R_16BF;
  const float one = 1, zero = 0;
  const kernels::bf16* const first = plan.swapped ? b.data : a.data;
  const kernels::bf16* const second = plan.swapped ? a.data : b.data;
  const auto context = backend.context();
  const device_guard here(context->device());
  for (index_t i = 0; i < plan.outer.size; ++i) {
    index_t at[3];
    plan.outer.locate(i, at);
    detail::check(
        cublasGemmStridedBatchedEx(context->blas(), plan.first_transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
                                   plan.second_transposed ? CUBLAS_OP_T : CUBLAS_OP_N, static_cast<int>(plan.rows),
                                   static_cast<int>(plan.columns), static_cast<int>(plan.depth), &one, first + at[0],
                                   CUDA_R_16BF, static_cast<int>(plan.first_leading), plan.first_step, second + at[1],
                                   CUDA_R_16BF, static_cast<int>(plan.second_leading), plan.second_step, &zero,
                                   c.data + at[2], out, static_cast<int>(plan.out_leading), plan.out_step,
                                   static_cast<int>(plan.batch), CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
        "cublasGemmStridedBatchedEx", operation);
  }
}

}  // namespace fathom::cuda
