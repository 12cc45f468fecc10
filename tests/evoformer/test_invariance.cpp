// SPDX-License-Identifier: Apache-2.0
// What a block must not see: the order of the sequences, and padding.
#include <doctest/doctest.h>

#include <cstring>

#include <fathom/backend/cpu.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/op/indexing.hpp>

#include "evoformer/small_dims.hpp"

using namespace fathom;
using namespace fathom::testing;

namespace {


/// Largest |x - y| over [first axis < rows, second axis < columns].
template <class T>
double difference(const host_tensor<T>& x, const host_tensor<T>& y, index_t rows, index_t columns) {
  double worst = 0;
  for (index_t i = 0; i < rows; ++i)
    for (index_t j = 0; j < columns; ++j)
      for (index_t c = 0; c < x.shape[2]; ++c)
        worst = std::max(worst, std::abs(static_cast<double>(x(i, j, c)) - static_cast<double>(y(i, j, c))));
  return worst;
}

template <class T>
bool same_bits(const host_tensor<T>& x, const host_tensor<T>& y, index_t rows, index_t columns) {
  for (index_t i = 0; i < rows; ++i)
    for (index_t j = 0; j < columns; ++j)
      if (std::memcmp(&x(i, j, 0), &y(i, j, 0), static_cast<std::size_t>(x.shape[2]) * sizeof(T)) != 0) return false;
  return true;
}

/// x [a, b, c] in the corner of a tensor of other extents whose rest holds garbage of the given size.
template <class B>
tensor<B, 3> padded(const tensor<B, 3>& x, index_t rows, index_t columns, double garbage, std::uint64_t seed) {
  auto host = to_host(normal<3>(x.backend(), {rows, columns, x.extent(2)}, seed, garbage));
  const auto values = to_host(x);
  for (index_t i = 0; i < x.extent(0); ++i)
    for (index_t j = 0; j < x.extent(1); ++j)
      for (index_t c = 0; c < x.extent(2); ++c) host(i, j, c) = values(i, j, c);
  return from_host<3>(x.backend(), host);
}
template <class B>
tensor<B, 2> padded_mask(const tensor<B, 2>& x, index_t rows, index_t columns) {
  host_tensor<double> host({rows, columns});
  const auto values = to_host(x);
  for (index_t i = 0; i < x.extent(0); ++i)
    for (index_t j = 0; j < x.extent(1); ++j) host(i, j) = values(i, j);
  return from_host<2>(x.backend(), host);
}

/// Runs `block` on the same example without padding, and with two kinds of garbage around it.
template <class B, class Block>
void check_padding(const Block& block, index_t c_m, double bound) {
  const B b;
  const index_t s = 5, n = 6, s_padded = 8, n_padded = 9;
  const auto x = random_state(b, s, n, c_m, tiny::c_z, 1);
  const auto mask = random_masks(b, s, n, 3);
  const masks<B> wide{padded_mask(mask.msa, s_padded, n_padded), padded_mask(mask.pair, n_padded, n_padded)};
  const auto in_garbage = [&](double size, std::uint64_t seed) {
    return block({padded(x.m, s_padded, n_padded, size, seed), padded(x.z, n_padded, n_padded, size, seed + 1)}, wide);
  };
  const auto alone = block(x, mask), quiet = in_garbage(0, 1), loud = in_garbage(1e4, 7);
  // The same extents: bit by bit, whatever stands in the padding.
  CHECK(same_bits(to_host(quiet.m), to_host(loud.m), s, n));
  CHECK(same_bits(to_host(quiet.z), to_host(loud.z), n, n));
  // Other extents: sums may be ordered differently.
  double scale = 0;
  for (const auto value : to_host(alone.z).data) scale = std::max(scale, std::abs(static_cast<double>(value)));
  CHECK(difference(to_host(alone.m), to_host(loud.m), s, n) < bound * scale);
  CHECK(difference(to_host(alone.z), to_host(loud.z), n, n) < bound * scale);
}

}  // namespace

TEST_CASE_TEMPLATE("evoformer: padding changes nothing at valid positions", B, reference<double>, cpu<double>, cpu<float>) {
  const double bound = std::is_same_v<scalar_of<B>, double> ? 1e-12 : 1e-5;
  auto block = randomised(evoformer_block<B, tiny>(B{}), 3);
  check_padding<B>(block, tiny::c_m, bound);
  block.options.opm_first = true;
  block.options.mask_trans = block.pair_stack.options.mask_trans = false;
  check_padding<B>(block, tiny::c_m, bound);
  check_padding<B>(randomised(extra_msa_block<B, tiny>(B{}), 4), tiny::c_e, bound);
}

TEST_CASE_TEMPLATE("evoformer: the order of the sequences does not matter to the pairs", B, reference<double>, cpu<double>) {
  const B b;
  const index_t s = 6, n = 5;
  const auto x = random_state(b, s, n, tiny::c_m, tiny::c_z, 1);
  const auto mask = random_masks(b, s, n, 3);
  const auto order = from_host<1>(b, host_tensor<index_t>({s}, {3, 0, 5, 1, 4, 2}));
  const auto block = randomised(evoformer_block<B, tiny>(b), 3);
  const auto straight = block(x, mask), permuted = block({gather(x.m, order), x.z}, {gather(mask.msa, order), mask.pair});
  CHECK(difference(to_host(straight.z), to_host(permuted.z), n, n) < 1e-11);
  CHECK(difference(to_host(gather(straight.m, order)), to_host(permuted.m), s, n) < 1e-11);
  CHECK(difference(to_host(straight.m), to_host(permuted.m), s, n) > 1e-2);
}

TEST_CASE_TEMPLATE("evoformer: the number of threads changes no bit", T, float, double) {
  const index_t s = 12, n = 17;
  const auto run = [&](int threads) {
    const cpu<T> b(cpu_options{threads});
    const auto block = randomised(evoformer_block<cpu<T>, tiny>(b), 3);
    const auto y = block(random_state(b, s, n, tiny::c_m, tiny::c_z, 1), random_masks(b, s, n, 3));
    return std::pair(to_host(y.m), to_host(y.z));
  };
  const auto one = run(1), three = run(3);
  CHECK(same_bits(one.first, three.first, s, n));
  CHECK(same_bits(one.second, three.second, n, n));
}
