// SPDX-License-Identifier: Apache-2.0
// Operations for which a GPU has kernels of our own instead of compositions of map, reduce and gemm. Only for nvcc;
// gpu.hpp includes it.
#pragma once

#include <type_traits>

#include <fathom/cuda/gpu.hpp>
#include <fathom/cuda/kernels/attention.cuh>
#include <fathom/cuda/kernels/launch_blocks.cuh>
#include <fathom/cuda/kernels/multiply_bf16.cuh>
#include <fathom/cuda/kernels/normalize.cuh>
#include <fathom/cuda/kernels/outer_product.cuh>
#include <fathom/cuda/kernels/tree_kernels.cuh>
#include <fathom/cuda/kernels/triangle.cuh>

namespace fathom {

namespace cuda::kernels {
/// What a precision multiplies small tiles with.
template <class P>
using math_of = std::conditional_t<std::is_same_v<P, bf16_mixed>, bf16_math, float_math>;
}  // namespace cuda::kernels

/// gpu<double> compares: it keeps the portable composition.
template <class P>
  requires(!std::is_same_v<P, double>)
struct kernel<attention_op, cuda::gpu<P>> : cuda::kernels::attention_on<cuda::gpu<P>, cuda::kernels::math_of<P>> {};

template <class P>
struct kernel<layer_norm_op, cuda::gpu<P>> : cuda::kernels::layer_norm_on<cuda::gpu<P>> {};

template <class P>
struct kernel<softmax_op, cuda::gpu<P>> : cuda::kernels::softmax_on<cuda::gpu<P>> {};

template <class P>
struct kernel<triangle_op, cuda::gpu<P>> : cuda::kernels::triangle_on<cuda::gpu<P>> {};
template <>
struct kernel<triangle_op, cuda::gpu<bf16_mixed>>
    : cuda::kernels::triangle_on<cuda::gpu<bf16_mixed>, cuda::kernels::bf16> {};

template <>
struct kernel<outer_product_op, cuda::gpu<bf16_mixed>> : cuda::kernels::outer_product_on<cuda::gpu<bf16_mixed>> {};

template <class P>
struct ode::leaf_kernels<cuda::gpu<P>> : cuda::kernels::leaf_kernels_on<cuda::gpu<P>> {};

template <class P>
struct train::adam_kernel<cuda::gpu<P>> : cuda::kernels::adam_kernel_on<cuda::gpu<P>> {};

}  // namespace fathom
