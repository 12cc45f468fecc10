// SPDX-License-Identifier: Apache-2.0
// The tensor: an owning, reference-counted, strided handle of static rank and scalar that carries its backend.
#pragma once

#include <array>
#include <memory>
#include <type_traits>
#include <utility>

#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>
#include <fathom/core/host_tensor.hpp>
#include <fathom/tensor/backend.hpp>
#include <fathom/tensor/strided_view.hpp>

namespace fathom {

/// Run-time extents of a tensor of rank R.
template <int R>
using extents = std::array<index_t, static_cast<std::size_t>(R)>;

namespace detail {
template <int R>
constexpr index_t product(const extents<R>& e) {
  index_t n = 1;
  for (const auto extent : e) n *= extent;
  return n;
}
template <int R>
constexpr extents<R> row_major_strides(const extents<R>& e) {
  extents<R> strides{};
  index_t step = 1;
  for (int a = R - 1; a >= 0; --a) {
    strides[static_cast<std::size_t>(a)] = step;
    step *= e[static_cast<std::size_t>(a)];
  }
  return strides;
}
}  // namespace detail

/// Copying is O(1) and shares storage; operations never change their inputs, so sharing is invisible. clone() copies
/// deeply. A default-constructed tensor is empty: it has extents 0 and no storage.
template <class B, int R, class T = typename B::scalar>
class tensor {
  static_assert(R >= 0 && R <= max_rank, "fathom: a tensor has between 0 and 7 axes");

 public:
  using backend_type = B;
  using value_type = T;
  static constexpr int rank = R;

  tensor() = default;

  /// Storage for `e`, contents undefined; throws shape_error on a negative extent.
  tensor(B b, const extents<R>& e) : backend_(std::move(b)), extents_(e), strides_(detail::row_major_strides<R>(e)) {
    for (const auto extent : e)
      if (extent < 0) throw shape_error(concat_extents("tensor: extents must not be negative, got ", e));
    data_ = backend_.template allocate<T>(detail::product<R>(e));
  }

  /// Wraps storage that something else made; `data` keeps it alive.
  tensor(B b, std::shared_ptr<T> data, const extents<R>& e, const extents<R>& s)
      : backend_(std::move(b)), data_(std::move(data)), extents_(e), strides_(s) {}

  /// Extents without storage yet: a parameter before it is initialised or loaded.
  static tensor unfilled(B b, const extents<R>& e) {
    return tensor(std::move(b), std::shared_ptr<T>(), e, detail::row_major_strides<R>(e));
  }

  const B& backend() const { return backend_; }
  bool empty() const { return data_ == nullptr; }
  const extents<R>& shape() const { return extents_; }
  const extents<R>& strides() const { return strides_; }
  index_t extent(int axis) const { return extents_[static_cast<std::size_t>(axis < 0 ? axis + R : axis)]; }
  index_t stride(int axis) const { return strides_[static_cast<std::size_t>(axis < 0 ? axis + R : axis)]; }
  index_t size() const { return detail::product<R>(extents_); }
  bool is_contiguous() const { return detail::is_row_major(view()); }
  /// True where no other tensor shares the storage, so that it may be overwritten.
  bool is_unique() const { return data_.use_count() == 1; }

  const T* data() const { return data_.get(); }
  const std::shared_ptr<T>& storage() const { return data_; }
  strided_view<const T> view() const { return make_view<const T>(data_.get()); }

  /// Write access. For the owner of a fresh tensor, and for in-place operations (names ending in `_`).
  T* mutable_data() { return data_.get(); }
  strided_view<T> mutable_view() { return make_view<T>(data_.get()); }

  /// The same storage seen with other extents and strides, starting `offset` elements further on.
  template <std::size_t R2>
  tensor<B, static_cast<int>(R2), T> reinterpret(const std::array<index_t, R2>& e, const std::array<index_t, R2>& s,
                                                 index_t offset = 0) const {
    return tensor<B, static_cast<int>(R2), T>(backend_, std::shared_ptr<T>(data_, data_.get() + offset), e, s);
  }

 private:
  static std::string concat_extents(const char* text, const extents<R>& e) { return text + to_string_extents(e); }

