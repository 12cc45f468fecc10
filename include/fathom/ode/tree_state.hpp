// SPDX-License-Identifier: Apache-2.0
// Trees of tensors as ODE states, on any backend; on autodiff<B> a solve is recorded like any other computation.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <fathom/autodiff/autodiff.hpp>
#include <fathom/core/config.hpp>
#include <fathom/ode/leaf_kernels.hpp>
#include <fathom/ode/state.hpp>
#include <fathom/ode/tree_kernels.hpp>
#include <fathom/op/elementwise.hpp>
#include <fathom/op/layout.hpp>
#include <fathom/tree/tree.hpp>

namespace fathom::ode {

namespace detail {

/// The values of a leaf without their gradient's history.
template <class X>
const auto& values_of(const X& x) {
  if constexpr (std::is_arithmetic_v<X>)
    return x;
  else
    return primal(x);
}

template <class Y>
concept tree_state = tree::any_tree<Y> && !flat_state<Y>;

}  // namespace detail

/// Trees: a tensor, a struct with `visit`, or lists of those. One leaf per tensor; leaves of index type are refused.
template <detail::tree_state Y>
struct state_traits<Y> {
 private:
  template <class Leaf>
  static constexpr bool number = std::is_arithmetic_v<Leaf>;

  /// Leaves of `y` in order, as untyped addresses.
  static std::vector<const void*> addresses(const Y& y) {
    std::vector<const void*> at;
    tree::for_each(y, [&](const auto& leaf) {
      using leaf_t = std::remove_cvref_t<decltype(leaf)>;
      if constexpr (any_tensor<leaf_t>)
        static_assert(std::is_same_v<typename leaf_t::value_type, scalar_of<typename leaf_t::backend_type>>,
                      "fathom: an ODE state holds real tensors only; masks and indices belong to the field's context");
      at.push_back(&leaf);
    });
    return at;
  }

  /// use(out leaf, index of leaf, k leaf pointers) for every leaf.
  template <std::size_t M, class X, class Use>
  static void for_leaves(X& x, const std::array<const Y*, M>& k, Use&& use) {
    std::array<std::vector<const void*>, M> at;
    for (std::size_t m = 0; m < M; ++m) at[m] = addresses(*k[m]);
    std::size_t n = 0;
    tree::for_each(x, [&](auto& leaf) {
      using leaf_t = std::remove_cvref_t<decltype(leaf)>;
      std::array<const leaf_t*, M> terms;
      for (std::size_t m = 0; m < M; ++m) {
        if (at[m].size() <= n) throw shape_error("ode: the field returned a tree with fewer leaves than the state");
        terms[m] = static_cast<const leaf_t*>(at[m][n]);
        check_shape(leaf, *terms[m], n);
      }
      use(leaf, n, terms);
      ++n;
    });
  }

  template <class Leaf>
  static void check_shape(const Leaf& y, const Leaf& k, std::size_t n) {
    if constexpr (any_tensor<Leaf>)
      if (!(y.shape() == k.shape()))
        throw shape_error(fathom::detail::concat("ode: leaf ", n, " of the state has extents ",
                                                 to_string_extents(y.shape()), ", the field returned ",
                                                 to_string_extents(k.shape())));
  }

  template <class F, class B, int R, class T, std::size_t M, std::size_t... Term, class... First>
  static void map_terms(std::index_sequence<Term...>, const F& f, tensor<B, R, T>& out,
                        const std::array<const tensor<B, R, T>*, M>& k, std::size_t from, const First&... first) {
    out.backend().map(f, out.mutable_view(), first..., k[from + Term]->view()...);
  }

  // More operands than this in one pass gain nothing and cost compile time.
  static constexpr std::size_t widest = 7;

  /// out = y + sum (y may be null: no first operand), in passes of at most `widest` terms.
  template <std::size_t From, class B, int R, class T, std::size_t M>
  static void accumulate(tensor<B, R, T>& out, const tensor<B, R, T>* y, const std::array<double, M>& c,
                         const std::array<const tensor<B, R, T>*, M>& k) {
    constexpr std::size_t n = M - From < widest ? M - From : widest;
    const auto sequence = std::make_index_sequence<n>{};
    if (y == nullptr) {
      term_functor<detail::term_sum<T, n>> f(c, From);
      map_terms(sequence, f.value, out, k, From);
    } else {
      term_functor<detail::added_terms<T, n>> f(c, From);
      map_terms(sequence, f.value, out, k, From, strided_view<const T>(y->view()));
    }
    if constexpr (From + n < M) accumulate<From + n>(out, &out, c, k);
  }
  template <class F>
  struct term_functor {
    F value{};
    template <std::size_t M>
    term_functor(const std::array<double, M>& c, std::size_t from) {
      std::size_t m = 0;
      for (auto& coefficient : value.c)
        coefficient = static_cast<std::remove_reference_t<decltype(coefficient)>>(c[from + m++]);
    }
  };

