// SPDX-License-Identifier: Apache-2.0
// Linear layers of the CPU backend: bias and activation while a tile of the product is in cache, gradients added in
// place.
#pragma once

#include <fathom/backend/cpu/handle.hpp>
#include <fathom/backend/cpu/layer_norm.hpp>
#include <fathom/backend/cpu/vector_math.hpp>
#include <fathom/op/linear.hpp>

namespace fathom {

namespace cpu_kernels::detail {

/// An activation on packs: of the value, and the cotangent before it from its result and the cotangent after it.
template <class F>
struct activation {
  static constexpr bool known = false;
};
template <>
struct activation<void> {
  static constexpr bool known = true;
  template <class T, int Bytes>
  static FATHOM_INLINE void apply(pack<T, Bytes>&) {}
};
/// A NaN stays one.
template <>
struct activation<functor::relu> {
  static constexpr bool known = true;
  template <class T, int Bytes>
  static FATHOM_INLINE void apply(pack<T, Bytes>& x) {
    x = x <= pack<T, Bytes>{} ? pack<T, Bytes>{} : x;
  }
  template <class T, int Bytes>
  static FATHOM_INLINE void pull(const pack<T, Bytes>& y, pack<T, Bytes>& dy) {
    dy = y > pack<T, Bytes>{} ? dy : pack<T, Bytes>{};
  }
};
template <>
struct activation<functor::sigmoid> {
  static constexpr bool known = true;
  template <class T, int Bytes>
  static FATHOM_INLINE void apply(pack<T, Bytes>& x) {
    sigmoid_in_place<T, Bytes>(x);
  }
  template <class T, int Bytes>
  static FATHOM_INLINE void pull(const pack<T, Bytes>& y, pack<T, Bytes>& dy) {
    dy *= y * (T(1) - y);
  }
};

/// c = f(c + bias) for every row of a tile; bias may be null.
template <class T, class F>
struct finish_tile {
  template <int Bytes>
  static FATHOM_INLINE void run(const T* bias, index_t rows, index_t columns, T* c, index_t ldc) {
    constexpr index_t L = pack_size<T, Bytes>;
    for (index_t i = 0; i < rows; ++i) {
      T* const line = c + i * ldc;
      index_t j = 0;
      for (; j + L <= columns; j += L) {
        pack<T, Bytes> value, shift;
        load(value, line + j);
        if (bias != nullptr) {
          load(shift, bias + j);
          value += shift;
        }
        activation<F>::template apply<T, Bytes>(value);
        store(value, line + j);
      }
      for (; j < columns; ++j) {
        T value = bias == nullptr ? line[j] : line[j] + bias[j];
        activation<F>::template apply<T, 0>(value);
        line[j] = value;
      }
    }
  }
};

/// slope = dy f'(...) for a band of rows of y = f(...), and its column sums; slope may be dy.
template <class T, class F>
struct pull_rows {
  template <int Bytes>
  static FATHOM_INLINE void run(index_t rows, index_t columns, const T* y, const T* dy, index_t dy_stride, T* slope,
                                T* sums) {
    constexpr index_t L = pack_size<T, Bytes>;
    using P = pack<T, Bytes>;
    for (index_t i = 0; i < rows; ++i) {
      const T *const value_line = y + i * columns, *const from = dy + i * dy_stride;
      T* const to = slope + i * columns;
      index_t j = 0;
      for (; j + L <= columns; j += L) {
        P value, change, sum;
        load(value, value_line + j);
        load(change, from + j);
        activation<F>::template pull<T, Bytes>(value, change);
        store(change, to + j);
        if (i > 0) {
          load(sum, sums + j);
          change += sum;
        }
        store(change, sums + j);
      }
      for (; j < columns; ++j) {
        T change = from[j];
        activation<F>::template pull<T, 0>(value_line[j], change);
        to[j] = change;
        sums[j] = i > 0 ? sums[j] + change : change;
      }
    }
  }
};

/// pull_rows for all rows; sums [columns] get the column sums, in an order that depends on the extents alone.
template <class F, class T>
void pull_back(thread_pool& pool, index_t rows, index_t columns, const T* y, const T* dy, index_t dy_stride, T* slope,
               T* sums) {
  const index_t band = std::max<index_t>({1, 16384 / std::max<index_t>(columns, 1), (rows + 255) / 256});
  const index_t bands = (rows + band - 1) / band;
  const auto partial = pool.scratch<T>(pool.current_worker(), bands * columns);
  pool.parallel_for(bands, [&](index_t task, int) {
    const index_t first = task * band;
    run_multiversion<pull_rows<T, F>>(std::min(band, rows - first), columns, y + first * columns,
                                      dy + first * dy_stride, dy_stride, slope + first * columns,
                                      partial.data() + task * columns);
  });
  run_multiversion<sum_parts<T>>(static_cast<const T*>(partial.data()), bands, columns, columns, sums);
}

}  // namespace cpu_kernels::detail

namespace detail {
/// x as rows over its last axis: contiguous values, one row stride; copied only where it is not like that already.
template <class T, int R>
tensor<cpu<T>, 2> as_rows(const tensor<cpu<T>, R>& x) {
  const index_t c = x.extent(-1);
  const index_t n = x.size() / (c > 0 ? c : 1);
  if (c == 1 || x.stride(R - 1) == 1) {
    index_t step = 0, count = 1;
    bool uniform = true;
    for (int axis = R - 2; axis >= 0; --axis) {
      if (x.extent(axis) == 1) continue;
      if (count == 1)
        step = x.stride(axis);
      else
        uniform = uniform && x.stride(axis) == step * count;
      count *= x.extent(axis);
    }
    if (uniform && (count == 1 || step >= c))
      return x.reinterpret(extents<2>{n, c}, extents<2>{count == 1 ? c : step, 1});
  }
  return contiguous(x).reinterpret(extents<2>{n, c}, extents<2>{c, 1});
}
}  // namespace detail

template <class T>
struct kernel<linear_op, cpu<T>> : linear_op {
  using B = cpu<T>;
  template <int R>
  using residuals_t = std::tuple<tensor<B, R>, tensor<B, 2>, bool>;

