// SPDX-License-Identifier: Apache-2.0
// Every operation of include/fathom/op, forward and vjp, over ragged extents.
#pragma once

#include "support.hpp"

#include <fathom/autodiff/gradient.hpp>
#include <fathom/op/attention.hpp>
#include <fathom/op/bilinear.hpp>
#include <fathom/op/dropout.hpp>
#include <fathom/op/indexing.hpp>
#include <fathom/op/layer_norm.hpp>
#include <fathom/op/linear.hpp>
#include <fathom/op/masked_logits.hpp>
#include <fathom/op/matmul.hpp>
#include <fathom/op/outer_product.hpp>
#include <fathom/op/random.hpp>
#include <fathom/op/reduction.hpp>
#include <fathom/op/scaled_difference.hpp>
#include <fathom/op/softmax.hpp>
#include <fathom/op/triangle.hpp>

namespace conformance {

namespace functor = fathom::functor;

template <class F, class B, std::size_t R>
void unary(records& all, const maker<B>& make, const std::array<index_t, R>& e, const F& f, double low = -2,
           double high = 2) {
  run<fathom::unary_op<F>>(all, fathom::to_string_extents(e), make,
                           make.template real<static_cast<int>(R)>(e, 41, low, high), f);
}
template <class F, class B, std::size_t Ra, std::size_t Rb>
void binary(records& all, const maker<B>& make, const std::array<index_t, Ra>& ea, const std::array<index_t, Rb>& eb,
            const F& f) {
  run<fathom::binary_op<F>>(all, fathom::to_string_extents(ea) + " " + fathom::to_string_extents(eb), make,
                            make.template real<static_cast<int>(Ra)>(ea, 42),
                            make.template real<static_cast<int>(Rb)>(eb, 43, 0.5, 2), f);
}

template <class B>
void elementwise_cases(records& all, const maker<B>& make) {
  for (const extents<3>& e : {extents<3>{3, 5, 7}, extents<3>{1, 1, 1}, extents<3>{2, 0, 3}, extents<3>{5, 23, 67}}) {
    unary(all, make, e, functor::negate{});
    unary(all, make, e, functor::exponential{});
    unary(all, make, e, functor::logarithm{}, 0.5, 3);
    unary(all, make, e, functor::square_root{}, 0.5, 3);
    unary(all, make, e, functor::square{});
    unary(all, make, e, functor::reciprocal{}, 0.5, 3);
    unary(all, make, e, functor::sigmoid{}, -30, 30);
    unary(all, make, e, functor::relu{});
    unary(all, make, e, functor::hyperbolic_tangent{}, -12, 12);
    unary(all, make, e, functor::softplus{}, -40, 40);
    unary(all, make, e, functor::sine{}, -7, 7);
    unary(all, make, e, functor::cosine{}, -7, 7);
    unary(all, make, e, functor::affine{-1.5, 0.25});
    unary(all, make, e, functor::at_least{0.3});
    unary(all, make, e, functor::mask_to_bias{1e9}, 0, 1);
  }
  unary(all, make, extents<0>{}, functor::exponential{});
  const auto pairs = [&](const auto& f) {
    binary(all, make, extents<3>{3, 5, 7}, extents<3>{3, 5, 7}, f);
    binary(all, make, extents<3>{3, 5, 7}, extents<1>{7}, f);
    binary(all, make, extents<3>{3, 1, 7}, extents<3>{1, 5, 1}, f);
    binary(all, make, extents<2>{5, 7}, extents<3>{4, 5, 7}, f);
    binary(all, make, extents<0>{}, extents<3>{4, 5, 7}, f);
    binary(all, make, extents<2>{0, 7}, extents<1>{7}, f);
    binary(all, make, extents<3>{40, 3, 67}, extents<3>{40, 1, 67}, f);
  };
  pairs(functor::add{});
  pairs(functor::subtract{});
  pairs(functor::multiply{});
  pairs(functor::divide{});
  pairs(functor::gate{});
  pairs(functor::squared_difference{});
  for (const std::size_t n : {std::size_t{1}, std::size_t{4}, std::size_t{5}, std::size_t{9}}) {
    std::vector<tensor<B, 2>> terms;
    std::vector<double> factors;
    for (std::size_t k = 0; k < n; ++k) {
      terms.push_back(make.template real<2>({13, 9}, 50 + k));
      factors.push_back(k == 2 ? 0.0 : 0.5 + 0.25 * static_cast<double>(k));
    }
    run<fathom::linear_combination_op>(all, std::to_string(n), make, terms, factors);
  }
}

template <class B>
void difference_cases(records& all, const maker<B>& make) {
  for (const extents<3>& e : {extents<3>{3, 5, 7}, extents<3>{2, 0, 3}, extents<3>{5, 23, 67}})
    run<fathom::scaled_difference_op>(all, fathom::to_string_extents(e), make, make.template real<3>(e, 51),
                                      make.template real<3>(e, 52), make.template real<1>({1}, 53));
}

template <class B>
void layout_cases(records& all, const maker<B>& make) {
  const auto x = make.template real<4>({2, 3, 5, 4}, 61);
  run<fathom::permute_op>(all, "0213", make, x, std::array<int, 4>{0, 2, 1, 3});
  run<fathom::permute_op>(all, "3120", make, x, std::array<int, 4>{3, 1, 2, 0});
  run<fathom::slice_op>(all, "middle", make, x, 2, index_t{1}, index_t{4});
  run<fathom::slice_op>(all, "nothing", make, x, 1, index_t{3}, index_t{3});
  run<fathom::slice_op>(all, "first", make, x, 0, index_t{0}, index_t{1});
  run<fathom::reshape_op<2>>(all, "to a matrix", make, x, extents<2>{6, 20});
  run<fathom::reshape_op<3>>(all, "mixing axes", make, x, extents<3>{15, 2, 4});
  run<fathom::reshape_op<6>>(all, "with axes of 1", make, x, extents<6>{1, 2, 3, 1, 5, 4});
  run<fathom::broadcast_op<4>>(all, "rows", make, make.template real<2>({5, 1}, 62), extents<4>{2, 3, 5, 4});
  run<fathom::broadcast_op<2>>(all, "a number", make, make.template real<0>({}, 63), extents<2>{3, 4});
  for (const int axis : {0, 1, 2, -1}) {
    std::vector<tensor<B, 3>> parts;
    for (const index_t n : {2, 0, 5}) {
      extents<3> e{3, 4, 6};
      e[static_cast<std::size_t>(axis < 0 ? 2 : axis)] = n;
      parts.push_back(make.template real<3>(e, 64 + static_cast<std::uint64_t>(n)));
    }
    run<fathom::concatenate_op>(all, "axis " + std::to_string(axis), make, parts, axis);
    run<fathom::join_op>(all, "axis " + std::to_string(axis), make, parts[0], parts[2], axis);
  }
}

template <class B>
void reduction_cases(records& all, const maker<B>& make) {
  for (const extents<3>& e : {extents<3>{3, 5, 7}, extents<3>{1, 1, 1}, extents<3>{2, 0, 3}, extents<3>{3, 700, 2}})
    for (int axis = 0; axis < 3; ++axis) {
      const std::string name = fathom::to_string_extents(e) + " axis " + std::to_string(axis);
      const auto a = make.template real<3>(e, 71), b = make.template real<3>(e, 72);
      run<fathom::sum_op>(all, name, make, a, axis);
      run<fathom::sum_binary_op<functor::multiply>>(all, "sum " + name, make, a, b, axis, functor::multiply{});
      run<fathom::sum_binary_op<functor::squared_difference>>(all, "sum " + name, make, a, b, axis,
                                                              functor::squared_difference{});
    }
  run<fathom::sum_binary_op<functor::squared_difference>>(all, "distances", make, make.template real<3>({6, 1, 3}, 73),
                                                          make.template real<3>({1, 9, 3}, 74), 2,
                                                          functor::squared_difference{});
  record r{"sum, mean and mean_square of everything", {}};
  const auto x = make.template real<3>({7, 11, 13}, 75, 0, 1);
  r.add(fathom::sum(x));
  r.add(fathom::mean(x));
  r.add(fathom::mean_square(x));
  all.push_back(std::move(r));
}

template <class B>
void product_cases(records& all, const maker<B>& make) {
  struct shapes {
    extents<3> a, b;
  };
  const shapes cases[] = {{{1, 1, 1}, {1, 1, 1}},   {{2, 5, 3}, {2, 3, 7}},       {{1, 33, 17}, {4, 17, 9}},
                          {{3, 8, 1}, {1, 1, 31}},  {{2, 6, 0}, {2, 0, 4}},       {{2, 0, 3}, {2, 3, 4}},
                          {{1, 1, 64}, {1, 64, 1}}, {{1, 67, 129}, {1, 129, 70}}, {{11, 4, 5}, {11, 5, 4}}};
  for (const auto& c : cases)
    run<fathom::matmul_op>(all, fathom::to_string_extents(c.a) + " " + fathom::to_string_extents(c.b), make,
                           make.template real<3>(c.a, 81), make.template real<3>(c.b, 82), 0.75);
  run<fathom::matmul_op>(all, "two batch axes", make, make.template real<4>({2, 3, 4, 6}, 83),
                         make.template real<4>({1, 3, 6, 5}, 84), 1.0);
  struct layer {
    extents<3> x;
    index_t c_out;
  };
  for (const layer& c : {layer{{3, 5, 7}, 4}, layer{{1, 1, 1}, 1}, layer{{2, 0, 6}, 3}, layer{{4, 37, 33}, 65}}) {
    const auto x = make.template real<3>(c.x, 85);
    const auto w = make.template real<2>({c.c_out, c.x[2]}, 86);
    const auto bias = make.template real<1>({c.c_out}, 87);
    run<fathom::linear_op>(all, fathom::to_string_extents(c.x) + " with bias", make, x, w, std::optional(bias));
    run<fathom::linear_op>(all, fathom::to_string_extents(c.x) + " without", make, x, w, std::optional<tensor<B, 1>>());
  }
  const auto wide = make.template real<3>({4, 37, 33}, 91);
  const auto weight = make.template real<2>({65, 33}, 92);
  const std::optional bias = make.template real<1>({65}, 93);
  run<fathom::linear_then_op<functor::relu>>(all, "with bias", make, wide, weight, bias);
  run<fathom::linear_then_op<functor::relu>>(all, "without", make, wide, weight, std::optional<tensor<B, 1>>());
  run<fathom::linear_then_op<functor::sigmoid>>(all, "with bias", make, wide, weight, bias);
  run<fathom::linear_then_op<functor::relu>>(all, "of nothing", make, make.template real<3>({2, 0, 33}, 94), weight,
                                             bias);
  run<fathom::linear_op>(all, "of a vector", make, make.template real<1>({9}, 88), make.template real<2>({5, 9}, 89),
                         std::optional(make.template real<1>({5}, 90)));
}

template <class B>
void normalisation_cases(records& all, const maker<B>& make) {
  for (const extents<3>& e :
       {extents<3>{3, 5, 7}, extents<3>{1, 1, 1}, extents<3>{2, 0, 3}, extents<3>{1, 1, 129}, extents<3>{4, 33, 64}}) {
    run<fathom::softmax_op>(all, fathom::to_string_extents(e), make, make.template real<3>(e, 101, -4, 4));
    if (e[2] > 1)  // one channel: the gradient is rounding noise times 1 / sqrt(eps)
      run<fathom::layer_norm_op>(all, fathom::to_string_extents(e), make, make.template real<3>(e, 102, -1, 3),
                                 make.template real<1>({e[2]}, 103), make.template real<1>({e[2]}, 104), 1e-5);
  }
  run<fathom::softmax_op>(all, "large values", make, make.template real<2>({5, 9}, 105, 990, 1000));
}

template <class B>
void attention_cases(records& all, const maker<B>& make) {
  struct shapes {
    index_t batch, queries, keys, heads, channels;
  };
  const shapes cases[] = {{1, 1, 1, 1, 1}, {2, 5, 7, 3, 4}, {3, 17, 17, 2, 8}, {0, 4, 4, 2, 3},
                          {2, 4, 0, 2, 3}, {2, 0, 5, 2, 3}, {2, 70, 33, 1, 16}};
  for (const auto& c : cases) {
    const index_t width = c.heads * c.channels;
    const auto q = make.template real<3>({c.batch, c.queries, width}, 111);
    const auto k = make.template real<3>({c.batch, c.keys, width}, 112);
    const auto v = make.template real<3>({c.batch, c.keys, width}, 113);
    // Masks as AF2 writes them: some keys shut by -1e9, never all of a row.
    auto mask = fathom::to_host(make.template real<2>({c.batch, c.keys}, 114));
    for (index_t i = 0; i < mask.size(); ++i) {
      auto& m = mask.data[static_cast<std::size_t>(i)];
      m = i % std::max<index_t>(c.keys, 1) != 0 && m < -0.3 ? typename B::scalar(-1e9) : typename B::scalar(0);
    }
    const std::optional key_bias = fathom::from_host<2>(make.b, mask);
    const std::optional pair_bias = make.template real<3>({c.heads, c.queries, c.keys}, 115);
    const std::optional gate = make.template real<3>({c.batch, c.queries, width}, 116, -3, 3);
    const std::optional<tensor<B, 2>> no_key;
    const std::optional<tensor<B, 3>> no3;
    const std::string name = fathom::to_string_extents(extents<5>{c.batch, c.queries, c.keys, c.heads, c.channels});
    run<fathom::attention_op>(all, name, make, q, k, v, no_key, no3, no3, c.heads);
    run<fathom::attention_op>(all, name + " masked", make, q, k, v, key_bias, no3, no3, c.heads);
    run<fathom::attention_op>(all, name + " pair bias", make, q, k, v, no_key, pair_bias, no3, c.heads);
    run<fathom::attention_op>(all, name + " all", make, q, k, v, key_bias, pair_bias, gate, c.heads);
  }
}

/// The contractions of the pair representation.
template <class B>
void pair_cases(records& all, const maker<B>& make) {
  struct shapes {
    index_t i, j, k, c;
  };
  for (const shapes& e :
       {shapes{1, 1, 1, 1}, shapes{5, 7, 4, 3}, shapes{19, 18, 17, 33}, shapes{3, 0, 4, 2}, shapes{3, 4, 0, 2}}) {
    const std::string name = fathom::to_string_extents(extents<4>{e.i, e.j, e.k, e.c});
    run<fathom::triangle_op>(all, name, make, make.template real<3>({e.i, e.k, e.c}, 141),
                             make.template real<3>({e.j, e.k, e.c}, 142));
    // k sequences, c and c + 1 channels.
    run<fathom::outer_product_op>(all, name, make, make.template real<3>({e.k, e.i, e.c}, 143),
                                  make.template real<3>({e.k, e.j, e.c + 1}, 144),
                                  make.template real<2>({6, e.c * (e.c + 1)}, 145), make.template real<1>({6}, 146),
                                  make.template real<2>({e.i, e.j}, 147, 0.5, 2));
  }
  auto mask = fathom::to_host(make.template real<1>({9}, 148));
  for (auto& m : mask.data) m = m < 0 ? 0 : 1;
  const auto query = fathom::from_host<1>(make.b, mask), key = fathom::from_host<1>(make.b, mask);
  run<fathom::masked_logits_op>(all, "", make, make.template real<3>({2, 9, 9}, 149), query, key, 1e5);
  record r{"cross, unit_vector and random tensors", {}};
  const auto a = make.template real<2>({11, 3}, 150), b = make.template real<2>({11, 3}, 151);
  r.add(fathom::cross(a, b));
  r.add(fathom::unit_vector(a, 1e-8));
  r.add(fathom::random_normal<2>(make.b, {13, 7}, 152));
  r.add(fathom::random_uniform<2>(make.b, {13, 7}, 153));
  all.push_back(std::move(r));
}

template <class B>
void indexing_and_dropout_cases(records& all, const maker<B>& make) {
  for (const index_t n : {index_t{0}, index_t{1}, index_t{57}}) {
    run<fathom::gather_op>(all, "of " + std::to_string(n), make, make.template real<3>({21, 2, 5}, 121),
                           make.numbers(n, 21, 122));
    run<fathom::one_hot_op>(all, "of " + std::to_string(n), make, make.numbers(n, 25, 123), index_t{23});
  }
  const auto x = make.template real<3>({6, 7, 9}, 124);
  const fathom::dropout_key key{1234, 0.25};
  for (const int axis : {-1, 0, 1}) run<fathom::dropout_op>(all, "axis " + std::to_string(axis), make, x, key, axis);
}

/// Operations by their short names under autodiff, with temporaries that may be overwritten.
template <class B>
void composed_cases(records& all, const maker<B>& make) {
  const auto x = make.template real<3>({3, 6, 8}, 131), y = make.template real<3>({3, 6, 8}, 132);
  const auto w = make.template real<2>({8, 8}, 133);
  const auto f = [](const auto& a, const auto& b, const auto& m) {
    const auto p = fathom::softmax(fathom::matmul(a, fathom::transpose(b, 1, 2)));
    const auto o = fathom::matmul(p, b) + a * b;
    const auto rows = fathom::matmul(fathom::reshape<2>(o, {18, 8}), m);
    return fathom::gate(a, fathom::reshape<3>(rows + fathom::relu(rows), {3, 6, 8}) + o);
  };
  const auto [value, pullback] = fathom::vjp(make.b, f, x, y, w);
  record r{"composed", {}};
  r.add(value);
  r.add(pullback(make.template real<3>({3, 6, 8}, 134)));
  all.push_back(std::move(r));
}

/// Every operation with inputs and cotangents in one layout.
template <class B>
records operation_records(const B& b, layout l) {
  const maker<B> make{b, l};
  records all;
  elementwise_cases(all, make);
  difference_cases(all, make);
  layout_cases(all, make);
  reduction_cases(all, make);
  product_cases(all, make);
  normalisation_cases(all, make);
  attention_cases(all, make);
  pair_cases(all, make);
  indexing_and_dropout_cases(all, make);
  composed_cases(all, make);
  return all;
}

}  // namespace conformance