  /// A tensor to write to: `out` itself where nobody else can see its storage.
  template <class B, int R, class T>
  static void make_writable(tensor<B, R, T>& out, const tensor<B, R, T>& like) {
    if (out.empty() || !out.is_unique() || !out.is_contiguous() || !(out.shape() == like.shape()))
      out = tensor<B, R, T>(like.backend(), like.shape());
  }

  template <class Leaf, std::size_t M>
  static void combine_leaf(Leaf& out, const Leaf* y, const std::array<double, M>& c,
                           const std::array<const Leaf*, M>& k) {
    if constexpr (number<Leaf>) {
      Leaf sum = y ? *y : Leaf(0);
      for (std::size_t m = 0; m < M; ++m) sum += static_cast<Leaf>(c[m]) * *k[m];
      out = sum;
    } else if constexpr (M == 0) {
      out = *y;
    } else if constexpr (plain_backend<typename Leaf::backend_type>) {
      make_writable(out, *k[0]);
      accumulate<0>(out, y, c, k);
    } else {
      std::vector<Leaf> terms;
      std::vector<double> factors;
      if (y != nullptr) {
        terms.push_back(*y);
        factors.push_back(1);
      }
      for (std::size_t m = 0; m < M; ++m) {
        terms.push_back(*k[m]);
        factors.push_back(c[m]);
      }
      out = linear_combination(terms, factors);
    }
  }

  /// Whether leaf_kernels of the backend takes combinations of M states.
  template <std::size_t M>
  static constexpr bool at_once() {
    if constexpr (plain_backend<tree::backend_of_t<Y>>)
      return M > 0 && leaf_kernels<tree::backend_of_t<Y>>::at_once &&
             M <= leaf_kernels<tree::backend_of_t<Y>>::most_terms;
    else
      return false;
  }
  /// out = y + sum_m c[m] k[m] (y may be null) in one launch; false, and nothing done, where a leaf does not fit.
  template <std::size_t M>
  static bool combine_at_once(Y& out, const Y* y, const std::array<double, M>& c, const std::array<const Y*, M>& k) {
    using T = scalar_of<tree::backend_of_t<Y>>;
    std::vector<const void*> from;
    if (y != nullptr) from = addresses(*y);
    std::vector<leaf_arrays<T>> all;
    bool fits = true;
    for_leaves(out, k, [&](auto& leaf, std::size_t n, const auto& terms) {
      using leaf_t = std::remove_cvref_t<decltype(leaf)>;
      if constexpr (number<leaf_t>) {
        fits = false;
      } else {
        make_writable(leaf, *terms[0]);
        leaf_arrays<T> arrays{leaf.size(), 1, {leaf.data()}};
        if (y == nullptr)
          arrays.at.push_back(nullptr);
        else
          fits = detail::append_values(arrays, *static_cast<const leaf_t*>(from[n])) && fits;
        for (const leaf_t* term : terms) fits = detail::append_values(arrays, *term) && fits;
        all.push_back(std::move(arrays));
      }
    });
    if (fits) leaf_kernels<tree::backend_of_t<Y>>::combine(backend(out), all, c.data(), static_cast<int>(M));
    return fits;
  }
  /// The mean squared scaled error of every leaf, with one wait for all of them; empty where a leaf does not fit.
  template <std::size_t M>
  static std::vector<double> errors_at_once(const Y& y0, const Y& y1, const std::array<double, M>& c,
                                            const std::array<const Y*, M>& k, const tolerances& tol, const Y* weights) {
    using T = scalar_of<tree::backend_of_t<Y>>;
    const auto after = addresses(y1);
    std::vector<const void*> w;
    if (weights != nullptr) w = addresses(*weights);
    std::vector<leaf_arrays<T>> all;
    bool fits = true;
    for_leaves(y0, k, [&](const auto& leaf, std::size_t n, const auto& terms) {
      using leaf_t = std::remove_cvref_t<decltype(leaf)>;
      if constexpr (number<leaf_t>) {
        fits = false;
      } else {
        leaf_arrays<T> arrays{leaf.size(), 1, {nullptr}};
        if (weights != nullptr) {
          const leaf_t& weight = *static_cast<const leaf_t*>(w[n]);
          arrays.repeat = detail::weight_repeats(weight, leaf);
          arrays.at[0] = weight.data();
          fits = fits && arrays.repeat > 0;
        }
        fits = detail::append_values(arrays, leaf) && fits;
        fits = detail::append_values(arrays, *static_cast<const leaf_t*>(after[n])) && fits;
        for (const leaf_t* term : terms) fits = detail::append_values(arrays, *term) && fits;
        all.push_back(std::move(arrays));
      }
    });
    std::vector<double> means;
    if (!fits) return means;
    for (const auto& [sum, count] :
         leaf_kernels<tree::backend_of_t<Y>>::errors(backend(y0), all, c.data(), static_cast<int>(M), tol))
      means.push_back(count == 0 ? 0 : sum / count);
    return means;
  }

