// SPDX-License-Identifier: Apache-2.0
// Batches that lie along the first axis of every tensor of a state: taken apart for solve_batch, put together for one
// call of the field.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/ode/batch.hpp>
#include <fathom/ode/tree_state.hpp>
#include <fathom/op/layout.hpp>
#include <fathom/tree/tree.hpp>

namespace fathom::ode {

/// The samples of a state whose tensors have extents [n, ...]: n states with extents [1, ...], views where the backend
/// can have them.
template <detail::tree_state Y>
std::vector<Y> split_batch(const Y& y) {
  index_t count = -1;
  tree::for_each(y, [&](const auto& leaf) {
    static_assert(any_tensor<decltype(leaf)>, "fathom: a batch axis needs tensors");
    if (count < 0) count = leaf.extent(0);
    if (leaf.extent(0) != count)
      throw shape_error(
          fathom::detail::concat("ode::split_batch: one tensor holds ", count, " samples, another ", leaf.extent(0)));
  });
  std::vector<Y> samples;
  for (index_t n = 0; n < count; ++n)
    samples.push_back(tree::map([&](const auto& leaf) { return slice(leaf, 0, n, n + 1); }, y));
  return samples;
}

/// The inverse: tensors joined along their first axis.
template <detail::tree_state Y>
Y join_batch(const std::vector<Y>& samples) {
  if (samples.empty()) throw shape_error("ode::join_batch: there are no samples");
  std::vector<std::vector<const void*>> leaves(samples.size());
  for (std::size_t n = 0; n < samples.size(); ++n)
    tree::for_each(samples[n], [&](const auto& leaf) { leaves[n].push_back(&leaf); });
  Y joined = samples.front();
  std::size_t place = 0;
  tree::for_each(joined, [&](auto& leaf) {
    using leaf_t = std::remove_cvref_t<decltype(leaf)>;
    std::vector<leaf_t> parts;
    for (const auto& one : leaves) parts.push_back(*static_cast<const leaf_t*>(one.at(place)));
    leaf = concatenate(parts, 0);
    ++place;
  });
  return joined;
}

/// field(t [n], y [n, ...]) or field(t, y, numbers) as a joint field: n is the number of samples still on their way,
/// `numbers` says which ones they are (a std::vector<std::size_t>, for masks).
template <class Field>
struct stacked_field {
  const Field& field;

  template <class Y>
  std::vector<Y> operator()(const std::vector<batch_point<Y>>& points) const {
    using time_type = typename state_traits<Y>::time_type;
    std::vector<tensor<typename time_type::backend_type, 1>> times;
    std::vector<Y> states;
    std::vector<std::size_t> numbers;
    for (const auto& point : points) {
      times.push_back(reshape<1>(point.t, {1}));
      states.push_back(*point.y);
      numbers.push_back(point.sample);
    }
    const auto t = concatenate(times, 0);
    const auto y = join_batch(states);
    if constexpr (requires { field(t, y, numbers); })
      return split_batch<Y>(field(t, y, numbers));
    else
      return split_batch<Y>(field(t, y));
  }
};
/// The field is held by reference and must outlive the solve.
template <class Field>
stacked_field<Field> stacked(const Field& field) {
  return {field};
}

}  // namespace fathom::ode