  template <class U>
  strided_view<U> make_view(U* at) const {
    strided_view<U> v{at, R, {}, {}};
    for (int a = 0; a < R; ++a) {
      v.extent[a] = extents_[static_cast<std::size_t>(a)];
      v.stride[a] = strides_[static_cast<std::size_t>(a)];
    }
    return v;
  }

  [[no_unique_address]] B backend_{};
  std::shared_ptr<T> data_;
  extents<R> extents_{};
  extents<R> strides_{};
};

namespace detail {
template <class X>
struct is_tensor : std::false_type {};
template <class B, int R, class T>
struct is_tensor<tensor<B, R, T>> : std::true_type {};
}  // namespace detail

/// Any tensor, on a plain or a decorated backend.
template <class X>
concept any_tensor = detail::is_tensor<std::remove_cvref_t<X>>::value;

/// The real number type of a backend.
template <class B>
using scalar_of = typename B::scalar;

/// Depth t of a continuous network as a value of the backend, so that its gradient exists. (`time` would collide with
/// the C library's function wherever fathom is a used namespace.)
template <class B>
using ode_time = tensor<B, 0>;

namespace detail {
template <class T>
struct constant_value {
  T value;
  FATHOM_HD T operator()(index_t) const { return value; }
};
}  // namespace detail

/// A row-major copy, or the tensor itself where it is row-major already.
template <plain_backend B, int R, class T>
tensor<B, R, T> contiguous(const tensor<B, R, T>& x) {
  if (x.is_contiguous()) return x;
  tensor<B, R, T> y(x.backend(), x.shape());
  x.backend().map(detail::copy_value{}, y.mutable_view(), x.view());
  return y;
}

/// A deep, row-major copy.
template <plain_backend B, int R, class T>
tensor<B, R, T> clone(const tensor<B, R, T>& x) {
  tensor<B, R, T> y(x.backend(), x.shape());
  x.backend().map(detail::copy_value{}, y.mutable_view(), x.view());
  return y;
}

/// All elements `value`.
template <int R, plain_backend B, class T = scalar_of<B>>
tensor<B, R, T> full(const B& b, const extents<R>& e, T value) {
  tensor<B, R, T> x(b, e);
  b.generate(detail::constant_value<T>{value}, x.mutable_view());
  return x;
}
template <int R, class B>
auto zeros(const B& b, const extents<R>& e) {
  return full<R>(b, e, scalar_of<B>(0));
}
template <class B, int R>
auto zeros_like(const tensor<B, R>& x) {
  return full<R>(x.backend(), x.shape(), scalar_of<B>(0));
}

/// Copies host values, converting the element type; throws shape_error where the rank differs.
template <int R, class T, plain_backend B, class U>
tensor<B, R, T> from_host_as(const B& b, const host_tensor<U>& host) {
  if (host.rank() != R)
    throw shape_error(detail::concat("from_host: expected ", R, " axes, got extents ", to_string_extents(host.shape)));
  extents<R> e{};
  for (std::size_t a = 0; a < e.size(); ++a) e[a] = host.shape[a];
  tensor<B, R, T> x(b, e);
  if constexpr (std::is_same_v<T, U>) {
    b.upload(x.mutable_data(), host.data.data(), x.size());
  } else {
    std::vector<T> converted(host.data.begin(), host.data.end());
    b.upload(x.mutable_data(), converted.data(), x.size());
  }
  return x;
}
template <int R, class B, class U>
auto from_host(const B& b, const host_tensor<U>& host) {
  if constexpr (std::is_floating_point_v<U>)
    return from_host_as<R, scalar_of<B>>(b, host);
  else
    return from_host_as<R, index_t>(b, host);
}

/// Row-major copy in host memory.
template <plain_backend B, int R, class T>
host_tensor<T> to_host(const tensor<B, R, T>& x) {
  host_tensor<T> host(std::vector<index_t>(x.shape().begin(), x.shape().end()));
  const auto packed = contiguous(x);
  x.backend().download(host.data.data(), packed.data(), x.size());
  x.backend().synchronize();
  return host;
}

/// The value of a rank-0 tensor.
template <plain_backend B, class T>
T item(const tensor<B, 0, T>& x) {
  return to_host(x).data.front();
}

}  // namespace fathom
