// SPDX-License-Identifier: Apache-2.0
// Directional derivatives of any field by differences: for fields that can be evaluated on one backend only, and not
// over dual numbers (fathom/ode/dual_field.hpp).
#pragma once

#include <array>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/ode/state.hpp>
#include <fathom/ode/tangent.hpp>
#include <fathom/ode/tree_state.hpp>

namespace fathom::ode {

/// A field with jvp(t, y, v) = {f(t, y), (f(t, y + h v) - f(t, y - h v))/(2 h)}: three evaluations, and an error of
/// about eps^(2/3): 1e-10 in float64, 1e-5 in float32, where the field is smooth. With a direction of the field's own
/// leaves (weights) these move along.
template <class Field>
class differenced_field {
 public:
  explicit differenced_field(Field field) : field_(std::move(field)) {}
  differenced_field(Field field, Field direction) : field_(std::move(field)), direction_(std::move(direction)) {}

  template <class Time, class Y>
  Y operator()(const Time& t, const Y& y) const {
    return field_(t, y);
  }

  template <class Time, class Y>
  tangent<Y> jvp(const Time& t, const Y& y, const Y& v) const {
    using traits = state_traits<Y>;
    using one = std::array<const Y*, 1>;
    // A step that moves y by the cube root of its rounding error.
    const double size = std::sqrt(traits::dot(v, v));
    const double h =
        std::cbrt(traits::epsilon(y)) * (direction_ || size == 0 ? 1 : (1 + std::sqrt(traits::dot(y, y))) / size);
    const auto at = [&](double step) {
      Y moved = traits::clone(y);
      traits::combine(moved, y, std::array<double, 1>{step}, one{&v});
      if constexpr (tree::branch<Field>)
        if (direction_) return Y(moved_field(step)(t, moved));
      return Y(field_(t, moved));
    };
    const Y ahead = at(h), behind = at(-h);
    tangent<Y> result{field_(t, y), traits::clone(y)};
    traits::scaled_sum(result.direction, std::array<double, 2>{0.5 / h, -0.5 / h},
                       std::array<const Y*, 2>{&ahead, &behind});
    return result;
  }

 private:
  Field moved_field(double step) const {
    std::vector<const void*> along;
    tree::for_each(*direction_, [&](const auto& leaf) { along.push_back(&leaf); });
    Field moved = field_;
    std::size_t n = 0;
    tree::for_each(moved, [&](auto& leaf) {
      using leaf_t = std::remove_cvref_t<decltype(leaf)>;
      const void* by = along[n++];
      if constexpr (any_tensor<leaf_t>)
        if constexpr (std::is_same_v<typename leaf_t::value_type, scalar_of<typename leaf_t::backend_type>>)
          if (!leaf.empty()) leaf = leaf + *static_cast<const leaf_t*>(by) * step;
    });
    return moved;
  }

  Field field_;
  std::optional<Field> direction_{};
};

/// For solve_tangent: the derivative along dy0, and along `direction` of the weights where one is given.
template <class Field>
differenced_field<Field> by_differences(Field field) {
  return differenced_field<Field>(std::move(field));
}
template <class Field>
differenced_field<Field> by_differences(Field field, Field direction) {
  return differenced_field<Field>(std::move(field), std::move(direction));
}

}  // namespace fathom::ode
