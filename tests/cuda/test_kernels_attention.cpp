// SPDX-License-Identifier: Apache-2.0
// The fused attention kernels on the emulator, beside reference<double>.
#include "emulator/backend.hpp"

#include <fathom/cuda/kernels/attention.cuh>

#include "kernel_cases.hpp"

namespace {
struct bf16_tag {};
}  // namespace

template <>
struct fathom::kernel<fathom::attention_op, fathom::emulator::gpu<float>>
    : fathom::cuda::kernels::attention_on<fathom::emulator::gpu<float>, fathom::cuda::kernels::float_math> {};
template <>
struct fathom::kernel<fathom::attention_op, fathom::emulator::gpu<bf16_tag>>
    : fathom::cuda::kernels::attention_on<fathom::emulator::gpu<bf16_tag>, fathom::cuda::kernels::bf16_math> {};

namespace {

using namespace kernel_cases;
using fathom::emulator::order;

template <class Precision>
void check_attention(const limits& most) {
  for (const attention_case& c : attention_cases) {
    fathom::emulator::gpu<Precision> b;
    const int before = fathom::emulator::launches;
    const auto ascending = attention_records(b, c);
    CHECK(fathom::emulator::launches - before >= (c.pair ? 5 : 4));  // beside copies
    kernel_cases::compare(ascending, attention_records(fathom::reference<double>{}, c), most);
    b.who = order::descending;
    compare_bitwise(attention_records(b, c), ascending);
  }
  check_shut_rows(fathom::emulator::gpu<Precision>{}, most);
}

}  // namespace

TEST_CASE("cuda: fused attention in float32, whichever thread runs first") { check_attention<float>(float_limits); }
TEST_CASE("cuda: fused attention on tensor cores, whichever thread runs first") {
  check_attention<bf16_tag>(bf16_limits);
}