  template <int R>
  static auto forward(const tensor<B, R>& x, const tensor<B, 2>& weight, const std::optional<tensor<B, 1>>& bias) {
    return op_result{product<void>(x, weight, bias), residuals_t<R>(x, weight, bias.has_value())};
  }

  template <int R>
  static auto vjp(const residuals_t<R>& residuals, const tensor<B, R>& dy) {
    const bool has_bias = std::get<2>(residuals);
    tensor<B, R> dx;
    tensor<B, 2> dw;
    tensor<B, 1> db;
    add_products(residuals, dy, &dx, &dw);
    if (has_bias) add_sums(dy, &db);
    return std::tuple(dx, dw, has_bias ? std::optional<tensor<B, 1>>(db) : std::nullopt);
  }

  template <int R, class X, class Weight, class Bias>
  static void add_gradients(const residuals_t<R>& residuals, const tensor<B, R>& dy, const X& x, const Weight& weight,
                            const Bias& bias) {
    add_products(residuals, dy, x.target(), weight.target());
    if (auto* const sums = bias.target()) add_sums(dy, sums);
  }

  /// f(x W^T + b), F = void for no f.
  template <class F, int R>
  static tensor<B, R> product(const tensor<B, R>& x, const tensor<B, 2>& weight,
                              const std::optional<tensor<B, 1>>& bias) {
    check(x, weight, bias);
    const auto rows = detail::as_rows(x);
    const auto w = contiguous(weight);
    auto e = x.shape();
    e[R - 1] = weight.extent(0);
    tensor<B, R> y(x.backend(), e);
    const index_t m = rows.extent(0), k = rows.extent(1), n = weight.extent(0);
    const auto multiply = [&](auto&& epilogue) {
      cpu_kernels::gemm(x.backend().pool(), false, true, m, n, k, T(1), rows.data(), rows.stride(0), w.data(), k, T(0),
                        y.mutable_data(), n, epilogue);
    };
    if (!std::is_void_v<F> || bias) {
      const auto b = bias ? contiguous(*bias) : tensor<B, 1>();
      multiply([values = b.data()](index_t, index_t j, index_t tile_rows, index_t tile_columns, T* c, index_t ldc) {
        cpu_kernels::run_multiversion<cpu_kernels::detail::finish_tile<T, F>>(values == nullptr ? values : values + j,
                                                                              tile_rows, tile_columns, c, ldc);
      });
    } else {
      multiply(cpu_kernels::no_epilogue{});
    }
    return y;
  }

