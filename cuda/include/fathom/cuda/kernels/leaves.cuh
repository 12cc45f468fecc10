// SPDX-License-Identifier: Apache-2.0
// Work on all leaves of a tree in one launch: stage combinations and error norms of ODE solvers, steps of Adam.
#pragma once

#include <fathom/core/error.hpp>
#include <fathom/cuda/kernels/intrinsics.cuh>
#include <fathom/train/adam.hpp>

namespace fathom::cuda::kernels {

/// Up to Most leaves with Operands arrays each, all contiguous; passed to the kernel by value. Functions of their
/// values are called f(arrays of a leaf, i, repeat), `repeat` being what the caller gave with the leaf.
template <class T, int Operands, int Most>
struct leaf_table {
  static constexpr int operands = Operands, most = Most;
  static constexpr int values_per_block = 2048;
  T* at[Most][Operands];
  index_t size[Most], repeat[Most];
  index_t first_block[Most + 1];
  int leaves = 0;

  leaf_table() { first_block[0] = 0; }
  /// Appends a leaf of n values; throws error where the table is full.
  void add(index_t n, index_t each, const T* const (&arrays)[Operands]) {
    if (leaves == Most)
      throw error(fathom::detail::concat("leaf_table: it holds ", Most, " leaves; launch and clear it first"));
    for (int k = 0; k < Operands; ++k) at[leaves][k] = const_cast<T*>(arrays[k]);
    size[leaves] = n;
    repeat[leaves] = each;
    first_block[leaves + 1] = first_block[leaves] + (n + values_per_block - 1) / values_per_block;
    ++leaves;
  }
  bool full() const { return leaves == Most; }
  void clear() { leaves = 0; }
  index_t blocks() const { return first_block[leaves]; }

  FATHOM_DEVICE int leaf_of(index_t block) const {
    int low = 0, high = leaves - 1;
    while (low < high) {
      const int middle = (low + high + 1) / 2;
      if (first_block[middle] <= block)
        low = middle;
      else
        high = middle - 1;
    }
    return low;
  }
};

/// f for every value of every leaf.
template <class Table, class F>
struct map_leaves {
  static constexpr int threads = 256;
  static constexpr std::size_t shared_bytes = 0;
  Table table;
  F f;
  static_assert(sizeof(Table) + sizeof(F) < 32764, "more than a kernel's arguments may hold");

  index_t blocks() const { return table.blocks(); }

  FATHOM_DEVICE void operator()() const {
    const int leaf = table.leaf_of(block_number());
    const index_t first = (block_number() - table.first_block[leaf]) * Table::values_per_block;
    FATHOM_UNROLL
    for (int n = 0; n < Table::values_per_block; n += threads) {
      const index_t i = first + n + thread_number();
      if (i < table.size[leaf]) f(table.at[leaf], i, table.repeat[leaf]);
    }
  }
};

/// Two sums that are made together.
struct two_sums {
  double v[2];
};
/// partial[block] = the sums of f over the values of a block, always in the same order.
template <class Table, class F>
struct reduce_leaves {
  static constexpr int threads = 256, warps = threads / 32;
  static constexpr std::size_t shared_bytes = 2 * shared_size<double>(warps);
  Table table;
  F f;
  two_sums* partial;

  index_t blocks() const { return table.blocks(); }

  FATHOM_DEVICE void operator()() const {
    shared_memory memory;
    const auto first_sums = memory.take<double>(warps), second_sums = memory.take<double>(warps);
    const int leaf = table.leaf_of(block_number());
    const index_t first = (block_number() - table.first_block[leaf]) * Table::values_per_block;
    two_sums mine{{0, 0}};
    for (int n = 0; n < Table::values_per_block; n += threads) {
      const index_t i = first + n + thread_number();
      if (i >= table.size[leaf]) break;
      const two_sums more = f(table.at[leaf], i, table.repeat[leaf]);
      mine.v[0] += more.v[0];
      mine.v[1] += more.v[1];
    }
    __syncwarp();
    mine.v[0] = sum_over_lanes(mine.v[0]);
    mine.v[1] = sum_over_lanes(mine.v[1]);
    if (lane_number() == 0) {
      first_sums[warp_number()] = mine.v[0];
      second_sums[warp_number()] = mine.v[1];
    }
    __syncthreads();
    if (thread_number() > 0) return;
    two_sums all{{0, 0}};
    for (int w = 0; w < warps; ++w) {
      all.v[0] += first_sums[w];
      all.v[1] += second_sums[w];
    }
    partial[block_number()] = all;
  }
};
/// total[leaf] = the sums of its blocks, a block for each leaf.
template <class Table>
struct join_leaves {
  static constexpr int threads = 256, warps = threads / 32;
  static constexpr std::size_t shared_bytes = 2 * shared_size<double>(threads);
  Table table;
  const two_sums* partial;
  two_sums* total;

