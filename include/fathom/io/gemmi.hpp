// SPDX-License-Identifier: Apache-2.0
// The parts of gemmi that the structure readers use, made to compile with clang. Half a minute in an optimised build.
#pragma once

#include <deque>
#include <vector>

#if defined(__clang__)
// gemmi's Block holds a vector of a type that is incomplete there. clang rejects that when the vector is constexpr, as
// it is in C++20, since it instantiates constexpr functions at once. A deque has no such functions and does the same
// work.
namespace gemmi::cif {
struct Item;
}
template <>
class std::vector<gemmi::cif::Item> : public std::deque<gemmi::cif::Item> {
 public:
  using std::deque<gemmi::cif::Item>::deque;
  void reserve(std::size_t) {}
  /// Stands for the first address: `&item - data()` is the place of an item.
  struct origin {
    const vector* items;
    friend int operator-(const gemmi::cif::Item* item, origin from) {
      int place = 0;
      while (&(*from.items)[static_cast<std::size_t>(place)] != item) ++place;
      return place;
    }
  };
  origin data() const { return {this}; }
};
#endif

#include <gemmi/align.hpp>
#include <gemmi/cif.hpp>
#include <gemmi/mmcif.hpp>
#include <gemmi/pdb.hpp>
#include <gemmi/resinfo.hpp>
