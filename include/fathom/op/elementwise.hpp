// SPDX-License-Identifier: Apache-2.0
// Elementwise operations with numpy's broadcasting: trailing axes align, extents of 1 and missing axes repeat.
#pragma once

#include <tuple>

#include <fathom/op/functors.hpp>
#include <fathom/op/kernel.hpp>

namespace fathom {

namespace detail {

/// Extents of the broadcast of two shapes; throws shape_error where they do not fit.
template <int Ra, int Rb>
extents<(Ra > Rb ? Ra : Rb)> broadcast_extents(const char* name, const extents<Ra>& a, const extents<Rb>& b) {
  constexpr int R = Ra > Rb ? Ra : Rb;
  extents<R> e{};
  for (int axis = 0; axis < R; ++axis) {
    const int ia = axis - (R - Ra), ib = axis - (R - Rb);
    const index_t ea = ia < 0 ? 1 : a[static_cast<std::size_t>(ia)];
    const index_t eb = ib < 0 ? 1 : b[static_cast<std::size_t>(ib)];
    if (ea != eb && ea != 1 && eb != 1)
      throw shape_error(concat(name, ": extents ", to_string_extents(a), " and ", to_string_extents(b),
                               " do not broadcast; aligned at the last axis they must be equal or 1"));
    e[static_cast<std::size_t>(axis)] = ea == 1 ? eb : ea;
  }
  return e;
}

template <class View, class... Rest>
int first_rank(const View& view, const Rest&...) {
  return view.rank;
}
/// The same elements with leading axes of extent 1 up to `rank` axes.
template <class T>
strided_view<T> pad_view(const strided_view<T>& view, int rank) {
  strided_view<T> padded{view.data, rank, {}, {}};
  for (int a = 0; a < rank; ++a) {
    const int from = a - (rank - view.rank);
    padded.extent[a] = from < 0 ? 1 : view.extent[from];
    padded.stride[a] = from < 0 ? 0 : view.stride[from];
  }
  return padded;
}
/// Sums f(views...) over every axis along which a tensor of extents `target` was repeated.
template <class B, int R, class F, class... Views>
tensor<B, R> reduce_to(const B& b, const extents<R>& target, const F& f, const Views&... views) {
  tensor<B, R> out(b, target);
  b.reduce(functor::sum{}, f, pad_view(out.mutable_view(), first_rank(views...)), views...);
  return out;
}
template <class T, std::size_t R>
strided_view<T> broadcast_to_view(const strided_view<T>& view, const std::array<index_t, R>& e) {
  return broadcast_view(view, static_cast<int>(R), e.data());
}

/// to += x on a plain backend; `to` must be the caller's own.
template <plain_backend B, int R>
void add_into(tensor<B, R>& to, const tensor<B, R>& x) {
  const strided_view<const scalar_of<B>> before = to.view();
  to.backend().map(functor::value_of<functor::add>{}, to.mutable_view(), before, x.view());
}

}  // namespace detail

/// y = f(x)
template <class F>
struct unary_op {
  static constexpr const char* name = F::name;
  template <class B, int R>
  static auto forward(const tensor<B, R>& x, const F& f) {
    tensor<B, R> y(x.backend(), x.shape());
    x.backend().map(functor::value_of<F>{f}, y.mutable_view(), x.view());
    return op_result{y, std::tuple(x, y, f)};
  }
  template <class B, int R>
  static auto vjp(const std::tuple<tensor<B, R>, tensor<B, R>, F>& residuals, const tensor<B, R>& dy) {
    const auto& [x, y, f] = residuals;
    tensor<B, R> dx(x.backend(), x.shape());
    x.backend().map(functor::unary_pullback<F>{f}, dx.mutable_view(), x.view(), y.view(), dy.view());
    return std::tuple(dx, none{});
  }
};

/// y = f(a, b) with broadcasting
template <class F>
struct binary_op {
  static constexpr const char* name = F::name;
  template <class B, int Ra, int Rb>
  static auto forward(const tensor<B, Ra>& a, const tensor<B, Rb>& b, const F& f) {
    const auto e = detail::broadcast_extents<Ra, Rb>(name, a.shape(), b.shape());
    tensor<B, (Ra > Rb ? Ra : Rb)> y(a.backend(), e);
    a.backend().map(functor::value_of<F>{f}, y.mutable_view(), detail::broadcast_to_view(a.view(), e),
                    detail::broadcast_to_view(b.view(), e));
    // A sum's derivative needs none of its terms: a residual connection must not hold the update.
    const bool values = !sums || !same_extents(a, b);
    return op_result{y, std::tuple(values ? a : tensor<B, Ra>{}, values ? b : tensor<B, Rb>{}, f, values)};
  }
  template <class B, int Ra, int Rb, int R>
  static auto vjp(const std::tuple<tensor<B, Ra>, tensor<B, Rb>, F, bool>& residuals, const tensor<B, R>& dy) {
    const auto& [a, b, f, values] = residuals;
    if constexpr (sums && Ra == Rb) {
      if (!values) {
        if constexpr (std::is_same_v<F, functor::add>) return std::tuple(dy, dy, none{});
        tensor<B, R> minus(dy.backend(), dy.shape());
        dy.backend().map(functor::value_of<functor::negate>{}, minus.mutable_view(), dy.view());
        return std::tuple(dy, minus, none{});
      }
    }
    const auto va = detail::broadcast_to_view(a.view(), dy.shape());
    const auto vb = detail::broadcast_to_view(b.view(), dy.shape());
    return std::tuple(pull(functor::first_pullback<F>{f}, a, va, vb, dy),
                      pull(functor::second_pullback<F>{f}, b, va, vb, dy), none{});
  }

