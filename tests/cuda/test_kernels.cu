// SPDX-License-Identifier: Apache-2.0
// The cases of the emulator's tests on a GPU. Without one this compiles every fused kernel for sm_80 and sm_90.
#include <fathom/cuda/gpu.hpp>

#include "device.hpp"
#include "kernel_cases.hpp"
#include "tree_cases.hpp"

namespace {

using namespace kernel_cases;

template <class P>
void check_attention(const limits& most) {
  const fathom::cuda::gpu<P> b;
  for (const attention_case& c : attention_cases) {
    const auto got = attention_records(b, c);
    kernel_cases::compare(got, attention_records(fathom::reference<double>{}, c), most);
    compare_bitwise(attention_records(b, c), got);
  }
  check_shut_rows(b, most);
}

}  // namespace

TEST_CASE("cuda: fused attention on a GPU, the same bits in every run") {
  if (!has_gpu()) return;
  check_attention<float>(float_limits);
  check_attention<fathom::bf16_mixed>(bf16_limits);
}

TEST_CASE("cuda: layer norm, softmax and the triangle's contraction on a GPU, the same bits in every run") {
  if (!has_gpu()) return;
  const fathom::cuda::gpu<float> b;
  const fathom::reference<double> oracle;
  for (const layout lie : row_layouts) {
    CAPTURE(std::string(name_of(lie)));
    const auto rows = row_records(b, lie), triangles = triangle_records(b, lie);
    kernel_cases::compare(rows, row_records(oracle, lie), float_limits);
    kernel_cases::compare(triangles, triangle_records(oracle, lie), float_limits);
    compare_bitwise(row_records(b, lie), rows);
    compare_bitwise(triangle_records(b, lie), triangles);
    const fathom::cuda::gpu<fathom::bf16_mixed> rounding;
    kernel_cases::compare(triangle_records(rounding, lie), triangle_records(oracle, lie), bf16_limits);
    kernel_cases::compare(outer_product_records(rounding, lie), outer_product_records(oracle, lie), bf16_limits);
  }
}

TEST_CASE("cuda: solvers' arithmetic and Adam over many leaves on a GPU") {
  if (!has_gpu()) return;
  tree_cases::check_combinations(fathom::cuda::gpu<float>{});
  tree_cases::check_errors(fathom::cuda::gpu<float>{});
  tree_cases::check_adam(fathom::cuda::gpu<float>{});
}