  template <class B, int R, class T, std::size_t M, std::size_t... Term>
  static double mean_square(std::index_sequence<Term...>, const tensor<B, R, T>& y0, const tensor<B, R, T>& y1,
                            const std::array<double, M>& c, const std::array<const tensor<B, R, T>*, M>& k,
                            const tolerances& tol, const tensor<B, R, T>* weights) {
    detail::scaled_square<T, M> f{{static_cast<T>(c[Term])...}, tol.atol, tol.rtol};
    if (weights == nullptr) {
      const double n = static_cast<double>(y0.size());
      return n == 0
                 ? 0
                 : detail::reduce_all<B, R>(y0.backend(), f, y0.shape(), y0.view(), y1.view(), k[Term]->view()...) / n;
    }
    const auto w = fathom::detail::broadcast_to_view(weights->view(), y0.shape());
    const double count = detail::reduce_all<B, R>(y0.backend(), detail::as_double{}, y0.shape(), w);
    if (count == 0) return 0;
    return detail::reduce_all<B, R>(y0.backend(), detail::weighted_scaled_square<T, M>{f}, y0.shape(), w, y0.view(),
                                    y1.view(), k[Term]->view()...) /
           count;
  }

 public:
  using backend_type = tree::backend_of_t<Y>;
  using time_type = fathom::ode_time<backend_type>;
  using scalar_type = scalar_of<backend_type>;

  static backend_type backend(const Y& y) {
    std::optional<backend_type> found;
    tree::for_each(y, [&](const auto& leaf) {
      if constexpr (any_tensor<decltype(leaf)>)
        if (!found && !leaf.empty()) found = leaf.backend();
    });
    if (!found) throw error("ode: the state holds no tensor with values");
    return *found;
  }
  static time_type time(double t, const Y& y) { return full<0>(backend(y), {}, static_cast<scalar_type>(t)); }
  static double epsilon(const Y&) { return static_cast<double>(std::numeric_limits<scalar_type>::epsilon()); }

  template <std::size_t M>
  static void combine(Y& out, const Y& y, const std::array<double, M>& c, const std::array<const Y*, M>& k) {
    if (k.size() > 0) conform(out, y);
    if constexpr (at_once<M>())
      if (combine_at_once(out, &y, c, k)) return;
    const auto from = addresses(y);
    for_leaves(out, k, [&](auto& leaf, std::size_t n, const auto& terms) {
      using leaf_t = std::remove_cvref_t<decltype(leaf)>;
      combine_leaf<leaf_t, M>(leaf, static_cast<const leaf_t*>(from[n]), c, terms);
    });
  }
  template <std::size_t M>
  static void scaled_sum(Y& out, const std::array<double, M>& c, const std::array<const Y*, M>& k) {
    static_assert(M > 0, "fathom: scaled_sum needs at least one state");
    conform(out, *k[0]);
    if constexpr (at_once<M>())
      if (combine_at_once<M>(out, nullptr, c, k)) return;
    for_leaves(out, k, [&](auto& leaf, std::size_t, const auto& terms) {
      using leaf_t = std::remove_cvref_t<decltype(leaf)>;
      combine_leaf<leaf_t, M>(leaf, nullptr, c, terms);
    });
  }