  index_t blocks() const { return table.leaves; }

  FATHOM_DEVICE void operator()() const {
    shared_memory memory;
    const auto first_sums = memory.take<double>(threads), second_sums = memory.take<double>(threads);
    const index_t leaf = block_number(), from = table.first_block[leaf], end = table.first_block[leaf + 1];
    two_sums mine{{0, 0}};
    for (index_t block = from + thread_number(); block < end; block += threads) {
      mine.v[0] += partial[block].v[0];
      mine.v[1] += partial[block].v[1];
    }
    first_sums[thread_number()] = mine.v[0];
    second_sums[thread_number()] = mine.v[1];
    for (int half = threads / 2; half > 0; half /= 2) {
      __syncthreads();
      if (thread_number() >= half) continue;
      first_sums[thread_number()] += first_sums[thread_number() + half];
      second_sums[thread_number()] += second_sums[thread_number() + half];
    }
    if (thread_number() == 0) total[leaf] = two_sums{{first_sums[0], second_sums[0]}};
  }
};

/// The most terms of one combination: a row of a Runge-Kutta tableau with 16 stages.
inline constexpr int most_terms = 16;

/// at[0] = at[1] + c[0] at[2] + c[1] at[3] + ...; no first term where at[1] is null.
template <class T>
struct stage_sum {
  int terms;
  T c[most_terms];
  FATHOM_DEVICE void operator()(T* const (&at)[most_terms + 2], index_t i, index_t) const {
    T sum = at[1] == nullptr ? T(0) : at[1][i];
    for (int m = 0; m < terms; ++m) sum += c[m] * at[2 + m][i];
    at[0][i] = sum;
  }
};

/// A value's squared scaled error times its weight, and the weight: at[0] weights, one for `repeat` values (all 1 where
/// null), at[1] and at[2] the states before and after the step, the others the error's terms.
template <class T>
struct scaled_error {
  int terms;
  T c[most_terms];
  double atol, rtol;
  FATHOM_DEVICE two_sums operator()(T* const (&at)[most_terms + 3], index_t i, index_t repeat) const {
    const double weight = at[0] == nullptr ? 1.0 : static_cast<double>(at[0][i / repeat]);
    if (weight == 0) return two_sums{{0, 0}};  // nothing else matters there, finite or not
    T sum = T(0);
    for (int m = 0; m < terms; ++m) sum += c[m] * at[3 + m][i];
    const T before = at[1][i], after = at[2][i];
    const double a = before < T(0) ? -static_cast<double>(before) : static_cast<double>(before);
    const double b = after < T(0) ? -static_cast<double>(after) : static_cast<double>(after);
    const double r = static_cast<double>(sum) / (atol + rtol * (a < b ? b : a));
    return two_sums{{weight * r * r, weight}};
  }
};

/// One step of Adam: at[0] new parameters, at[1] old ones, at[2] and at[3] moments, at[4] gradient.
struct adam_step {
  train::adam_functors f;
  template <class T>
  FATHOM_DEVICE void operator()(T* const (&at)[5], index_t i, index_t) const {
    const T g = at[4][i], m = f.mean(at[2][i], g), v = f.square(at[3][i], g);
    at[2][i] = m;
    at[3][i] = v;
    at[0][i] = f.update(at[1][i], m, v);
  }
};

}  // namespace fathom::cuda::kernels
