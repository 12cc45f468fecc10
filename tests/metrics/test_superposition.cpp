// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

#include <fathom/metrics/gdt.hpp>
#include <fathom/metrics/superpose.hpp>

namespace {

using namespace fathom;
using namespace fathom::metrics;

std::vector<point> cloud(std::size_t n, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal(0, 10);
  std::vector<point> points(n);
  for (point& p : points)
    for (double& x : p) x = normal(generator);
  return points;
}

/// Proper rotation by an angle about a direction, and a shift.
superposition motion(point axis, double degrees, point shift) {
  axis = (1 / norm(axis)) * axis;
  const double c = std::cos(degrees * pi / 180), s = std::sin(degrees * pi / 180);
  superposition move;
  for (std::size_t column = 0; column < 3; ++column) {
    point e{};
    e[column] = 1;
    const point image = c * e + s * cross(axis, e) + ((1 - c) * dot(axis, e)) * axis;
    for (std::size_t row = 0; row < 3; ++row) move.rotation[row][column] = image[row];
  }
  move.translation = shift;
  return move;
}

std::vector<point> moved(const std::vector<point>& points, const superposition& move) {
  std::vector<point> result;
  for (const point& p : points) result.push_back(move(p));
  return result;
}

double determinant(const superposition& s) { return dot(s.rotation[0], cross(s.rotation[1], s.rotation[2])); }

masked_points all_of(const std::vector<point>& points) { return {points, std::vector<double>(points.size(), 1.0)}; }

}  // namespace

TEST_CASE("metrics: superposition undoes any rigid motion") {
  const auto points = cloud(50, 1);
  for (const double degrees : {0.0, 1e-7, 37.0, 90.0, 179.9999, 180.0, -120.0}) {
    const auto fixed = moved(points, motion({1, -2, 0.5}, degrees, {100, -50, 3}));
    CHECK(rms_distance(superposed(points, fixed), fixed) < 1e-10);
    const auto fit = superpose(points, fixed);
    CHECK(determinant(fit) == doctest::Approx(1.0).epsilon(1e-12));
  }
}

TEST_CASE("metrics: superposition is the best one") {
  const auto a = cloud(30, 2);
  auto b = moved(a, motion({1, 1, 1}, 70, {1, 2, 3}));
  const auto noise = cloud(30, 3);
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = b[i] + 0.2 * noise[i];
  const superposition fit = superpose(a, b);
  const double best = rms_distance(moved(a, fit), b);
  for (const point& axis : {point{1, 0, 0}, point{0, 1, 0}, point{0, 0, 1}, point{1, 1, -1}})
    for (const double degrees : {-0.5, 0.5}) {
      const auto turn = motion(axis, degrees, {0, 0, 0});
      point center{};
      for (const point& p : b) center = center + (1.0 / 30) * p;
      std::vector<point> worse;
      for (const point& p : a) worse.push_back(turn(fit(p) - center) + center);
      CHECK(rms_distance(worse, b) > best);
    }
}

TEST_CASE("metrics: a mirror image is not superposed by reflection") {
  const auto a = cloud(40, 4);
  auto mirrored = a;
  for (point& p : mirrored) p[2] = -p[2];
  const superposition fit = superpose(a, mirrored);
  CHECK(determinant(fit) == doctest::Approx(1.0).epsilon(1e-12));
  CHECK(rmsd(all_of(a), all_of(mirrored)) > 5.0);
  CHECK(drmsd(all_of(a), all_of(mirrored)) < 1e-12);
}

TEST_CASE("metrics: degenerate point sets still give a rotation") {
  for (const auto& points : {std::vector<point>{{1, 2, 3}}, std::vector<point>{{0, 0, 0}, {1, 0, 0}},
                             std::vector<point>{{0, 0, 0}, {1, 1, 1}, {3, 3, 3}}}) {
    const auto fixed = moved(points, motion({0, 1, 1}, 33, {5, 5, 5}));
    CHECK(rms_distance(superposed(points, fixed), fixed) < 1e-9);
    CHECK(determinant(superpose(points, fixed)) == doctest::Approx(1.0).epsilon(1e-12));
  }
  CHECK_THROWS_AS(superpose({}, {}), input_error);
  CHECK_THROWS_AS(superpose(cloud(3, 1), cloud(4, 1)), shape_error);
}

TEST_CASE("metrics: rmsd, drmsd and gdt of known displacements, with masks") {
  // Two far clusters, the second shifted by 3 along their axis: the best fit splits the difference.
  masked_points native, model;
  for (int i = 0; i < 4; ++i)
    for (const double side : {-1000.0, 1000.0}) native.at.push_back({side, 10.0 * (i % 2), 10.0 * (i / 2)});
  native.mask.assign(8, 1.0);
  model = native;
  for (point& p : model.at)
    if (p[0] > 0) p[0] += 3;
  CHECK(rmsd(model, native) == doctest::Approx(1.5).epsilon(1e-9));
  CHECK(gdt_ts(model, native) == doctest::Approx(0.75));
  CHECK(gdt_ha(model, native) == doctest::Approx(0.5));
  // 32 of 56 ordered pairs differ by 3.
  CHECK(drmsd(model, native) == doctest::Approx(std::sqrt(32 * 9.0 / 56)).epsilon(1e-4));
  // The displaced cluster masked out in either chain leaves a perfect model.
  for (std::size_t i = 0; i < 8; ++i)
    if (native.at[i][0] > 0) (i % 4 < 2 ? native : model).mask[i] = 0;
  CHECK(rmsd(model, native) < 1e-10);
  CHECK(gdt_ha(model, native) == doctest::Approx(1.0));
  CHECK(drmsd(model, native) == 0.0);
  model.at.pop_back(), model.mask.pop_back();
  CHECK_THROWS_AS(rmsd(model, native), shape_error);
}

TEST_CASE("metrics: angles and torsions have the usual signs") {
  CHECK(angle({1, 0, 0}, {0, 0, 0}, {0, 2, 0}) == doctest::Approx(90));
  CHECK(angle({1, 0, 0}, {0, 0, 0}, {-5, 0, 0}) == doctest::Approx(180));
  CHECK(std::isnan(angle({0, 0, 0}, {0, 0, 0}, {0, 2, 0})));
  // Looking from b to c, d is clockwise of a: positive.
  CHECK(torsion({1, 0, 0}, {0, 0, 0}, {0, 0, 1}, {0, 1, 1}) == doctest::Approx(90));
  CHECK(torsion({1, 0, 0}, {0, 0, 0}, {0, 0, 1}, {1, 0, 1}) == doctest::Approx(0));
  CHECK(torsion({1, 0, 0}, {0, 0, 0}, {0, 0, 1}, {0, -1, 1}) == doctest::Approx(-90));
  CHECK(std::isnan(torsion({0, 0, 0}, {0, 0, 1}, {0, 0, 2}, {0, 1, 1})));
}
