// SPDX-License-Identifier: Apache-2.0
// Stored states of a solve by step number, in the backend's memory or in the host's.
#pragma once

#include <cstdint>
#include <iterator>
#include <map>
#include <utility>
#include <variant>
#include <vector>

#include <fathom/core/config.hpp>
#include <fathom/core/host_tensor.hpp>
#include <fathom/ode/adjoint_policy.hpp>
#include <fathom/ode/state.hpp>
#include <fathom/ode/tree_state.hpp>

namespace fathom::ode::detail {

/// A state, moved to the host where `where` says so. Tensors are shared, not copied: what others do to theirs never
/// shows.
template <class Y>
class stored_state {
 public:
  stored_state(const Y& y, storage where) {
    if constexpr (on_backend) {
      if (where == storage::host) {
        tree::for_each(y, [&](const auto& leaf) {
          if constexpr (any_tensor<decltype(leaf)>) leaves_.emplace_back(to_host(leaf));
        });
        empty_ = tree::map(clear{}, y);
        return;
      }
    }
    here_.push_back(y);
  }

  /// The state, without a copy where it is here.
  Y load(const Y& like) const {
    if constexpr (on_backend) {
      if (here_.empty()) {
        Y y = empty_;
        const auto b = state_traits<Y>::backend(like);
        std::size_t n = 0;
        tree::for_each(y, [&](auto& leaf) {
          using leaf_t = std::remove_cvref_t<decltype(leaf)>;
          if constexpr (any_tensor<leaf_t>)
            leaf = from_host<leaf_t::rank>(b, std::get<host_tensor<typename leaf_t::value_type>>(leaves_[n++]));
        });
        return y;
      }
    }
    return here_.front();
  }

 private:
  struct clear {
    template <class Leaf>
    Leaf operator()(const Leaf& leaf) const {
      if constexpr (any_tensor<Leaf>)
        return Leaf{};
      else
        return leaf;
    }
  };
  template <class X>
  static constexpr bool tensors_only() {
    if constexpr (tree_state<X>) return requires {
        typename state_traits<X>::backend_type;
      };
    else
      return false;
  }
  static constexpr bool on_backend = tensors_only<Y>();

  std::vector<Y> here_{};
  std::vector<std::variant<host_tensor<float>, host_tensor<double>>> leaves_{};
  Y empty_{};
};

/// At most `capacity` states.
template <class Y>
class checkpoint_store {
 public:
  checkpoint_store(std::int64_t capacity, std::vector<std::int64_t> planned, storage where)
      : capacity_(capacity), planned_(std::move(planned)), online_(planned_.empty()), where_(where) {}

  /// Offered the state before every step in order. With the number of steps known, keeps the planned ones; otherwise
  /// every spacing-th, the spacing doubled whenever the store is full.
  void offer(std::int64_t step, const Y& y) {
    if (!online_) {
      if (next_ < planned_.size() && planned_[next_] == step) {
        keep(step, y);
        ++next_;
      }
      return;
    }
    if (step % spacing_ != 0) return;
    if (size() == capacity_) {
      while (size() == capacity_ && spacing_ < (std::int64_t(1) << 60)) {
        spacing_ *= 2;
        for (auto it = states_.begin(); it != states_.end();)
          it = it->first % spacing_ != 0 ? states_.erase(it) : std::next(it);
        if (states_.size() == 1) break;
      }
      if (step % spacing_ != 0 || size() == capacity_) return;
    }
    keep(step, y);
  }

  stored_state<Y> store(const Y& y) const { return stored_state<Y>(y, where_); }
  const std::map<std::int64_t, stored_state<Y>>& states() const { return states_; }
  void drop_from(std::int64_t step) { states_.erase(states_.lower_bound(step), states_.end()); }
  std::int64_t capacity() const { return capacity_; }

 private:
  void keep(std::int64_t step, const Y& y) { states_.emplace(step, stored_state<Y>(y, where_)); }
  std::int64_t size() const { return static_cast<std::int64_t>(states_.size()); }

  std::int64_t capacity_;
  std::vector<std::int64_t> planned_;
  bool online_;
  storage where_;
  std::map<std::int64_t, stored_state<Y>> states_{};
  std::int64_t spacing_ = 1;
  std::size_t next_ = 0;
};

}  // namespace fathom::ode::detail
