// SPDX-License-Identifier: Apache-2.0
// A stored array and its name: the one vocabulary type of checkpoint readers and writers (safetensors, npy, npz).
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/core/host_tensor.hpp>

namespace fathom::io {

static_assert(std::endian::native == std::endian::little, "fathom::io reads and writes little-endian files in place");

/// Element types of stored arrays, under safetensors' names.
enum class dtype { f64, f32, f16, bf16, i64, i32, i16, i8, u8, boolean };

/// Bytes of one element.
constexpr std::size_t size_of(dtype type) {
  switch (type) {
    case dtype::f64:
    case dtype::i64:
      return 8;
    case dtype::f32:
    case dtype::i32:
      return 4;
    case dtype::f16:
    case dtype::bf16:
    case dtype::i16:
      return 2;
    case dtype::i8:
    case dtype::u8:
    case dtype::boolean:
      break;
  }
  return 1;
}

/// "F32", as safetensors spells it.
constexpr const char* to_string(dtype type) {
  constexpr const char* names[] = {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"};
  return names[static_cast<std::size_t>(type)];
}

/// True for types that hold fractions, NaN and infinity.
constexpr bool is_floating(dtype type) {
  return type == dtype::f64 || type == dtype::f32 || type == dtype::f16 || type == dtype::bf16;
}

/// The stored type of a C++ scalar: float -> F32, std::int64_t -> I64, ...
template <class T>
constexpr dtype dtype_of() {
  static_assert(!std::is_same_v<T, bool>,
                "dtype_of: hold truth values as std::uint8_t, std::vector<bool> has no data()");
  static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, long double> &&
                    (std::is_floating_point_v<T> || std::is_signed_v<T> || sizeof(T) == 1),
                "dtype_of: stored types are float, double, signed integers and std::uint8_t");
  if constexpr (std::is_same_v<T, double>) return dtype::f64;
  if constexpr (std::is_same_v<T, float>) return dtype::f32;
  if constexpr (std::is_unsigned_v<T>) return dtype::u8;
  return sizeof(T) == 8 ? dtype::i64 : sizeof(T) == 4 ? dtype::i32 : sizeof(T) == 2 ? dtype::i16 : dtype::i8;
}

namespace detail {

using fathom::detail::concat;

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

/// IEEE binary16 to float; exact, subnormals, infinities and NaN included.
inline float float_from_f16(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int fraction = bits & 1023;
  float magnitude = 0;
  if (exponent == 31)
    magnitude = fraction != 0 ? std::numeric_limits<float>::quiet_NaN() : std::numeric_limits<float>::infinity();
  else if (exponent == 0)
    magnitude = std::ldexp(static_cast<float>(fraction), -24);
  else
    magnitude = std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

/// bfloat16 is the upper half of a float.
inline float float_from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

/// Calls `use` with element i of the array at `data`, in its own C++ type (half types as float).
template <class Use>
auto with_element(dtype type, const std::byte* data, index_t i, Use&& use) {
  const std::byte* at = data + static_cast<std::size_t>(i) * size_of(type);
  switch (type) {
    case dtype::f64:
      return use(load<double>(at));
    case dtype::f32:
      return use(load<float>(at));
    case dtype::f16:
      return use(float_from_f16(load<std::uint16_t>(at)));
    case dtype::bf16:
      return use(float_from_bf16(load<std::uint16_t>(at)));
    case dtype::i64:
      return use(load<std::int64_t>(at));
    case dtype::i32:
      return use(load<std::int32_t>(at));
    case dtype::i16:
      return use(load<std::int16_t>(at));
    case dtype::i8:
      return use(load<std::int8_t>(at));
    case dtype::boolean:
      return use(static_cast<std::uint8_t>(load<std::uint8_t>(at) != 0));
    case dtype::u8:
      break;
  }
  return use(load<std::uint8_t>(at));
}

}  // namespace detail

/// A row-major array in memory that somebody else may own: a mapped file, or a host_tensor.
/// `owner` keeps that memory alive, so a named_tensor may outlive the reader that handed it over.
struct named_tensor {
  std::string name;
  dtype type = dtype::f32;
  std::vector<index_t> shape;
  const std::byte* data = nullptr;  ///< unaligned in general
  std::size_t bytes = 0;
  std::shared_ptr<const void> owner;

  index_t size() const { return static_cast<index_t>(bytes / size_of(type)); }

  /// A copy with elements of type T. Floating targets take every stored type; integer targets take stored integers that
  /// fit. Throws io_error naming the array otherwise.
  template <class T>
  host_tensor<T> as() const {
    constexpr dtype target = dtype_of<T>();
    if (!is_floating(target) && is_floating(type))
      throw io_error(detail::concat("tensor '", name, "': stored as ", to_string(type), ", asked for as ",
                                    to_string(target), "; read it as float or double and convert on purpose"));
    host_tensor<T> result(shape);
    if (target == type) {
      if (bytes != 0) std::memcpy(result.data.data(), data, bytes);
      return result;
    }
    for (index_t i = 0; i < result.size(); ++i)
      result.data[static_cast<std::size_t>(i)] =
          detail::with_element(type, data, i, [this, i](auto value) { return this->template convert<T>(value, i); });
    return result;
  }

  /// Position of the first NaN or infinity in row-major order, -1 when all are finite.
  index_t first_not_finite() const {
    if (!is_floating(type)) return -1;
    for (index_t i = 0; i < size(); ++i)
      if (!detail::with_element(type, data, i, [](auto v) { return std::isfinite(static_cast<double>(v)); })) return i;
    return -1;
  }

  /// An array that owns its memory.
  template <class T>
  static named_tensor own(std::string name, host_tensor<T> values) {
    const auto kept = std::make_shared<const host_tensor<T>>(std::move(values));
    named_tensor result = view(std::move(name), *kept);
    result.owner = kept;
    return result;
  }

  /// An array that looks at `values`, which must stay in place as long as it is used.
  template <class T>
  static named_tensor view(std::string name, const host_tensor<T>& values) {
    named_tensor result;
    result.name = std::move(name);
    result.type = dtype_of<T>();
    result.shape = values.shape;
    result.data = reinterpret_cast<const std::byte*>(values.data.data());
    result.bytes = values.data.size() * sizeof(T);
    return result;
  }

 private:
  template <class T, class Stored>
  T convert(Stored value, index_t i) const {
    if constexpr (std::is_integral_v<T> && std::is_integral_v<Stored>) {
      const auto wide = static_cast<std::int64_t>(value);
      if (wide < static_cast<std::int64_t>(std::numeric_limits<T>::min()) ||
          wide > static_cast<std::int64_t>(std::numeric_limits<T>::max()))
        throw io_error(detail::concat("tensor '", name, "': element ", i, " is ", wide, ", too large for ",
                                      to_string(dtype_of<T>())));
    }
    return static_cast<T>(value);
  }
};

}  // namespace fathom::io
