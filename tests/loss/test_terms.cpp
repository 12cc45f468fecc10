// SPDX-License-Identifier: Apache-2.0
// The single losses on inputs whose value is known, and where their gradients go.
#include <doctest/doctest.h>

#include <cmath>

#include <fathom/autodiff/gradient_check.hpp>
#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/loss/distogram.hpp>
#include <fathom/loss/experimentally_resolved.hpp>
#include <fathom/loss/lddt.hpp>
#include <fathom/loss/masked_msa.hpp>
#include <fathom/loss/rename.hpp>
#include <fathom/loss/smooth_lddt.hpp>
#include <fathom/loss/tm.hpp>
#include <fathom/loss/torsions.hpp>
#include <fathom/metrics/lddt.hpp>

#include "support/frames.hpp"
#include "support/ideal_chain.hpp"

using namespace fathom;
using testing::difference;
using testing::normal;

namespace {
template <class B>
tensor<B, 1> ones(const B& b, index_t n) {
  return full<1>(b, {n}, scalar_of<B>(1));
}
/// Logits that are sure of one bin.
template <class B>
tensor<B, 3> sure(const B& b, index_t n, index_t bins, index_t bin) {
  host_tensor<double> logits({n, n, bins});
  for (index_t i = 0; i < n; ++i)
    for (index_t j = 0; j < n; ++j) logits(i, j, bin) = 1000;
  return from_host<3>(b, logits);
}
}  // namespace

TEST_CASE_TEMPLATE("loss: the distogram knows its bins, and the diagonal counts", B, reference<double>, cpu<double>) {
  const B b;
  // Two residues 5.1 A apart: bins are 0.3125 A wide from 2.3125, so the ninth edge (4.8125) is below and 5.125 above.
  const auto beta = from_host<2>(b, host_tensor<double>({2, 3}, {0, 0, 0, 0, 5.1, 0}));
  CHECK(item(loss::distogram(sure(b, 2, 64, 9), beta, ones(b, 2))) == doctest::Approx(500).epsilon(1e-6));
  CHECK(item(loss::distogram(sure(b, 2, 64, 0), beta, ones(b, 2))) == doctest::Approx(500).epsilon(1e-6));
  CHECK(item(loss::distogram(sure(b, 2, 64, 8), beta, ones(b, 2))) == doctest::Approx(1000).epsilon(1e-6));
  const auto first = from_host<1>(b, host_tensor<double>({2}, {1, 0}));
  CHECK(item(loss::distogram(sure(b, 2, 64, 0), beta, first)) == doctest::Approx(0));
  CHECK(item(loss::distogram(full<3>(b, {2, 2, 64}, 3.0), beta, ones(b, 2))) ==
        doctest::Approx(std::log(64.0)).epsilon(1e-6));
}

TEST_CASE("loss: masked MSA counts masked positions only") {
  const cpu<double> b;
  const auto truth = from_host<2>(b, host_tensor<std::int64_t>({1, 3}, {4, 22, 0}));
  host_tensor<double> logits({1, 3, 23});
  logits(0, 0, 4) = 1000;
  const auto x = from_host<3>(b, logits);
  const auto mask = [&](std::vector<double> m) { return from_host<2>(b, host_tensor<double>({1, 3}, std::move(m))); };
  CHECK(item(loss::masked_msa(x, truth, mask({1, 0, 0}))) == doctest::Approx(0));
  CHECK(item(loss::masked_msa(x, truth, mask({1, 1, 0}))) == doctest::Approx(0.5 * std::log(23.0)).epsilon(1e-7));
  CHECK(item(loss::masked_msa(x, truth, mask({0, 0, 0}))) == 0);
}

TEST_CASE("loss: experimentally resolved is a binary cross entropy within a range of resolutions") {
  const cpu<double> b;
  const auto at = [&](double value) { return full<2>(b, {1, 37}, value); };
  const auto value = [&](double logit, double seen, double resolution) {
    return item(loss::experimentally_resolved(at(logit), at(seen), at(1), resolution));
  };
  CHECK(value(0, 1, 2) == doctest::Approx(std::log(2.0)).epsilon(1e-8));
  CHECK(value(3, 1, 2) == doctest::Approx(std::log1p(std::exp(-3.0))).epsilon(1e-8));
  CHECK(value(3, 0, 2) == doctest::Approx(3 + std::log1p(std::exp(-3.0))).epsilon(1e-8));
  CHECK(value(3, 0, 3.0) > 0);
  CHECK(value(3, 0, 3.1) == 0);
  CHECK(value(3, 0, 0.05) == 0);
}