  /// *dx += dy W and *dw += dy^T x, in place where they hold something already; null: not wanted.
  template <int R>
  static void add_products(const residuals_t<R>& residuals, const tensor<B, R>& dy, tensor<B, R>* dx,
                           tensor<B, 2>* dw) {
    const auto& x = std::get<0>(residuals);
    const auto& weight = std::get<1>(residuals);
    const auto rows = detail::as_rows(x), dy_rows = detail::as_rows(dy);
    const auto w = contiguous(weight);
    const index_t m = rows.extent(0), c_in = weight.extent(1), c_out = weight.extent(0);
    using operands = cpu_kernels::detail::gemm_operands<T>;
    const auto to_input = [&] {
      const T beta = detail::opened(*dx, x.backend(), x.shape());
      return operands{false,
                      false,
                      m,
                      c_in,
                      c_out,
                      T(1),
                      dy_rows.data(),
                      dy_rows.stride(0),
                      w.data(),
                      c_in,
                      beta,
                      dx->mutable_data(),
                      c_in};
    };
    const auto to_weight = [&] {
      const T beta = detail::opened(*dw, x.backend(), weight.shape());
      return operands{true,        false,          c_out,          c_in,
                      m,           T(1),           dy_rows.data(), dy_rows.stride(0),
                      rows.data(), rows.stride(0), beta,           dw->mutable_data(),
                      c_in};
    };
    auto& pool = x.backend().pool();
    if (dx != nullptr && dw != nullptr)
      cpu_kernels::gemm_pair(pool, to_input(), to_weight());
    else if (dx != nullptr)
      cpu_kernels::gemm(pool, to_input());
    else if (dw != nullptr)
      cpu_kernels::gemm(pool, to_weight());
  }

  /// *to += sums, over its place where there is nothing yet.
  static void add_bias(tensor<B, 1>* to, const tensor<B, 1>& sums) {
    if (to->empty()) {
      *to = sums;
    } else {
      detail::opened(*to, sums.backend(), sums.shape());
      detail::add_into(*to, sums);
    }
  }

 private:
  template <int R>
  static void add_sums(const tensor<B, R>& dy, tensor<B, 1>* to) {
    add_bias(to,
             detail::reduce_to<B, 1>(dy.backend(), {dy.extent(-1)}, functor::identity{}, detail::as_rows(dy).view()));
  }
};

template <class F, class T>
requires cpu_kernels::detail::activation<F>::known struct kernel<linear_then_op<F>, cpu<T>> : linear_then_op<F> {
  using B = cpu<T>;
  using linear_kernel = kernel<linear_op, B>;
  template <int R>
  using residuals_t = std::tuple<typename linear_kernel::template residuals_t<R>, tensor<B, R>>;

  template <int R>
  static auto forward(const tensor<B, R>& x, const tensor<B, 2>& weight, const std::optional<tensor<B, 1>>& bias) {
    const auto y = linear_kernel::template product<F>(x, weight, bias);
    return op_result{y, residuals_t<R>({x, weight, bias.has_value()}, y)};
  }

  template <int R>
  static auto vjp(const residuals_t<R>& residuals, const tensor<B, R>& dy) {
    const auto& linear = std::get<0>(residuals);
    const bool has_bias = std::get<2>(linear);
    tensor<B, R> dx;
    tensor<B, 2> dw;
    tensor<B, 1> db(dy.backend(), {dy.extent(-1)});
    linear_kernel::add_products(linear, slope(residuals, dy, false, db), &dx, &dw);
    return std::tuple(dx, dw, has_bias ? std::optional<tensor<B, 1>>(db) : std::nullopt);
  }

  template <int R, class X, class Weight, class Bias>
  static void add_gradients(const residuals_t<R>& residuals, const tensor<B, R>& dy, const X& x, const Weight& weight,
                            const Bias& bias) {
    tensor<B, 1> sums(dy.backend(), {dy.extent(-1)});
    linear_kernel::add_products(std::get<0>(residuals), slope(residuals, dy, true, sums), x.target(), weight.target());
    if (auto* const db = bias.target()) linear_kernel::add_bias(db, sums);
  }

 private:
  /// The cotangent before the activation, over dy where that is allowed and nobody else sees it; `sums` gets its column
  /// sums.
  template <int R>
  static tensor<B, R> slope(const residuals_t<R>& residuals, const tensor<B, R>& dy, bool over, tensor<B, 1>& sums) {
    const auto& y = std::get<1>(residuals);
    const index_t c = y.extent(-1), rows = c > 0 ? y.size() / c : 0;
    const auto from = detail::as_rows(dy);
    const bool take_over = over && dy.is_unique() && dy.is_contiguous();
    tensor<B, R> to = take_over ? dy : tensor<B, R>(y.backend(), y.shape());
    cpu_kernels::detail::pull_back<F, T>(y.backend().pool(), rows, c, y.data(), from.data(), from.stride(0),
                                         to.mutable_data(), sums.mutable_data());
    return to;
  }
};

}  // namespace fathom
