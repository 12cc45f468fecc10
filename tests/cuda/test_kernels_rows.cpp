// SPDX-License-Identifier: Apache-2.0
// Layer norm, softmax, the triangle's contraction and reductions on the emulator, beside reference<double>.
#include "emulator/backend.hpp"

#include <fathom/cuda/kernels/normalize.cuh>
#include <fathom/cuda/kernels/outer_product.cuh>
#include <fathom/cuda/kernels/reduce.cuh>
#include <fathom/cuda/kernels/triangle.cuh>

#include "../conformance/kernels.hpp"
#include "kernel_cases.hpp"

namespace {
using emulated = fathom::emulator::gpu<float>;
struct bf16_tag {};
using rounding = fathom::emulator::gpu<bf16_tag>;
/// As cuda::gpu reduces.
struct reducing : emulated {
  template <class Monoid, class F, class Out, class... In>
  void reduce(const Monoid& monoid, const F& f, fathom::strided_view<Out> out, fathom::strided_view<In>... in) const {
    fathom::cuda::kernels::reduce_on(*this, monoid, f, out, in...);
  }
};
}  // namespace

template <>
struct fathom::kernel<fathom::layer_norm_op, emulated> : fathom::cuda::kernels::layer_norm_on<emulated> {};
template <>
struct fathom::kernel<fathom::softmax_op, emulated> : fathom::cuda::kernels::softmax_on<emulated> {};
template <>
struct fathom::kernel<fathom::triangle_op, emulated> : fathom::cuda::kernels::triangle_on<emulated> {};
template <>
struct fathom::kernel<fathom::triangle_op, rounding>
    : fathom::cuda::kernels::triangle_on<rounding, fathom::cuda::kernels::bf16> {};
template <>
struct fathom::kernel<fathom::outer_product_op, rounding> : fathom::cuda::kernels::outer_product_on<rounding> {};

namespace {

using namespace kernel_cases;
using fathom::emulator::order;

template <class B, class Records>
void check(const limits& most, const Records& of) {
  for (const layout lie : row_layouts) {
    CAPTURE(std::string(name_of(lie)));
    B b;
    const int before = fathom::emulator::launches;
    const auto ascending = of(b, lie);
    CHECK(fathom::emulator::launches > before);
    kernel_cases::compare(ascending, of(fathom::reference<double>{}, lie), most);
    if (lie != layout::reversed) continue;
    b.who = order::descending;
    compare_bitwise(of(b, lie), ascending);
  }
}

}  // namespace

TEST_CASE("cuda: layer norm and softmax over rows, whichever thread runs first") {
  check<emulated>(float_limits, [](const auto& b, layout lie) { return row_records(b, lie); });
}
TEST_CASE("cuda: the triangle's contraction channel-major, and the layer norm that reads it") {
  check<emulated>(float_limits, [](const auto& b, layout lie) { return triangle_records(b, lie); });
  check<rounding>(bf16_limits, [](const auto& b, layout lie) { return triangle_records(b, lie); });
  const auto product = [](const auto& b) {
    const maker<std::remove_cvref_t<decltype(b)>> make{b, layout::dense};
    return fathom::to_host(fathom::triangle(make.template real<3>({4, 9, 8}, 1), make.template real<3>({5, 9, 8}, 2)))
        .data;
  };
  CHECK(product(rounding{}) != product(emulated{}));
}
TEST_CASE("cuda: reductions by threads, by warps and by blocks, whichever thread runs first") {
  for (const layout lie : {layout::dense, layout::reversed, layout::strided}) {
    CAPTURE(std::string(name_of(lie)));
    reducing b;
    records ascending, descending, expected;
    conformance::reduce_cases(ascending, b, lie, layout::dense);
    conformance::reduce_cases(expected, fathom::reference<double>{}, lie, layout::dense);
    conformance::compare(ascending, expected, 1e-5);
    b.who = order::descending;
    conformance::reduce_cases(descending, b, lie, layout::dense);
    compare_bitwise(descending, ascending);
  }
}
TEST_CASE("cuda: copies between orders of axes go tile by tile where that pays") {
  const emulated b;
  const maker<emulated> make{b, layout::dense};
  const auto copied = [&](const auto& x) {
    auto y = fathom::clone(x);
    const int before = fathom::emulator::launches;
    std::fill_n(y.mutable_data(), y.size(), 0.0f);
    fathom::cuda::kernels::copy_into(y, x);
    const auto got = fathom::to_host(y), expected = fathom::to_host(x);
    CHECK(got.data == expected.data);
    return fathom::emulator::launches - before;
  };
  const auto x = make.template real<4>({3, 33, 2, 65}, 31);
  CHECK(copied(fathom::permute(x, {3, 0, 2, 1})) == 1);
  CHECK(copied(fathom::permute(x, {1, 3, 0, 2})) == 0);  // two values a row
  CHECK(copied(fathom::permute(x, {2, 1, 0, 3})) == 0);  // the same fastest axis
  CHECK(copied(fathom::transpose(make.template real<2>({8, 9}, 32), 0, 1)) == 1);
  CHECK(copied(fathom::transpose(make.template real<2>({7, 9}, 32), 0, 1)) == 0);
}
TEST_CASE("cuda: outer products through bfloat16") {
  for (const layout lie : row_layouts) {
    const auto got = outer_product_records(rounding{}, lie);
    kernel_cases::compare(got, outer_product_records(fathom::reference<double>{}, lie), bf16_limits);
    CHECK(got[1].values[0].data != outer_product_records(fathom::reference<float>{}, lie)[1].values[0].data);
  }
}
