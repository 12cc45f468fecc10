// SPDX-License-Identifier: Apache-2.0
// Rows of a table by number (embeddings, one-hot products, residue constants) and one-hot encodings.
#pragma once

#include <fathom/op/layout.hpp>

namespace fathom {

/// y[n, ...] = table[where[n], ...]
struct gather_op {
  static constexpr const char* name = "gather";
  template <class B, int R>
  static auto forward(const tensor<B, R>& table, const tensor<B, 1, index_t>& where) {
    auto e = table.shape();
    e[0] = where.extent(0);
    tensor<B, R> y(table.backend(), e);
    table.backend().gather(y.mutable_view(), table.view(), where.view());
    return op_result{y, std::tuple(table.shape(), where)};
  }
  template <class B, int R>
  static auto vjp(const std::tuple<extents<R>, tensor<B, 1, index_t>>& residuals, const tensor<B, R>& dy) {
    const auto& [whole, where] = residuals;
    auto dtable = full<R>(dy.backend(), whole, scalar_of<B>(0));
    dy.backend().scatter_add(dtable.mutable_view(), where.view(), dy.view());
    return std::tuple(dtable, none{});
  }
};

/// Rows of `table` [rows, ...] at `where` [n] (each in [0, rows); unchecked on the device): [n, ...].
template <class B, int R>
tensor<B, R> gather(const tensor<B, R>& table, const tensor<B, 1, index_t>& where) {
  return apply<gather_op>(table, where);
}

namespace functor {
struct one_hot_value {
  template <class T>
  FATHOM_HD T operator()(index_t number, T channel) const {
    return number == static_cast<index_t>(channel) ? T(1) : T(0);
  }
};
struct position {
  FATHOM_HD double operator()(index_t i) const { return static_cast<double>(i); }
};
}  // namespace functor

/// [...] numbers to [..., classes]
struct one_hot_op {
  static constexpr const char* name = "one_hot";
  template <class B, int R>
  static auto forward(const tensor<B, R, index_t>& numbers, index_t classes) {
    const auto& b = numbers.backend();
    extents<R + 1> e{};
    for (std::size_t a = 0; a + 1 < e.size(); ++a) e[a] = numbers.shape()[a];
    e[R] = classes;
    tensor<B, 1> channel(b, {classes});
    b.generate(functor::position{}, channel.mutable_view());
    auto wide = numbers.view();
    wide.rank = R + 1;
    wide.extent[R] = classes;
    wide.stride[R] = 0;
    tensor<B, R + 1> y(b, e);
    b.map(functor::one_hot_value{}, y.mutable_view(), wide, detail::broadcast_to_view(channel.view(), e));
    return op_result{y, none{}};
  }
  template <class Cotangent>
  static auto vjp(const none&, const Cotangent&) {
    return std::tuple(none{}, none{});
  }
};

/// 1 at the number, else 0 (AF2 Suppl. Alg. 5). A number outside [0, classes) gives a row of zeros.
template <class B, int R>
tensor<B, R + 1> one_hot(const tensor<B, R, index_t>& numbers, index_t classes) {
  return apply<one_hot_op>(numbers, classes);
}

}  // namespace fathom