TEST_CASE_TEMPLATE("loss: lDDT on a backend is the metric of the host", B, reference<double>, cpu<double>) {
  const B b;
  const index_t n = 30;
  const auto truth = normal<2>(b, {n, 3}, 1, 7), predicted = truth + normal<2>(b, {n, 3}, 2, 1.2);
  host_tensor<double> mask({n}, 1.0);
  mask(3) = mask(17) = 0;
  const auto scores = loss::lddt(predicted, truth, from_host<1>(b, mask));
  metrics::masked_points model, native;
  const auto p = to_host(predicted), t = to_host(truth);
  for (index_t i = 0; i < n; ++i) {
    model.at.push_back({p(i, 0), p(i, 1), p(i, 2)});
    native.at.push_back({t(i, 0), t(i, 1), t(i, 2)});
    model.mask.push_back(mask(i));
    native.mask.push_back(mask(i));
  }
  const auto expected = metrics::lddt(model, native);
  REQUIRE(expected.mean > 0.2);
  REQUIRE(expected.mean < 0.9);
  CHECK(item(scores.total) == doctest::Approx(expected.mean).epsilon(1e-12));
  const auto residue = to_host(scores.residue);
  for (index_t i = 0; i < n; ++i)
    CHECK(residue(i) == doctest::Approx(expected.residue[static_cast<std::size_t>(i)]).epsilon(1e-12));
}

TEST_CASE_TEMPLATE("loss: smooth lDDT is the mean of its sigmoids over pairs, and differentiable", B, reference<double>,
                   cpu<double>) {
  const B b;
  const index_t n = 23;
  const auto truth = normal<2>(b, {n, 3}, 1, 7), predicted = truth + normal<2>(b, {n, 3}, 2, 1.2);
  host_tensor<double> mask({n}, 1.0);
  mask(3) = mask(17) = 0;
  const auto p = to_host(predicted), t = to_host(truth);
  const auto distance = [](const auto& x, index_t i, index_t j) {
    return std::hypot(x(i, 0) - x(j, 0), x(i, 1) - x(j, 1), x(i, 2) - x(j, 2));
  };
  double kept = 0, pairs = 0;
  for (index_t i = 0; i < n; ++i)
    for (index_t j = 0; j < n; ++j) {
      if (i == j || mask(i) * mask(j) == 0 || distance(t, i, j) >= 15) continue;
      for (const double threshold : {0.5, 1.0, 2.0, 4.0})
        kept += 0.25 / (1 + std::exp(std::abs(distance(p, i, j) - distance(t, i, j)) - threshold));
      pairs += 1;
    }
  REQUIRE(pairs > 100);
  REQUIRE(pairs < 21 * 20);
  const auto present = from_host<1>(b, mask);
  CHECK(item(loss::smooth_lddt(predicted, truth, present)) == doctest::Approx(1 - kept / pairs).epsilon(1e-9));
  CHECK(item(loss::smooth_lddt(truth, truth, present)) == doctest::Approx(0.19592).epsilon(1e-4));
  CHECK(item(loss::smooth_lddt(truth * 100.0, truth, present)) == doctest::Approx(1).epsilon(1e-6));
  CHECK(item(loss::smooth_lddt(predicted, truth, full<1>(b, {n}, 0.0))) == 1);
  CHECK(std::isnan(item(loss::smooth_lddt(predicted * NAN, truth, present))));

  const auto f = [&](const auto& x) {
    const auto& handle = x.backend();
    return loss::smooth_lddt(x, constant(handle, truth), constant(handle, present));
  };
  CHECK(gradient_check(f, predicted) < 1e-6);
  const auto hidden = to_host(value_and_gradient(f, predicted).second);
  CHECK(hidden(3, 0) == 0);
  CHECK(hidden(5, 0) != 0);
}

TEST_CASE("loss: pLDDT gives gradients to the logits and none to the structure") {
  const cpu<double> b;
  const auto truth = normal<3>(b, {6, 37, 3}, 1, 5);
  const auto mask = full<2>(b, {6, 37}, 1.0);
  const auto f = [&](const auto& leaves) {
    const auto& [logits, positions] = leaves;
    const auto& handle = logits.backend();
    return loss::plddt(logits, positions, constant(handle, truth), constant(handle, mask), 2.0);
  };
  const auto start = std::tuple(normal<2>(b, {6, 50}, 2), truth + normal<3>(b, {6, 37, 3}, 3, 0.7));
  const auto gradient = value_and_gradient(f, start).second;
  CHECK(testing::largest(std::get<0>(gradient)) > 1e-3);
  CHECK(testing::largest(std::get<1>(gradient)) == 0);
  // A perfect structure belongs into the last bin.
  host_tensor<double> logits({6, 50});
  for (index_t i = 0; i < 6; ++i) logits(i, 49) = 1000;
  CHECK(item(loss::plddt(from_host<2>(b, logits), truth, truth, mask, 2.0)) == doctest::Approx(0));
  CHECK(item(f(start)) > 1);
}

