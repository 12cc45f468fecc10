// SPDX-License-Identifier: Apache-2.0
// Outer product of two sets of sequences, summed over the sequences and mapped to pair channels (AF2 Suppl. Alg. 10),
// without the [i, j, c d] tensor for all i at once.
#pragma once

#include <algorithm>

#include <fathom/op/matmul.hpp>

namespace fathom {

/// z[i, j] = scale[i, j] (W vec(sum_s a[s, i] (x) b[s, j]) + bias)
///
///   a [s, i, c], b [s, j, d], weight [c_z, c d] with the channel of b fastest, bias [c_z], scale [i, j] > 0; z [i, j,
///   c_z]
struct outer_product_op {
  static constexpr const char* name = "outer_product";

  // Public, because a GPU's kernels are instantiated with them.
  struct shifted_and_scaled {
    template <class T>
    FATHOM_HD T operator()(T sum, T bias, T scale) const {
      return (sum + bias) * scale;
    }
  };
  struct unscaled_product {
    template <class T>
    FATHOM_HD T operator()(T dz, T z, T scale) const {
      return dz * (z / scale);
    }
  };

  template <class B>
  struct residuals_t {
    tensor<B, 3> a, b;
    tensor<B, 2> weight;
    tensor<B, 1> bias;
    tensor<B, 2> scale;
    tensor<B, 3> z;
  };

  template <class B>
  static void check(const tensor<B, 3>& a, const tensor<B, 3>& b, const tensor<B, 2>& weight, const tensor<B, 1>& bias,
                    const tensor<B, 2>& scale) {
    if (a.extent(0) != b.extent(0))
      throw shape_error(detail::concat(name, ": a has ", a.extent(0), " sequences, b ", b.extent(0)));
    if (weight.extent(1) != a.extent(2) * b.extent(2))
      throw shape_error(detail::concat(name, ": the weight has extents ", to_string_extents(weight.shape()),
                                       ", expected [c_z, ", a.extent(2) * b.extent(2), "]"));
    detail::expect_extents<1>(name, "the bias", bias, {weight.extent(0)});
    detail::expect_extents<2>(name, "the scale", scale, {a.extent(1), b.extent(1)});
  }

  /// d_scale[i, j] = dz[i, j] . z[i, j] / scale[i, j]
  template <class B>
  static tensor<B, 2> scale_cotangent(const residuals_t<B>& r, const tensor<B, 3>& dz) {
    tensor<B, 2> d_scale(dz.backend(), r.scale.shape());
    auto wide = d_scale.reinterpret(extents<3>{d_scale.extent(0), d_scale.extent(1), 1},
                                    extents<3>{d_scale.stride(0), d_scale.stride(1), 0});
    dz.backend().reduce(functor::sum{}, unscaled_product{}, wide.mutable_view(), dz.view(), r.z.view(),
                        per_pair(r.scale, dz.shape()));
    return d_scale;
  }

  template <class B>
  static auto forward(const tensor<B, 3>& a, const tensor<B, 3>& b, const tensor<B, 2>& weight,
                      const tensor<B, 1>& bias, const tensor<B, 2>& scale) {
    check(a, b, weight, bias, scale);
    const auto& backend = a.backend();
    const index_t n = a.extent(1), columns = b.extent(1), c_z = weight.extent(0);
    tensor<B, 3> z(backend, {n, columns, c_z});
    for (index_t from = 0, step = rows(a, b); from < n; from += step) {
      const index_t to = std::min(n, from + step);
      const auto vec = outer(a, b, from, to);
      auto window = z.reinterpret(extents<2>{(to - from) * columns, c_z}, extents<2>{c_z, 1}, from * columns * c_z);
      backend.gemm(scalar_of<B>(1), vec.view(), detail::transposed(weight).view(), scalar_of<B>(0),
                   window.mutable_view());
    }
    const strided_view<const scalar_of<B>> sums = z.view();
    backend.map(shifted_and_scaled{}, z.mutable_view(), sums, detail::broadcast_to_view(bias.view(), z.shape()),
                per_pair(scale, z.shape()));
    return op_result{z, residuals_t<B>{a, b, weight, bias, scale, z}};
  }

