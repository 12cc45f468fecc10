// SPDX-License-Identifier: Apache-2.0
// Invariant point attention: its name, its gradient, padding, memory, the formula written out.
#include <doctest/doctest.h>

#include <fathom/autodiff/gradient_check.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/core/memory.hpp>
#include <fathom/structure/invariant_point_attention.hpp>

#include "support/frames.hpp"
#include "support/golden_dims.hpp"

using namespace fathom;
using golden::dims;
using testing::difference;
using testing::normal;
using testing::probe;

#define BACKENDS reference<double>, cpu<double>

namespace {

template <class B>
struct example {
  invariant_point_attention<B, dims> module;
  tensor<B, 2> s;
  tensor<B, 3> z;
  quaternion_rigid<B> frames;
  tensor<B, 1> mask;

  example(const B& b, index_t n, std::uint64_t seed)
      : module(testing::randomised(invariant_point_attention<B, dims>(b), seed)),
        s(normal<2>(b, {n, dims::c_s}, seed + 1)),
        z(normal<3>(b, {n, n, dims::c_z}, seed + 2)),
        frames(testing::random_frames(b, n, seed + 3)),
        mask(full<1>(b, {n}, scalar_of<B>(1))) {}
  tensor<B, 2> operator()(const quaternion_rigid<B>& of) const { return module(s, z, of.to_rigid(), mask); }
};

/// Few channels, all of AlphaFold2's points.
struct wide : alphafold2 {
  static constexpr index_t c_s = 32, c_z = 16;
};

/// Masks the last `padding` residues.
template <class B>
tensor<B, 1> padded_mask(const B& b, index_t n, index_t padding) {
  host_tensor<double> mask({n}, 1.0);
  for (index_t i = n - padding; i < n; ++i) mask(i) = 0;
  return from_host<1>(b, mask);
}

}  // namespace

TEST_CASE_TEMPLATE("structure: invariant point attention ignores where the protein lies", B, BACKENDS) {
  const B b;
  const example<B> x(b, 9, 1);
  const auto here = x(x.frames);
  for (const double far : {0.0, 1.0, 1000.0}) {
    const auto there = x(testing::moved(testing::random_frames(b, 1, 7, far), x.frames));
    CHECK(difference(here, there) < 1e-10 * std::max(1.0, far));
  }
  // It does see where residues lie relative to each other.
  CHECK(difference(here, x(testing::random_frames(b, 9, 8))) > 1e-2);
}

TEST_CASE("structure: float32 keeps the invariance far from the origin") {
  const cpu<float> b;
  const example<cpu<float>> x(b, 9, 1);
  const auto there = x(testing::moved(testing::random_frames(b, 1, 7, 10.0), x.frames));
  CHECK(difference(x(x.frames), there) < 1e-4 * testing::largest(there));
}

TEST_CASE_TEMPLATE("structure: gradients of invariant point attention", B, BACKENDS) {
  const B b;
  const example<B> x(b, 5, 2);
  const auto mask = padded_mask(b, 5, 1);
  const auto loss = [&](const auto& in) {
    const auto& [module, s, z, frames] = in;
    return probe(slice(module(s, z, frames.to_rigid(), constant(s.backend(), mask)), 0, 0, 4));
  };
  CHECK(gradient_check(loss, std::tuple(x.module, x.s, x.z, x.frames), {1e-4, 10, 1}) < 1e-6);
  CHECK(live_gradient_nodes() == 0);
}

TEST_CASE_TEMPLATE("structure: masked residues change nothing for the others, whatever they hold", B, BACKENDS,
                   cpu<float>) {
  const B b;
  example<B> x(b, 8, 3);
  x.mask = padded_mask(b, 8, 3);
  const auto before = slice(x(x.frames), 0, 0, 5);
  const auto present = unsqueeze(x.mask, 1);
  const auto absent = affine(present, -1, 1);
  // Values far beyond the masks' 1e5.
  x.s = x.s * present + normal<2>(b, {8, dims::c_s}, 4, 1e7) * absent;
  const auto pair = unsqueeze(present * unsqueeze(x.mask, 0), 2);
  x.z = x.z * pair + normal<3>(b, {8, 8, dims::c_z}, 5, 1e7) * affine(pair, -1, 1);
  auto garbage = x.frames;
  garbage.translation = x.frames.translation * present + normal<2>(b, {8, 3}, 6, 1e4) * absent;
  CHECK(difference(before, slice(x(garbage), 0, 0, 5)) == 0);

  // Without the padding at all.
  const auto head = [](const auto& t) { return slice(t, 0, 0, 5); };
  const auto alone = x.module(head(x.s), slice(head(x.z), 1, 0, 5),
                              rigid<B>{head(x.frames.to_rigid().rotation), head(x.frames.translation)}, head(x.mask));
  CHECK(difference(before, alone) < (sizeof(scalar_of<B>) == 8 ? 1e-12 : 1e-5));
}