TEST_CASE("loss: the aligned error is that of residue j in frame i") {
  const cpu<double> b;
  // Truth: two frames 10 A apart along x, not turned. Prediction: the second frame is turned by pi about z.
  const auto still = identity_quaternion_rigid(b, 2);
  const auto origins = from_host<2>(b, host_tensor<double>({2, 3}, {0, 0, 0, 10, 0, 0}));
  const auto turned = from_host<2>(b, host_tensor<double>({2, 4}, {1, 0, 0, 0, 0, 0, 0, 1}));
  const rigid<cpu<double>> truth{quat_to_rot(still.quaternion), origins}, predicted{quat_to_rot(turned), origins};
  // From the first frame both errors are 0; the first residue is 20 A off as seen from the second: bin 40 of 0.5 A.
  host_tensor<double> logits({2, 2, 64});
  logits(0, 0, 0) = logits(0, 1, 0) = logits(1, 1, 0) = logits(1, 0, 40) = 1000;
  CHECK(item(loss::tm(from_host<3>(b, logits), predicted, truth, ones(b, 2), 2.0)) == doctest::Approx(0));
  const auto swapped = transpose(from_host<3>(b, logits), 0, 1);
  CHECK(item(loss::tm(swapped, predicted, truth, ones(b, 2), 2.0)) == doctest::Approx(500).epsilon(1e-6));
  CHECK(item(loss::tm(swapped, predicted, truth, ones(b, 2), 3.5)) == 0);
}

TEST_CASE("loss: torsions of period pi may be turned by pi, others may not") {
  const cpu<double> b;
  // Aspartate's chi2 has period pi, leucine's has not.
  const auto aatype = from_host<1>(b, host_tensor<std::int64_t>({2}, {restype_index('D'), restype_index('L')}));
  host_tensor<double> truth({2, 4, 2}), mask({2, 4}), angles({1, 2, 7, 2});
  for (index_t i = 0; i < 2; ++i) {
    mask(i, 0) = mask(i, 1) = 1;
    for (index_t k = 0; k < 4; ++k) truth(i, k, 1) = 1;
    for (index_t k = 0; k < 7; ++k) angles.data[static_cast<std::size_t>((i * 7 + k) * 2 + 1)] = 1;
    angles.data[static_cast<std::size_t>((i * 7 + 4) * 2 + 1)] = -1;  // chi2 turned by pi
  }
  const auto x = from_host<4>(b, angles);
  const double loss =
      item(loss::supervised_chi(x, x, from_host<3>(b, truth), from_host<2>(b, mask), ones(b, 2), aatype));
  // Of four torsions one is off by (0, 2): a mean of 4 / 4; lengths are sqrt(1 + 1e-6).
  CHECK(loss == doctest::Approx(0.5 * 4 / 4.0001 + 0.01 * 5e-7 * 14 / 14.0001).epsilon(1e-9));
  const auto turned = x * -1.0;
  const auto flat = [](const auto& t) { return select(t, 0, 0); };
  CHECK(item(loss::torsion_angle(flat(2.0 * x), flat(turned), flat(x))) == doctest::Approx(0.02));
}

TEST_CASE("loss: symmetric atoms take the names that fit, whatever the pose of the prediction") {
  const cpu<double> b;
  const auto chain = test::ideal_chain("DAFEY", test::torsions{});
  host_tensor<double> types({5});
  for (std::size_t i = 0; i < 5; ++i) types.data[i] = static_cast<double>(chain.aatype[i]);
  const auto aatype = aatype_from_host(b, types);
  const auto truth = make_atom14_truth(from_host<3>(b, chain.positions), from_host<2>(b, chain.mask), aatype);
  const auto motion = testing::random_frames(b, 1, 5, 20);
  const auto moved = [&](const tensor<cpu<double>, 3>& x) {
    const auto turn = broadcast_to<3>(quat_to_rot(motion.quaternion), {5, 3, 3});
    return matmul(x, inverse_rotation(turn)) + unsqueeze(motion.translation, 0);
  };
  const auto as_named = loss::rename_symmetric_atoms(moved(truth.positions), truth);
  CHECK(testing::largest(as_named.alt_naming_is_better) == 0);
  CHECK(difference(as_named.positions, truth.positions) == 0);
  const auto swapped = loss::rename_symmetric_atoms(moved(truth.alt_positions), truth);
  CHECK(to_host(swapped.alt_naming_is_better).data == std::vector<double>{1, 0, 1, 1, 1});
  CHECK(difference(swapped.positions, truth.alt_positions) == 0);
  CHECK(difference(swapped.exists, truth.alt_exists) == 0);
}