  template <std::size_t M>
  static leaf_error error_norm(const Y& y0, const Y& y1, const std::array<double, M>& c,
                               const std::array<const Y*, M>& k, const tolerances& tol, const Y* weights = nullptr) {
    leaf_error worst{-1, 0};
    // Written so that a value that is not a number wins and stays.
    const auto judge = [&worst](double square, std::size_t n) {
      if (!(square <= worst.square) && worst.square == worst.square) worst = {square, static_cast<int>(n)};
    };
    if constexpr (at_once<M>()) {
      const auto means = errors_at_once(y0, y1, c, k, tol, weights);
      for (std::size_t n = 0; n < means.size(); ++n) judge(means[n], n);
      if (!means.empty()) return worst;
    }
    const auto after = addresses(y1);
    std::vector<const void*> w;
    if (weights != nullptr) w = addresses(*weights);
    for_leaves(y0, k, [&](const auto& leaf, std::size_t n, const auto& terms) {
      using leaf_t = std::remove_cvref_t<decltype(leaf)>;
      double square;
      if constexpr (number<leaf_t>) {
        double sum = 0;
        for (std::size_t m = 0; m < M; ++m) sum += c[m] * static_cast<double>(*terms[m]);
        const double b = static_cast<double>(*static_cast<const leaf_t*>(after[n]));
        const double r = sum / (tol.atol + tol.rtol * std::max(std::abs(static_cast<double>(leaf)), std::abs(b)));
        square = r * r;
      } else {
        using plain_t = std::remove_cvref_t<decltype(detail::values_of(leaf))>;
        std::array<const plain_t*, M> plain;
        for (std::size_t m = 0; m < M; ++m) plain[m] = &detail::values_of(*terms[m]);
        const plain_t* weight = weights == nullptr ? nullptr : &detail::values_of(*static_cast<const leaf_t*>(w[n]));
        square = mean_square(std::make_index_sequence<M>{}, detail::values_of(leaf),
                             detail::values_of(*static_cast<const leaf_t*>(after[n])), c, plain, tol, weight);
      }
      judge(square, n);
    });
    if (worst.square == -1) worst.square = 0;
    return worst;
  }

  static bool finite(const Y& y) {
    bool all = true;
    tree::for_each(y, [&](const auto& leaf) {
      using leaf_t = std::remove_cvref_t<decltype(leaf)>;
      if constexpr (number<leaf_t>) {
        all = all && std::isfinite(static_cast<double>(leaf));
      } else {
        const auto& x = detail::values_of(leaf);
        all = all && detail::reduce_all<std::remove_cvref_t<decltype(x.backend())>, leaf_t::rank>(
                         x.backend(), detail::times_zero{}, x.shape(), x.view()) == 0;
      }
    });
    return all;
  }
  static double dot(const Y& a, const Y& b) {
    double sum = 0;
    for_leaves<1>(a, {&b}, [&](const auto& leaf, std::size_t, const auto& terms) {
      using leaf_t = std::remove_cvref_t<decltype(leaf)>;
      if constexpr (number<leaf_t>) {
        sum += static_cast<double>(leaf) * static_cast<double>(*terms[0]);
      } else {
        const auto& x = detail::values_of(leaf);
        sum += detail::reduce_all<std::remove_cvref_t<decltype(x.backend())>, leaf_t::rank>(
            x.backend(), detail::product_as_double{}, x.shape(), x.view(), detail::values_of(*terms[0]).view());
      }
    });
    return sum;
  }

  /// A deep copy; on autodiff the same tensors, whose storage nothing overwrites.
  static Y clone(const Y& y) {
    return tree::map(
        [](const auto& leaf) {
          using leaf_t = std::remove_cvref_t<decltype(leaf)>;
          if constexpr (number<leaf_t>) {
            return leaf;
          } else if constexpr (plain_backend<typename leaf_t::backend_type>) {
            if (leaf.empty()) return leaf;
            return fathom::clone(leaf);
          } else {
            return leaf;
          }
        },
        y);
  }
  static std::size_t bytes(const Y& y) {
    std::size_t sum = 0;
    tree::for_each(y, [&](const auto& leaf) {
      using leaf_t = std::remove_cvref_t<decltype(leaf)>;
      if constexpr (number<leaf_t>)
        sum += sizeof(leaf_t);
      else
        sum += static_cast<std::size_t>(leaf.size()) * sizeof(typename leaf_t::value_type);
    });
    return sum;
  }
  static std::vector<std::string> leaves(const Y& y) {
    std::vector<std::string> names;
    tree::for_each_named(y, [&](const std::string& path, const auto&) { names.push_back(path.empty() ? "y" : path); });
    return names;
  }

 private:
  /// Gives `out` the structure of `like` (lists have lengths); its leaves' storage is kept where it fits.
  static void conform(Y& out, const Y& like) {
    std::size_t have = 0, want = 0;
    tree::for_each(out, [&](const auto&) { ++have; });
    tree::for_each(like, [&](const auto&) { ++want; });
    if (have != want) out = like;
  }
};

}  // namespace fathom::ode
