// SPDX-License-Identifier: Apache-2.0
// Forward mode as a backend: tensors of dual numbers, computed by another backend's kernels. What is written for any
// backend needs no rules of its own, and reverse mode over it, autodiff<dual_backend<B>>, gives second derivatives.
#pragma once

#include <memory>
#include <utility>

#include <fathom/core/dual.hpp>
#include <fathom/tensor/tensor.hpp>

namespace fathom {

namespace detail {

struct join_dual {
  template <class T>
  FATHOM_HD dual<T> operator()(T value, T slope) const {
    return {value, slope};
  }
};
struct dual_value {
  template <class T>
  FATHOM_HD T operator()(const dual<T>& x) const {
    return x.value;
  }
};
struct dual_slope {
  template <class T>
  FATHOM_HD T operator()(const dual<T>& x) const {
    return x.slope;
  }
};
/// alpha (value + slope e) + beta c; c may hold anything where beta is 0.
template <class T>
struct finish_product {
  dual<T> alpha, beta;
  FATHOM_HD dual<T> operator()(const dual<T>& c, T value, T slope) const {
    const dual<T> product = alpha * dual<T>(value, slope);
    return beta == dual<T>(0) ? product : product + beta * c;
  }
};
/// f under a name of which no backend has a version of its own for plain numbers.
template <class F>
struct unspecialised {
  F f;
  template <class... T>
  FATHOM_HD auto operator()(T... x) const {
    return f(x...);
  }
};

}  // namespace detail

/// Dual numbers over the scalars of the plain backend B, in its storage. Elementwise work and sums are B's loops over
/// pairs {value, slope}; a product is three of B's: (a + a' e)(b + b' e) = a b + (a b' + a' b) e. Operations are those
/// in fathom/op, not B's own versions of them. An evaluation takes twice the memory, and its products three times the
/// work.
template <plain_backend B>
class dual_backend {
 public:
  using real_backend = B;
  using real = scalar_of<B>;
  using scalar = dual<real>;
  static constexpr bool host_memory = requires { requires B::host_memory; };

  dual_backend() = default;
  explicit dual_backend(B of_reals) : reals_(std::move(of_reals)) {}
  const B& reals() const { return reals_; }
  bool operator==(const dual_backend& other) const { return reals_ == other.reals_; }

  template <class U>
  std::shared_ptr<U> allocate(index_t n) const {
    return reals_.template allocate<U>(n);
  }
  template <class U>
  void upload(U* to, const U* from, index_t n) const {
    reals_.upload(to, from, n);
  }
  template <class U>
  void download(U* to, const U* from, index_t n) const {
    reals_.download(to, from, n);
  }
  void synchronize() const { reals_.synchronize(); }

  template <class F, class Out, class... In>
  void map(const F& f, strided_view<Out> out, strided_view<In>... in) const {
    reals_.map(detail::unspecialised<F>{f}, out, in...);
  }
  template <class F, class Out>
  void generate(const F& f, strided_view<Out> out) const {
    reals_.generate(f, out);
  }
  template <class Monoid, class F, class Out, class... In>
  void reduce(const Monoid& monoid, const F& f, strided_view<Out> out, strided_view<In>... in) const {
    reals_.reduce(monoid, detail::unspecialised<F>{f}, out, in...);
  }

  void gemm(scalar alpha, strided_view<const scalar> a, strided_view<const scalar> b, scalar beta,
            strided_view<scalar> c) const {
    const std::shared_ptr<real> values = allocate<real>(c.size()), slopes = allocate<real>(c.size());
    const strided_view<real> value = detail::row_major_like(values.get(), c);
    const strided_view<real> slope = detail::row_major_like(slopes.get(), c);
    reals_.gemm(real(1), part(a, 0), part(b, 0), real(0), value);
    reals_.gemm(real(1), part(a, 0), part(b, 1), real(0), slope);
    reals_.gemm(real(1), part(a, 1), part(b, 0), real(1), slope);
    reals_.map(detail::finish_product<real>{alpha, beta}, c, strided_view<const scalar>(c),
               strided_view<const real>(value), strided_view<const real>(slope));
  }

  template <class U>
  void gather(strided_view<U> out, strided_view<const U> table, strided_view<const index_t> where) const {
    reals_.gather(out, table, where);
  }
  template <class U>
  void scatter_add(strided_view<U> out, strided_view<const index_t> where, strided_view<const U> update) const {
    reals_.scatter_add(out, where, update);
  }

 private:
  /// The values (0) or slopes (1) among dual numbers, which lie side by side.
  static strided_view<const real> part(const strided_view<const scalar>& x, int which) {
    static_assert(sizeof(scalar) == 2 * sizeof(real));
    strided_view<const real> view{reinterpret_cast<const real*>(x.data) + which, x.rank, {}, {}};
    for (int axis = 0; axis < x.rank; ++axis) {
      view.extent[axis] = x.extent[axis];
      view.stride[axis] = 2 * x.stride[axis];
    }
    return view;
  }

  [[no_unique_address]] B reals_{};
};

/// values + slopes e; an empty tensor of slopes stands for zeros.
template <plain_backend B, int R>
tensor<dual_backend<B>, R> with_slopes(const tensor<B, R>& values, const tensor<B, R>& slopes) {
  const dual_backend<B> d(values.backend());
  if (values.empty()) return tensor<dual_backend<B>, R>::unfilled(d, values.shape());
  tensor<dual_backend<B>, R> x(d, values.shape());
  const tensor<B, R> s = slopes.empty() ? zeros_like(values) : slopes;
  values.backend().map(detail::join_dual{}, x.mutable_view(), values.view(), s.view());
  return x;
}
template <plain_backend B, int R>
tensor<B, R> values_of(const tensor<dual_backend<B>, R>& x) {
  tensor<B, R> y(x.backend().reals(), x.shape());
  y.backend().map(detail::dual_value{}, y.mutable_view(), x.view());
  return y;
}
template <plain_backend B, int R>
tensor<B, R> slopes_of(const tensor<dual_backend<B>, R>& x) {
  tensor<B, R> y(x.backend().reals(), x.shape());
  y.backend().map(detail::dual_slope{}, y.mutable_view(), x.view());
  return y;
}

}  // namespace fathom
