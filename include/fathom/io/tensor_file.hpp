// SPDX-License-Identifier: Apache-2.0
// The arrays of an opened file under their names: what every checkpoint reader offers, whatever its format.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fathom/core/error.hpp>
#include <fathom/core/host_tensor.hpp>
#include <fathom/io/named_tensor.hpp>

namespace fathom::io {

namespace detail {

/// Collects what is wrong with a file, so that all of it can be told at once.
class problem_list {
 public:
  explicit problem_list(std::string head) : head_(std::move(head)) {}
  template <class... Parts>
  void add(const Parts&... parts) {
    if (++count_ <= 20) text_ += concat("\n  ", parts...);
  }
  void throw_if_any() const {
    if (count_ == 0) return;
    throw io_error(concat(head_, count_, count_ == 1 ? " problem:" : " problems:", text_,
                          count_ > 20 ? concat("\n  and ", count_ - 20, " more") : std::string()));
  }

 private:
  std::string head_, text_;
  int count_ = 0;
};

}  // namespace detail

/// Named arrays in the order of their file. They stay valid after the tensor_file is gone.
class tensor_file {
 public:
  const std::string& path() const { return path_; }
  std::size_t size() const { return tensors_.size(); }
  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& tensor : tensors_) result.push_back(tensor.name);
    return result;
  }
  bool contains(const std::string& name) const { return by_name_.count(name) != 0; }

  /// Throws io_error naming the file when there is no such array.
  const named_tensor& at(const std::string& name) const {
    const auto found = by_name_.find(name);
    if (found == by_name_.end())
      throw io_error(detail::concat("'", path_, "': no tensor '", name, "' among its ", tensors_.size()));
    return tensors_[found->second];
  }

  /// The array converted to T, as named_tensor::as.
  template <class T>
  host_tensor<T> get(const std::string& name) const {
    return at(name).template as<T>();
  }

  /// Calls use(name, tensor) for every array: the stream that a model is filled from.
  template <class Use>
  void for_each(Use&& use) const {
    for (const auto& tensor : tensors_) use(tensor.name, tensor);
  }

 protected:
  explicit tensor_file(const std::filesystem::path& path) : path_(path.string()) {}

  /// False when the name is taken.
  bool add(named_tensor tensor) {
    if (!by_name_.emplace(tensor.name, tensors_.size()).second) return false;
    tensors_.push_back(std::move(tensor));
    return true;
  }

 private:
  std::string path_;
  std::vector<named_tensor> tensors_;
  std::map<std::string, std::size_t> by_name_;
};

}  // namespace fathom::io