 private:
  static constexpr bool sums = std::is_same_v<F, functor::add> || std::is_same_v<F, functor::subtract>;
  template <class A, class C>
  static bool same_extents(const A& a, const C& b) {
    if constexpr (A::rank == C::rank)
      return a.shape() == b.shape();
    else
      return false;
  }

  template <class G, class B, int Rx, int R, class View>
  static tensor<B, Rx> pull(const G& g, const tensor<B, Rx>& x, const View& va, const View& vb,
                            const tensor<B, R>& dy) {
    if constexpr (Rx == R) {
      if (x.shape() == dy.shape()) {
        if constexpr (std::is_same_v<F, functor::add> ||
                      (std::is_same_v<F, functor::subtract> && std::is_same_v<G, functor::first_pullback<F>>))
          return dy;
        tensor<B, Rx> dx(x.backend(), x.shape());
        x.backend().map(g, dx.mutable_view(), va, vb, dy.view());
        return dx;
      }
    }
    return detail::reduce_to<B, Rx>(x.backend(), x.shape(), g, va, vb, dy.view());
  }
};

/// y_i = sum_k c_k x_i^(k): Runge-Kutta stages, error estimates, blends. Coefficients are plain numbers.
struct linear_combination_op {
  static constexpr const char* name = "linear_combination";
  static constexpr std::size_t fused = 4;

  template <class B, int R>
  static auto forward(const std::vector<tensor<B, R>>& x, const std::vector<double>& c) {
    if (x.empty() || x.size() != c.size())
      throw shape_error(detail::concat(name, ": got ", x.size(), " tensors and ", c.size(), " coefficients"));
    for (const auto& one : x) detail::expect_extents<R>(name, "a term", one, x.front().shape());
    using T = scalar_of<B>;
    const auto& b = x.front().backend();
    tensor<B, R> y(b, x.front().shape());
    std::size_t done = 0;
    while (done < x.size()) {
      const std::size_t n = std::min(fused, x.size() - done);
      combine<T> f{done > 0 ? T(1) : T(0), {}};
      for (std::size_t i = 0; i < n; ++i) f.c[i] = static_cast<T>(c[done + i]);
      const auto at = [&](std::size_t i) { return x[done + (i < n ? i : 0)].view(); };
      const strided_view<const T> sum = done > 0 ? strided_view<const T>(y.view()) : at(0);
      b.map(f, y.mutable_view(), sum, at(0), at(1), at(2), at(3));
      done += n;
    }
    return op_result{y, c};
  }
  template <class B, int R>
  static auto vjp(const std::vector<double>& c, const tensor<B, R>& dy) {
    std::vector<tensor<B, R>> dx;
    for (const double factor : c) {
      tensor<B, R> one(dy.backend(), dy.shape());
      dy.backend().map(functor::value_of<functor::affine>{{factor, 0}}, one.mutable_view(), dy.view());
      dx.push_back(one);
    }
    return std::tuple(dx, none{});
  }