TEST_CASE("structure: invariant point attention equals its formula") {
  using B = reference<double>;
  const B b;
  const index_t n = 4, heads = dims::no_heads_ipa, c = dims::c_ipa, qp = dims::no_qk_points, vp = dims::no_v_points;
  const example<B> x(b, n, 11);
  const auto& m = x.module;
  const auto q = to_host(m.linear_q(x.s)), kv = to_host(m.linear_kv(x.s));
  const auto q_points = to_host(m.linear_q_points(x.s)), kv_points = to_host(m.linear_kv_points(x.s));
  const auto bias = to_host(m.linear_b(x.z)), rotation = to_host(x.frames.to_rigid().rotation);
  const auto translation = to_host(x.frames.translation), weights = to_host(m.head_weights), z = to_host(x.z);
  const auto placed = [&](const host_tensor<double>& points, index_t i, index_t number, int axis) {
    double at = translation(i, axis);
    for (int k = 0; k < 3; ++k) at += rotation(i, axis, k) * points(i, k, number);
    return at;
  };
  host_tensor<double> joined({n, heads * (c + 4 * vp + dims::c_z)});
  for (index_t h = 0; h < heads; ++h)
    for (index_t i = 0; i < n; ++i) {
      std::vector<double> p;
      double total = 0;
      for (index_t j = 0; j < n; ++j) {
        double channels = 0, squares = 0;
        for (index_t k = 0; k < c; ++k) channels += q(i, h * c + k) * kv(j, h * 2 * c + k);
        for (index_t k = 0; k < qp; ++k)
          for (int axis = 0; axis < 3; ++axis) {
            const double d = placed(q_points, i, h * qp + k, axis) - placed(kv_points, j, h * (qp + vp) + k, axis);
            squares += d * d;
          }
        const double gamma = std::log1p(std::exp(weights(h)));
        p.push_back(std::exp(std::sqrt(1 / 3.0) * (channels / std::sqrt(1.0 * c) + bias(i, j, h)) -
                             gamma / 2 * std::sqrt(2 / (27.0 * qp)) * squares));
        total += p.back();
      }
      const index_t at_points = heads * c, at_norms = at_points + 3 * heads * vp, at_pairs = at_norms + heads * vp;
      for (index_t k = 0; k < c; ++k)
        for (index_t j = 0; j < n; ++j)
          joined(i, h * c + k) += p[static_cast<std::size_t>(j)] / total * kv(j, h * 2 * c + c + k);
      for (index_t k = 0; k < dims::c_z; ++k)
        for (index_t j = 0; j < n; ++j)
          joined(i, at_pairs + h * dims::c_z + k) += p[static_cast<std::size_t>(j)] / total * z(i, j, k);
      for (index_t k = 0; k < vp; ++k) {
        double global[3] = {}, square = m.options.eps;
        for (int axis = 0; axis < 3; ++axis) {
          for (index_t j = 0; j < n; ++j)
            global[axis] += p[static_cast<std::size_t>(j)] / total * placed(kv_points, j, h * (qp + vp) + qp + k, axis);
          global[axis] -= translation(i, axis);
        }
        for (int axis = 0; axis < 3; ++axis) {
          double seen = 0;
          for (int l = 0; l < 3; ++l) seen += rotation(i, l, axis) * global[l];
          joined(i, at_points + axis * heads * vp + h * vp + k) = seen;
          square += seen * seen;
        }
        joined(i, at_norms + h * vp + k) = std::sqrt(square);
      }
    }
  CHECK(difference(x(x.frames), m.linear_out(from_host<2>(b, joined))) < 1e-12);
}

TEST_CASE("structure: point distances of all pairs never exist at once") {
  using B = cpu<float>;
  const B b;
  const index_t n = 384;
  const auto module = initialise(invariant_point_attention<B, wide>(b));
  const auto s = normal<2>(b, {n, wide::c_s}, 1);
  const auto z = full<3>(b, {n, n, wide::c_z}, 0.5f);
  const auto frames = testing::random_frames(b, n, 2).to_rigid();
  const auto mask = full<1>(b, {n}, 1.0f);
  memory_counter::reset_peak();
  const auto before = memory_counter::current();
  const auto y = module(s, z, frames, mask);
  const auto used = memory_counter::peak() - before;
  const double differences = 4.0 * static_cast<double>(n * n) * wide::no_heads_ipa * wide::no_qk_points * 3;
  MESSAGE("peak " << static_cast<double>(used) / 1e6 << " MB, point differences would take " << differences / 1e6);
  CHECK(static_cast<double>(used) < differences / 4);
  CHECK(std::isfinite(testing::largest(y)));
}

TEST_CASE("structure: invariant point attention takes a batch and checks extents") {
  using B = reference<double>;
  const B b;
  const example<B> x(b, 4, 5), y(b, 4, 6);
  const auto both = [](const auto& first, const auto& second) { return stack(std::vector{first, second}, 0); };
  const auto fx = x.frames.to_rigid(), fy = y.frames.to_rigid();
  const auto together =
      x.module(both(x.s, y.s), both(x.z, y.z),
               rigid<B, 2>{both(fx.rotation, fy.rotation), both(fx.translation, fy.translation)}, both(x.mask, y.mask));
  CHECK(difference(select(together, 0, 1), x.module(y.s, y.z, fy, y.mask)) == 0);
  CHECK_THROWS_AS(x.module(x.s, slice(x.z, 1, 0, 3), fx, x.mask), shape_error);
  CHECK_THROWS_AS(x.module(x.s, x.z, fx, full<1>(b, {3}, 1.0)), shape_error);
}

TEST_CASE("structure: head weights start with a softplus of one, the output at zero") {
  const reference<double> b;
  const auto module = initialise(invariant_point_attention<reference<double>, dims>(b), {.seed = 4});
  CHECK(difference(softplus(module.head_weights), full<1>(b, {dims::no_heads_ipa}, 1.0)) < 1e-15);
  CHECK(testing::largest(module.linear_out.weight) == 0);
  CHECK(testing::largest(module.linear_kv_points.linear.weight) > 0);
}
