// SPDX-License-Identifier: Apache-2.0
// What a processor must offer so that every model of the library runs on it: storage and seven kernels.
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>

#include <fathom/core/config.hpp>
#include <fathom/core/dual.hpp>
#include <fathom/tensor/strided_view.hpp>

namespace fathom {

/// Marks backends that only decorate another one (autodiff) and own no kernels.
template <class B>
concept decorated_backend = requires {
  typename B::inner_backend;
};

namespace detail {
struct copy_value {
  template <class T>
  FATHOM_HD T operator()(T x) const {
    return x;
  }
};
struct sum_values {
  template <class T>
  FATHOM_HD static T identity() {
    return T(0);
  }
  template <class T>
  FATHOM_HD T operator()(T a, T b) const {
    return a + b;
  }
};
struct generate_probe {
  FATHOM_HD double operator()(index_t i) const { return static_cast<double>(i); }
};
}  // namespace detail

/// A backend is a cheap, copyable handle (device, threads, stream) that tensors carry along.
///
///   allocate<T>(n)                 storage for n elements, contents undefined
///   upload(dst, src, n), download  between host memory and storage
///   synchronize()                  returns when all work so far is done
///   map(f, out, in...)             out[i] = f(in[i]...), all views of the same extents
///   generate(f, out)               out[i] = f(row-major number of i)
///   reduce(monoid, f, out, in...)  out[i] = monoid over the axes where out has extent 1 of f(in...), in a fixed order
///   gemm(alpha, a, b, beta, c)     c = alpha a b + beta c over the last two axes, leading axes are a batch
///   gather(out, table, i)          out[n, ...] = table[i[n], ...]
///   scatter_add(out, i, update)    out[i[n], ...] += update[n, ...] in the order of n
///
/// A backend whose storage the host may read and write says so by `static constexpr bool host_memory = true`. The
/// output of gemm has a unit stride in one of its last two axes; other views may have any strides, 0 included.
template <class B>
concept plain_backend = std::copyable<B> && std::equality_comparable<B> && is_real_number<typename B::scalar> &&
    requires(const B b, strided_view<typename B::scalar> out, strided_view<const typename B::scalar> in,
             strided_view<const index_t> where, typename B::scalar* device, const typename B::scalar* host) {
  { b.template allocate<typename B::scalar>(index_t{}) } -> std::same_as<std::shared_ptr<typename B::scalar>>;
  b.upload(device, host, index_t{});
  b.download(device, host, index_t{});
  b.synchronize();
  b.map(detail::copy_value{}, out, in);
  b.generate(detail::generate_probe{}, out);
  b.reduce(detail::sum_values{}, detail::copy_value{}, out, in);
  b.gemm(typename B::scalar(1), in, in, typename B::scalar(0), out);
  b.gather(out, in, where);
  b.scatter_add(out, where, in);
};

/// Every backend: a plain one, or a decorator of one.
template <class B>
concept backend = plain_backend<B> || decorated_backend<B>;

}  // namespace fathom