  template <class B>
  static auto vjp(const residuals_t<B>& r, const tensor<B, 3>& dz) {
    using T = scalar_of<B>;
    const auto& backend = dz.backend();
    const index_t n = r.a.extent(1), columns = r.b.extent(1), c_z = r.weight.extent(0);
    const index_t s = r.a.extent(0), c = r.a.extent(2), d = r.b.extent(2);
    tensor<B, 3> scaled(backend, dz.shape());
    backend.map(functor::product{}, scaled.mutable_view(), dz.view(), per_pair(r.scale, dz.shape()));
    auto d_bias = detail::reduce_to<B, 1>(backend, {c_z}, functor::identity{}, scaled.view());
    auto d_weight = full<2>(backend, r.weight.shape(), T(0));
    tensor<B, 3> da(backend, r.a.shape());
    auto db = full<3>(backend, r.b.shape(), T(0));
    const auto b_rows = detail::reshaped<2>(r.b, {s, columns * d});
    auto db_rows = db.reinterpret(extents<2>{s, columns * d}, extents<2>{columns * d, 1});
    for (index_t from = 0, step = rows(r.a, r.b); from < n; from += step) {
      const index_t to = std::min(n, from + step), m = to - from;
      const auto dz_rows = scaled.reinterpret(extents<2>{m * columns, c_z}, extents<2>{c_z, 1}, from * columns * c_z);
      {
        const auto vec = outer(r.a, r.b, from, to);
        backend.gemm(T(1), detail::transposed(dz_rows).view(), vec.view(), T(1), d_weight.mutable_view());
      }
      const auto d_outer = interleaved(detail::product(dz_rows, r.weight), {m, columns, c, d});  // [m c, columns d]
      const auto a_rows = detail::reshaped<2>(sequences(r.a, from, to), {s, m * c});
      const auto da_rows = detail::product(b_rows, detail::transposed(d_outer));
      auto da_window = sequences(da, from, to);
      backend.map(detail::copy_value{}, da_window.mutable_view(), detail::reshaped<3>(da_rows, {s, m, c}).view());
      backend.gemm(T(1), a_rows.view(), d_outer.view(), T(1), db_rows.mutable_view());
    }
    return std::tuple(da, db, d_weight, d_bias, scale_cotangent(r, dz));
  }

 protected:
  /// Rows i at a time, so that their part of [i, j, c d] holds about a million elements, or as many as the backend
  /// takes instead.
  template <class B>
  static index_t rows(const tensor<B, 3>& a, const tensor<B, 3>& b) {
    const index_t few =
        std::max<index_t>(1, (index_t{1} << 20) / std::max<index_t>(1, b.extent(1) * a.extent(2) * b.extent(2)));
    if constexpr (requires { a.backend().chunk_of(few); })
      return std::max<index_t>(1, a.backend().chunk_of(few));
    else
      return few;
  }
  template <class B>
  static tensor<B, 3> sequences(const tensor<B, 3>& x, index_t from, index_t to) {
    return x.reinterpret(extents<3>{x.extent(0), to - from, x.extent(2)}, x.strides(), from * x.stride(1));
  }
  template <class B>
  static strided_view<const scalar_of<B>> per_pair(const tensor<B, 2>& x, const extents<3>& e) {
    const auto wide = x.reinterpret(extents<3>{e[0], e[1], 1}, extents<3>{x.stride(0), x.stride(1), 0});
    return detail::broadcast_to_view(wide.view(), e);
  }
  /// x [m columns, c d] in the order of the matrix [m c, columns d], or back: a copy with the middle axes swapped.
  template <class B>
  static tensor<B, 2> interleaved(const tensor<B, 2>& x, const extents<4>& e) {
    const auto wide =
        x.reinterpret(extents<4>{e[0], e[2], e[1], e[3]}, extents<4>{e[1] * e[2] * e[3], e[3], e[2] * e[3], 1});
    return detail::reshaped<2>(contiguous(wide), {e[0] * e[2], e[1] * e[3]});
  }
  /// vec(sum_s a[s, i] (x) b[s, j]) for i in [from, to): [(to - from) columns, c d].
  template <class B>
  static tensor<B, 2> outer(const tensor<B, 3>& a, const tensor<B, 3>& b, index_t from, index_t to) {
    const index_t s = a.extent(0), c = a.extent(2), columns = b.extent(1), d = b.extent(2), m = to - from;
    const auto left = detail::reshaped<2>(sequences(a, from, to), {s, m * c});
    const auto right = detail::reshaped<2>(b, {s, columns * d});
    return interleaved(detail::product(detail::transposed(left), right), {m, c, columns, d});
  }
};

/// See outer_product_op.
template <class B>
tensor<B, 3> outer_product(const tensor<B, 3>& a, const tensor<B, 3>& b, const tensor<B, 2>& weight,
                           const tensor<B, 1>& bias, const tensor<B, 2>& scale) {
  return apply<outer_product_op>(a, b, weight, bias, scale);
}

}  // namespace fathom