  // Public, because a GPU's kernels are instantiated with it.
  template <class T>
  struct combine {
    T keep;
    T c[fused];
    FATHOM_HD T operator()(T sum, T a, T b, T d, T e) const {
      const T start = keep == T(0) ? T(0) : sum;
      return ((((start + term(c[0], a)) + term(c[1], b)) + term(c[2], d)) + term(c[3], e));
    }
    FATHOM_HD static T term(T factor, T x) { return factor == T(0) ? T(0) : factor * x; }
  };
};

/// sum_k c_k x^(k)
template <class B, int R>
tensor<B, R> linear_combination(const std::vector<tensor<B, R>>& x, const std::vector<double>& c) {
  return apply<linear_combination_op>(x, c);
}

template <class B, int R>
tensor<B, R> operator-(const tensor<B, R>& x) {
  return apply<unary_op<functor::negate>>(x, functor::negate{});
}
template <class B, int R>
tensor<B, R> exp(const tensor<B, R>& x) {
  return apply<unary_op<functor::exponential>>(x, functor::exponential{});
}
template <class B, int R>
tensor<B, R> log(const tensor<B, R>& x) {
  return apply<unary_op<functor::logarithm>>(x, functor::logarithm{});
}
template <class B, int R>
tensor<B, R> sqrt(const tensor<B, R>& x) {
  return apply<unary_op<functor::square_root>>(x, functor::square_root{});
}
template <class B, int R>
tensor<B, R> square(const tensor<B, R>& x) {
  return apply<unary_op<functor::square>>(x, functor::square{});
}
template <class B, int R>
tensor<B, R> reciprocal(const tensor<B, R>& x) {
  return apply<unary_op<functor::reciprocal>>(x, functor::reciprocal{});
}
template <class B, int R>
tensor<B, R> sigmoid(const tensor<B, R>& x) {
  return apply<unary_op<functor::sigmoid>>(x, functor::sigmoid{});
}
template <class B, int R>
tensor<B, R> relu(const tensor<B, R>& x) {
  return apply<unary_op<functor::relu>>(x, functor::relu{});
}
template <class B, int R>
tensor<B, R> tanh(const tensor<B, R>& x) {
  return apply<unary_op<functor::hyperbolic_tangent>>(x, functor::hyperbolic_tangent{});
}
template <class B, int R>
tensor<B, R> softplus(const tensor<B, R>& x) {
  return apply<unary_op<functor::softplus>>(x, functor::softplus{});
}
template <class B, int R>
tensor<B, R> sin(const tensor<B, R>& x) {
  return apply<unary_op<functor::sine>>(x, functor::sine{});
}
template <class B, int R>
tensor<B, R> cos(const tensor<B, R>& x) {
  return apply<unary_op<functor::cosine>>(x, functor::cosine{});
}
/// max(x, floor)
template <class B, int R>
tensor<B, R> at_least(const tensor<B, R>& x, double floor) {
  return apply<unary_op<functor::at_least>>(x, functor::at_least{floor});
}
/// factor x + offset
template <class B, int R>
tensor<B, R> affine(const tensor<B, R>& x, double factor, double offset) {
  return apply<unary_op<functor::affine>>(x, functor::affine{factor, offset});
}
template <class B, int R>
tensor<B, R> operator*(const tensor<B, R>& x, double factor) {
  return affine(x, factor, 0);
}
template <class B, int R>
tensor<B, R> operator*(double factor, const tensor<B, R>& x) {
  return affine(x, factor, 0);
}
template <class B, int R>
tensor<B, R> operator/(const tensor<B, R>& x, double divisor) {
  return affine(x, 1 / divisor, 0);
}
template <class B, int R>
tensor<B, R> operator+(const tensor<B, R>& x, double offset) {
  return affine(x, 1, offset);
}
template <class B, int R>
tensor<B, R> operator-(const tensor<B, R>& x, double offset) {
  return affine(x, 1, -offset);
}

template <class B, int Ra, int Rb>
auto operator+(const tensor<B, Ra>& a, const tensor<B, Rb>& b) {
  return apply<binary_op<functor::add>>(a, b, functor::add{});
}
template <class B, int Ra, int Rb>
auto operator-(const tensor<B, Ra>& a, const tensor<B, Rb>& b) {
  return apply<binary_op<functor::subtract>>(a, b, functor::subtract{});
}
template <class B, int Ra, int Rb>
auto operator*(const tensor<B, Ra>& a, const tensor<B, Rb>& b) {
  return apply<binary_op<functor::multiply>>(a, b, functor::multiply{});
}
template <class B, int Ra, int Rb>
auto operator/(const tensor<B, Ra>& a, const tensor<B, Rb>& b) {
  return apply<binary_op<functor::divide>>(a, b, functor::divide{});
}
/// sigmoid(logits) x
template <class B, int Ra, int Rb>
auto gate(const tensor<B, Ra>& logits, const tensor<B, Rb>& x) {
  return apply<binary_op<functor::gate>>(logits, x, functor::gate{});
}

namespace detail {
/// a + b, written over a where nobody else can see a: residual streams grow no copies.
template <class F, class B, int R>
tensor<B, R> into_first(tensor<B, R>&& a, const tensor<B, R>& b) {
  if constexpr (plain_backend<B>) {
    if (a.is_unique() && a.is_contiguous() && a.shape() == b.shape()) {
      const strided_view<const scalar_of<B>> before = a.view();
      a.backend().map(functor::value_of<F>{}, a.mutable_view(), before, b.view());
      return std::move(a);
    }
  }
  return apply<binary_op<F>>(a, b, F{});
}
}  // namespace detail
/// The sum takes over the storage of a temporary left side on plain backends.
template <class B, int R>
tensor<B, R> operator+(tensor<B, R>&& a, const tensor<B, R>& b) {
  return detail::into_first<functor::add>(std::move(a), b);
}
template <class B, int R>
tensor<B, R> operator*(tensor<B, R>&& a, const tensor<B, R>& b) {
  return detail::into_first<functor::multiply>(std::move(a), b);
}

}  // namespace fathom
