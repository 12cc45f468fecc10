// SPDX-License-Identifier: Apache-2.0
// Weights between files and modules: a leaf's path is its key. A model is filled whole or not at all, and everything
// that does not fit is told at once.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <fathom/io/checkpoint_file.hpp>
#include <fathom/io/safetensors.hpp>
#include <fathom/tree/tree.hpp>

namespace fathom::io {

namespace detail {

/// Counts and lists of what keeps a file from fitting a module.
struct misfits {
  std::vector<std::string> missing, unexpected, wrong_shape, not_finite;
  bool any() const { return !(missing.empty() && unexpected.empty() && wrong_shape.empty() && not_finite.empty()); }
  std::string text() const {
    std::string out = concat("(missing ", missing.size(), ", unexpected ", unexpected.size(), ", wrong shape ",
                             wrong_shape.size(), ", not finite ", not_finite.size(), ")");
    const auto list = [&](const char* what, const std::vector<std::string>& names) {
      for (const auto& name : names) out += concat("\n  ", what, ": ", name);
    };
    list("missing", missing);
    list("unexpected", unexpected);
    list("wrong shape", wrong_shape);
    list("not finite", not_finite);
    return out;
  }
};

/// Gives every list of modules as many elements as the file numbers below its path (blocks.0, blocks.1, ...), copies of
/// its first one; lists that the file does not name keep their length.
template <class X>
void fit_lists(X& x, const std::string& path, const tensor_file& source) {
  if constexpr (tree::list<X>) {
    if constexpr (requires { x.assign(x.size(), x.front()); }) {
      std::size_t n = 0;
      const auto named = [&](std::size_t i) {
        const std::string below = tree::detail::joined(path, std::to_string(i)) + ".";
        bool found = false;
        source.for_each([&](const std::string& key, const named_tensor&) { found = found || key.rfind(below, 0) == 0; });
        return found;
      };
      while (named(n)) ++n;
      if (n > 0 && !x.empty() && n != x.size()) {
        const auto like = x.front();
        x.assign(n, like);
      }
    }
    std::size_t i = 0;
    for (auto& element : x) fit_lists(element, tree::detail::joined(path, std::to_string(i++)), source);
  } else if constexpr (tree::branch<X>) {
    x.visit([&](const auto& name, auto& member) { fit_lists(member, tree::detail::joined(path, name), source); });
  }
}

template <class Shape>
std::string with_shape(const std::string& key, const Shape& shape) {
  return key + " " + to_string_extents(shape);
}

}  // namespace detail

/// Fills every tensor of `module` from the stream of arrays that `source` is (tensor_file: safetensors, npz); `prefix`
/// stands before every key. Lists of blocks take their length from the file. Throws checkpoint_error that lists all missing, unexpected, misshapen and non-finite tensors;
/// the module is unchanged then.
template <class Module>
void fill(Module& module, const tensor_file& source, const std::string& prefix = {}) {
  detail::misfits wrong;
  std::map<std::string, bool> expected;
  Module filled = module;
  detail::fit_lists(filled, prefix, source);
  tree::for_each_named(
      filled,
      [&](const std::string& key, auto& leaf) {
        using leaf_t = std::remove_cvref_t<decltype(leaf)>;
        static_assert(any_tensor<leaf_t>, "fathom: a module that is filled from a file holds tensors only");
        expected[key] = true;
        if (!source.contains(key)) {
          wrong.missing.push_back(detail::with_shape(key, leaf.shape()));
          return;
        }
        const named_tensor& stored = source.at(key);
        if (stored.shape != std::vector<index_t>(leaf.shape().begin(), leaf.shape().end())) {
          wrong.wrong_shape.push_back(detail::concat(key, " is ", to_string_extents(stored.shape), ", expected ",
                                                     to_string_extents(leaf.shape())));
          return;
        }
        if (const index_t at = stored.first_not_finite(); at >= 0) {
          wrong.not_finite.push_back(detail::concat(key, " at element ", at));
          return;
        }
        leaf = from_host_as<leaf_t::rank, typename leaf_t::value_type>(
            leaf.backend(), stored.as<typename leaf_t::value_type>());
      },
      prefix);
  source.for_each([&](const std::string& key, const named_tensor& stored) {
    if (expected.count(key) == 0) wrong.unexpected.push_back(detail::with_shape(key, stored.shape));
  });
  if (wrong.any())
    throw checkpoint_error(detail::concat(
        source.path(), ": ",
        wrong.missing.size() + wrong.unexpected.size() + wrong.wrong_shape.size() + wrong.not_finite.size(),
        " tensors do not fit the model ", wrong.text()));
  module = std::move(filled);
}

/// Writes every tensor of `module` under its path, in one safetensors file, atomically.
template <class Module>
void save(const std::filesystem::path& path, const Module& module,
          const std::map<std::string, std::string>& metadata = {}) {
  std::vector<named_tensor> tensors;
  tree::for_each_named(module, [&](const std::string& key, const auto& leaf) {
    if (leaf.empty())
      throw checkpoint_error(detail::concat("save ", path.string(), ": parameter ", key, " has no values"));
    tensors.push_back(named_tensor::own(key, to_host(leaf)));
  });
  write_safetensors(path, tensors, metadata);
}

}  // namespace fathom::io

namespace fathom {

/// A module of type Module on backend `b`, filled from a safetensors or npz file:
///
///     const auto model = load<fold_model<cpu<float>, small>>("small.safetensors");
template <class Module, class B>
Module load(const B& b, const std::filesystem::path& path) {
  Module module(b);
  io::fill(module, io::open_checkpoint(path));
  return module;
}
template <class Module>
Module load(const std::filesystem::path& path) {
  return load<Module>(typename Module::backend_type{}, path);
}

}  // namespace fathom
