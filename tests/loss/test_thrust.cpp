// SPDX-License-Identifier: Apache-2.0
// The losses on a backend with other kernels: values and gradients of every term agree with the reference backend.
#include <doctest/doctest.h>

#include <cmath>

#include <fathom/autodiff/gradient.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/backend/thrust.hpp>
#include <fathom/geometry/atoms.hpp>
#include <fathom/loss/distogram.hpp>
#include <fathom/loss/fape.hpp>
#include <fathom/loss/lddt.hpp>
#include <fathom/loss/rename.hpp>
#include <fathom/loss/violations.hpp>
#include <fathom/train/adam.hpp>

#include "support/frames.hpp"

using namespace fathom;
using testing::difference;
using testing::normal;

namespace {

constexpr index_t n = 9;

/// Losses that between them use every kernel of the room, of squeezed random atoms and logits.
template <class B>
auto all_losses(const B& b) {
  const auto aatype = from_host<1>(b, testing::any_sequence(n));
  const auto exists = make_atom_masks(aatype).atom14_atom_exists;
  host_tensor<std::int64_t> order({n});
  for (index_t i = 0; i < n; ++i) order(i) = i < 4 ? i : i + 2;
  const auto numbers = from_host<1>(b, order);
  const auto truth = normal<3>(b, {n, 37, 3}, 3, 6);
  const auto seen = full<2>(b, {n, 37}, scalar_of<B>(1));
  const auto mask = full<1>(b, {n}, scalar_of<B>(1));
  const auto frames = testing::random_frames(b, n, 4, 5).to_rigid();
  const auto f = [=](const auto& leaves) {
    const auto& positions = std::get<0>(leaves);
    const auto& distances = std::get<1>(leaves);
    const auto& scores = std::get<2>(leaves);
    using A = typename std::remove_cvref_t<decltype(positions)>::backend_type;
    const A handle = positions.backend();
    const auto fixed = [&](const auto& x) { return constant(handle, x); };
    const rigid<A> still{fixed(frames.rotation), fixed(frames.translation)};
    const auto ca = select(positions, 1, 1), true_ca = select(fixed(truth), 1, 1);
    return loss::violation(loss::find_structural_violations(positions, fixed(exists), fixed(numbers), fixed(aatype))) +
           loss::fape(still, still, fixed(mask), ca, true_ca, fixed(mask)) +
           loss::distogram(distances, true_ca, fixed(mask)) +
           loss::plddt(scores, fixed(truth) * 1.1, fixed(truth), fixed(seen), 2.0);
  };
  const auto leaves = std::tuple(normal<3>(b, {n, 14, 3}, 1, 2), normal<3>(b, {n, n, 64}, 2), normal<2>(b, {n, 50}, 5));
  return value_and_gradient(f, leaves);
}

}  // namespace

TEST_CASE("loss: thrust agrees with the reference backend") {
  const auto expected = all_losses(reference<double>{});
  const auto got = all_losses(thrust_backend<double, thrust_system::cpp>{});
  CHECK(expected.first > 1);
  CHECK(got.first == doctest::Approx(expected.first).epsilon(1e-12));
  CHECK(testing::largest(std::get<0>(expected.second)) > 1e-3);
  CHECK(difference(std::get<0>(got.second), std::get<0>(expected.second)) < 1e-11);
  CHECK(difference(std::get<1>(got.second), std::get<1>(expected.second)) < 1e-11);
  CHECK(difference(std::get<2>(got.second), std::get<2>(expected.second)) < 1e-11);
}

TEST_CASE("loss: renaming and the optimiser run on thrust") {
  const auto run = [](const auto& b) {
    using B = std::remove_cvref_t<decltype(b)>;
    const auto aatype = from_host<1>(b, testing::any_sequence(n));
    const auto truth = make_atom14_truth(normal<3>(b, {n, 37, 3}, 3, 6), full<2>(b, {n, 37}, 1.0), aatype);
    const auto renamed = loss::rename_symmetric_atoms(normal<3>(b, {n, 14, 3}, 1, 6), truth);
    train::adam<B> optimiser;
    auto p = normal<1>(b, {5}, 1);
    for (std::uint64_t step = 0; step < 3; ++step) p = optimiser.update(p, normal<1>(b, {5}, 10 + step), 1e-2);
    return std::tuple(to_host(renamed.positions).data, to_host(p).data);
  };
  const auto expected = run(reference<double>{}), got = run(thrust_backend<double, thrust_system::cpp>{});
  CHECK(std::get<0>(got) == std::get<0>(expected));
  for (std::size_t i = 0; i < 5; ++i)
    CHECK(std::get<1>(got)[i] == doctest::Approx(std::get<1>(expected)[i]).epsilon(1e-14));
}
