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
#include <fathom/ode/binomial.hpp>
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
        empty_ = tree::emptied(y);
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

/// At most `capacity` states. Where the number of steps is not known beforehand, one of them makes room for the next.
///
/// The states p_0 = 0 < p_1 < ... < p_(c-1) of c slots are used from the last one back, so that the p_(i+1) - p_i steps
/// behind p_i are reversed with c - i slots: in r - 1 sweeps where they are at most C(c - i + r - 1, r - 1), with r as
/// small as possible (r - 1 repetitions of every step are the least for C(c + r, c) steps in all). A state may go where
/// the steps that it leaves to its predecessor stay within that. For r = 2, up to C(c + 2, 2) steps, the first such
/// state goes, and the total is the optimum (as Stumm and Walther 2010 have it); beyond, the one after which the least
/// would have to be repeated, if the solve ended there. With any number of steps up to 400 and of slots up to 8 the
/// total is within 1.13 of binomial_advances, which knows the number of steps, and below the r (n - 1) of Wang, Moin
/// and Iaccarino 2009.
template <class Y>
class checkpoint_store {
 public:
  checkpoint_store(std::int64_t capacity, std::vector<std::int64_t> planned, storage where)
      : capacity_(capacity), planned_(std::move(planned)), online_(planned_.empty()), where_(where) {}

  /// Offered the state before every step but the last, in order, as soon as the step is known not to be the last one.
  void offer(std::int64_t step, const Y& y) {
    if (!online_) {
      if (next_ < planned_.size() && planned_[next_] == step) {
        keep(step, y);
        ++next_;
      }
      return;
    }
    if (static_cast<std::int64_t>(states_.size()) == capacity_) {
      const std::int64_t out = least_useful(step);
      if (out == step) return;
      states_.erase(out);
    }
    keep(step, y);
  }

  stored_state<Y> store(const Y& y) const { return stored_state<Y>(y, where_); }
  const std::map<std::int64_t, stored_state<Y>>& states() const { return states_; }
  void drop_from(std::int64_t step) { states_.erase(states_.lower_bound(step), states_.end()); }
  std::int64_t capacity() const { return capacity_; }

 private:
  void keep(std::int64_t step, const Y& y) { states_.emplace(step, stored_state<Y>(y, where_)); }

  /// Of the stored states and the offered one, the one to do without.
  std::int64_t least_useful(std::int64_t offered) {
    for (;; ++sweeps_) {
      const std::int64_t found = sweeps_ == 2 ? first_that_may_go(offered) : cheapest_that_may_go(offered);
      if (found > 0) return found;
    }
  }
  /// Whether the state number i, between two others, leaves no more steps than `sweeps_` allows.
  bool may_go(std::int64_t i, std::int64_t steps) const {
    return steps <= binomial_coefficient(capacity_ - i + sweeps_, sweeps_ - 1);
  }
  std::int64_t first_that_may_go(std::int64_t offered) const {
    std::int64_t before = 0, i = 1;
    for (auto at = std::next(states_.begin()); at != states_.end(); ++at, ++i) {
      const auto behind = std::next(at);
      if (may_go(i, (behind == states_.end() ? offered : behind->first) - before)) return at->first;
      before = at->first;
    }
    return may_go(i, offered + 1 - before) ? offered : 0;
  }
  std::int64_t cheapest_that_may_go(std::int64_t offered) const {
    std::vector<std::int64_t> at;
    for (const auto& [step, state] : states_) at.push_back(step);
    at.insert(at.end(), {offered, offered + 1});
    const auto advances = [&](std::int64_t from, std::int64_t to, std::int64_t number) {
      return binomial_advances(at[static_cast<std::size_t>(to)] - at[static_cast<std::size_t>(from)],
                               capacity_ - number);
    };
    std::int64_t ahead = 0, behind = 0, found = 0, fewest = -1;
    for (std::int64_t i = 0; i + 1 < capacity_; ++i) ahead += advances(i, i + 1, i);
    for (std::int64_t i = capacity_; i > 0; --i) {
      const std::int64_t total = ahead + advances(i - 1, i + 1, i - 1) + behind;
      if (may_go(i, at[static_cast<std::size_t>(i + 1)] - at[static_cast<std::size_t>(i - 1)]) &&
          (fewest < 0 || total <= fewest)) {
        fewest = total;
        found = at[static_cast<std::size_t>(i)];
      }
      if (i > 1) ahead -= advances(i - 2, i - 1, i - 2);
      behind += advances(i, i + 1, i - 1);
    }
    return found;
  }

  std::int64_t capacity_;
  std::vector<std::int64_t> planned_;
  bool online_;
  storage where_;
  std::map<std::int64_t, stored_state<Y>> states_{};
  std::int64_t sweeps_ = 2;
  std::size_t next_ = 0;
};

}  // namespace fathom::ode::detail
