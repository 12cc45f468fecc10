// SPDX-License-Identifier: Apache-2.0
// ode::leaf_kernels and train::adam_kernel through the kernels that work on all leaves at once.
#pragma once

#include <array>
#include <vector>

#include <fathom/cuda/kernels/leaves.cuh>
#include <fathom/ode/leaf_kernels.hpp>
#include <fathom/ode/state.hpp>
#include <fathom/tensor/tensor.hpp>

namespace fathom::cuda::kernels {

/// Fills tables with all leaves; work(table, number of its first leaf) for each of them.
template <class Table, class Leaf, class Fill, class Work>
void for_tables(const std::vector<Leaf>& leaves, const Fill& fill, const Work& work) {
  Table table;
  std::size_t first = 0;
  for (std::size_t n = 0; n < leaves.size(); ++n) {
    if (table.full()) {
      work(table, first);
      table.clear();
      first = n;
    }
    fill(table, n);
  }
  if (table.leaves > 0) work(table, first);
}

/// Base of ode::leaf_kernels<B>. 32 leaves a launch; both norms of a step wait once, for a few numbers of all leaves.
template <class B>
struct leaf_kernels_on {
  using T = scalar_of<B>;
  static constexpr bool at_once = true;
  static constexpr std::size_t most_terms = static_cast<std::size_t>(kernels::most_terms);

  static void combine(const B& b, const std::vector<ode::leaf_arrays<T>>& leaves, const double* c, int terms) {
    using table_t = leaf_table<T, kernels::most_terms + 2, 32>;
    stage_sum<T> sum{terms, {}};
    for (int m = 0; m < terms; ++m) sum.c[m] = static_cast<T>(c[m]);
    for_tables<table_t>(leaves, fill(leaves), [&](const table_t& table, std::size_t) {
      launch(b, map_leaves<table_t, stage_sum<T>>{table, sum}, "combination of states", table);
    });
  }

  static std::vector<std::array<double, 2>> errors(const B& b, const std::vector<ode::leaf_arrays<T>>& leaves,
                                                   const double* c, int terms, const ode::tolerances& tol) {
    using table_t = leaf_table<T, kernels::most_terms + 3, 32>;
    scaled_error<T> error{terms, {}, tol.atol, tol.rtol};
    for (int m = 0; m < terms; ++m) error.c[m] = static_cast<T>(c[m]);
    const auto n = static_cast<index_t>(leaves.size());
    tensor<B, 1, double> totals(b, {2 * n});
    for_tables<table_t>(leaves, fill(leaves), [&](const table_t& table, std::size_t first) {
      tensor<B, 1, double> partial(b, {2 * table.blocks()});
      auto* const sums = reinterpret_cast<two_sums*>(partial.mutable_data());
      launch(b, reduce_leaves<table_t, scaled_error<T>>{table, error, sums}, "error norm", table);
      launch(b, join_leaves<table_t>{table, sums, reinterpret_cast<two_sums*>(totals.mutable_data()) + first},
             "error norm", table);
    });
    std::vector<std::array<double, 2>> result(leaves.size());
    if (n > 0) b.template download<double>(result.front().data(), totals.data(), 2 * n);
    b.synchronize();
    return result;
  }

 private:
  static auto fill(const std::vector<ode::leaf_arrays<T>>& leaves) {
    return [&leaves](auto& table, std::size_t n) {
      const T* arrays[std::remove_reference_t<decltype(table)>::operands] = {};
      for (std::size_t k = 0; k < leaves[n].at.size(); ++k) arrays[k] = leaves[n].at[k];
      table.add(leaves[n].size, leaves[n].repeat, arrays);
    };
  }
  template <class Body, class Table>
  static void launch(const B& b, const Body& body, const char* what, const Table& table) {
    strided_view<T> leaves{nullptr, 1, {table.leaves}, {1}};
    launch_blocks(b, body.blocks(), body, what, leaves);
  }
};

/// Base of train::adam_kernel<B>: 400 tensors a launch, what fits into the 32 KB of a kernel's arguments.
template <class B>
struct adam_kernel_on {
  using T = scalar_of<B>;
  static constexpr bool at_once = true;

  using vectors = std::vector<tensor<B, 1>>;

  static void step(const B& b, const vectors& p, const vectors& g, const vectors& next, tensor<B, 1>& m,
                   tensor<B, 1>& v, const train::adam_functors& f) {
    using table_t = leaf_table<T, 5, 400>;
    index_t at = 0;
    const auto fill = [&](table_t& table, std::size_t n) {
      const T* const arrays[5] = {next[n].data(), p[n].data(), m.data() + at, v.data() + at, g[n].data()};
      table.add(p[n].size(), 1, arrays);
      at += p[n].size();
    };
    for_tables<table_t>(p, fill, [&](const table_t& table, std::size_t) {
      const map_leaves<table_t, adam_step> body{table, {f}};
      launch_blocks(b, body.blocks(), body, "adam", m.view());
    });
  }
};

}  // namespace fathom::cuda::kernels
