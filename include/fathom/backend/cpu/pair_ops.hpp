// SPDX-License-Identifier: Apache-2.0
// Triangle contraction and outer product of the CPU backend: packed per group of channels, tiled per pair.
#pragma once

#include <fathom/backend/cpu/handle.hpp>
#include <fathom/backend/cpu/outer_product.hpp>
#include <fathom/backend/cpu/triangle.hpp>
#include <fathom/op/outer_product.hpp>
#include <fathom/op/triangle.hpp>

namespace fathom {

template <class T>
struct kernel<triangle_op, cpu<T>> : triangle_op {
  using B = cpu<T>;

  static auto forward(const tensor<B, 3>& a, const tensor<B, 3>& b) {
    check(a, b);
    tensor<B, 3> x(a.backend(), {a.extent(0), b.extent(0), a.extent(2)});
    cpu_kernels::triangle_args<T> t;
    t.rows = a.extent(0);
    t.columns = b.extent(0);
    t.depth = a.extent(1);
    t.channels = a.extent(2);
    t.a = {a.data(), a.stride(0), a.stride(1), a.stride(2)};
    t.b = {b.data(), b.stride(0), b.stride(1), b.stride(2)};
    t.x = {x.mutable_data(), x.stride(0), x.stride(1), x.stride(2)};
    cpu_kernels::triangle_contract(a.backend().pool(), t);
    return op_result{x, std::tuple(a, b)};
  }
};

template <class T>
struct kernel<outer_product_op, cpu<T>> : outer_product_op {
  using B = cpu<T>;

  static auto forward(const tensor<B, 3>& a, const tensor<B, 3>& b, const tensor<B, 2>& weight,
                      const tensor<B, 1>& bias, const tensor<B, 2>& scale) {
    check(a, b, weight, bias, scale);
    const residuals_t<B> r{by_rows(a),         by_rows(b),
                           contiguous(weight), contiguous(bias),
                           contiguous(scale),  tensor<B, 3>(a.backend(), {a.extent(1), b.extent(1), weight.extent(0)})};
    auto z = r.z;
    auto args = arguments(r);
    args.z = z.mutable_data();
    cpu_kernels::outer_product_forward(a.backend().pool(), args);
    return op_result{z, r};
  }

  static auto vjp(const residuals_t<B>& r, const tensor<B, 3>& d_z) {
    const B& backend = r.a.backend();
    const auto dz = contiguous(d_z);
    tensor<B, 3> da(backend, r.a.shape()), db(backend, r.b.shape());
    tensor<B, 2> d_weight(backend, r.weight.shape()), d_scale(backend, r.scale.shape());
    tensor<B, 1> d_bias(backend, r.bias.shape());
    const cpu_kernels::outer_product_gradients<T> g{da.mutable_data(), db.mutable_data(), d_weight.mutable_data(),
                                                    d_bias.mutable_data(), d_scale.mutable_data()};
    cpu_kernels::outer_product_backward(backend.pool(), arguments(r), dz.data(), g);
    return std::tuple(da, db, d_weight, d_bias, d_scale);
  }

 private:
  /// Positions and channels of one sequence must follow each other; sequences may lie apart, but not overlap.
  static tensor<B, 3> by_rows(const tensor<B, 3>& x) {
    const index_t row = x.extent(1) * x.extent(2);
    const bool rows = x.stride(2) == 1 && x.stride(1) == x.extent(2) && x.stride(0) >= row;
    return rows ? x : contiguous(x).reinterpret(x.shape(), extents<3>{row, x.extent(2), 1});
  }
  static cpu_kernels::outer_product_args<T> arguments(const residuals_t<B>& r) {
    cpu_kernels::outer_product_args<T> args;
    args.sequences = r.a.extent(0);
    args.rows = r.a.extent(1);
    args.columns = r.b.extent(1);
    args.c = r.a.extent(2);
    args.d = r.b.extent(2);
    args.c_z = r.weight.extent(0);
    args.a = r.a.data();
    args.a_sequence = r.a.stride(0);
    args.b = r.b.data();
    args.b_sequence = r.b.stride(0);
    args.weight = r.weight.data();
    args.bias = r.bias.data();
    args.scale = r.scale.data();
    args.z = const_cast<T*>(r.z.data());
    return args;
  }
};

}  // namespace fathom
