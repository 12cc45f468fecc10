// SPDX-License-Identifier: Apache-2.0
// A field behind one call, so that what is compiled for a state serves every field of it.
#pragma once

#include <type_traits>
#include <utility>

#include <fathom/ode/field.hpp>
#include <fathom/ode/state.hpp>

namespace fathom::ode {

/// Refers to a field that returns or fills in its result; calls go through a pointer. Where a method is picked at run
/// time, solve(any_field<Y>(field), ...) compiles every method once for a state and not once for every field.
///
///     ode::any_field<Y> f(field);   // field must outlive f
template <ode_state Y>
class any_field {
 public:
  using time_type = typename state_traits<Y>::time_type;

  template <class Field>
    requires(!std::is_same_v<Field, any_field> && (returning_field<Field, Y> || filling_field<Field, Y>))
  explicit any_field(const Field& field)
      : field_(&field), call_([](const void* f, const time_type& t, const Y& y, Y& out) {
          const Field& it = *static_cast<const Field*>(f);
          if constexpr (filling_field<Field, Y>)
            it(t, y, out);
          else
            out = it(t, y);
        }) {}
  /// A temporary would be gone at the first call.
  template <class Field>
    requires(!std::is_same_v<Field, any_field>)
  explicit any_field(const Field&&) = delete;

  /// dydt = f(t, y)
  void operator()(const time_type& t, const Y& y, Y& dydt) const { call_(field_, t, y, dydt); }

 private:
  const void* field_;
  void (*call_)(const void*, const time_type&, const Y&, Y&);
};

}  // namespace fathom::ode
