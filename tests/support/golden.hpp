// SPDX-License-Identifier: Apache-2.0
// One golden case on one backend: reads inputs, weights, outputs, cotangents and gradients from a safetensors file and
// compares. Conventions of the files: `param.`, `in.`, `out.`, `ct.`, `grad.in.`, `grad.param.`; see golden_registry.hpp
// for how a case is covered.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <fathom/autodiff/gradient.hpp>
#include <fathom/io/safetensors.hpp>

namespace fathom::golden {

/// |got - expected| <= atol + rtol |expected|
struct tolerance {
  double rtol = 1e-9, atol = 1e-10;
};

/// A file with its case name and hyper-parameters.
struct case_file {
  io::safetensors data;
  std::string name;
  nlohmann::json options;

  explicit case_file(const std::filesystem::path& path) : data(path), name(path.stem().string()) {
    const auto& text = data.metadata();
    if (text.count("case")) name = text.at("case");
    options = nlohmann::json::object();
    try {
      if (text.count("hyperparameters")) options = nlohmann::json::parse(text.at("hyperparameters"));
    } catch (const nlohmann::json::exception& problem) {
      throw io_error(detail::concat("'", path.string(), "': the hyperparameters are no JSON: ", problem.what()));
    }
  }
};

/// A tensor that takes part in the gradient as `in.<name>`.
template <class Tensor>
struct named_input {
  const char* name;
  Tensor value;
};

/// One case on one backend. Every key of the file must be used, or passed to ignore(); finish() reports the others.
template <class B>
class run {
 public:
  using backend_type = B;
  using scalar = scalar_of<B>;
  static constexpr bool is_double = std::is_same_v<scalar, double>;

  run(const case_file& file, B b, std::string label) : file_(file), backend_(std::move(b)), label_(std::move(label)) {
    file_.data.for_each([&](const std::string& key, const io::named_tensor& stored) {
      if (key.rfind("grad.", 0) != 0 || !io::is_floating(stored.type)) return;
      for (const double x : stored.template as<double>().data) largest_gradient_ = std::max(largest_gradient_, std::abs(x));
    });
  }

  const B& backend() const { return backend_; }
  const std::string& name() const { return file_.name; }
  const std::vector<std::string>& failures() const { return failures_; }

  /// A hyper-parameter; throws input_error where the file lacks it.
  template <class T>
  T option(const char* key) const {
    if (!file_.options.contains(key)) throw io_error(detail::concat("'", name(), "': no hyper-parameter '", key, "'"));
    return file_.options.at(key).template get<T>();
  }
  bool has_option(const char* key) const { return file_.options.contains(key); }
  bool has(const std::string& key) const { return file_.data.contains(key); }
  std::filesystem::path path() const { return file_.data.path(); }
  /// An entry of the file's metadata that holds JSON.
  nlohmann::json metadata(const char* key) const { return nlohmann::json::parse(file_.data.metadata().at(key)); }

  /// Any array in host memory, and marks it as used.
  host_tensor<double> host(const std::string& key) {
    used_.insert(key);
    return file_.data.template get<double>(key);
  }
  host_tensor<std::int64_t> host_index(const std::string& key) {
    used_.insert(key);
    return file_.data.template get<std::int64_t>(key);
  }
  /// in.<key> on the backend.
  template <int R>
  tensor<B, R> in(const std::string& key) {
    return from_host<R>(backend_, host("in." + key));
  }
  template <int R>
  tensor<B, R, index_t> in_index(const std::string& key) {
    return from_host<R>(backend_, host_index("in." + key));
  }
  /// in.<key> as an input that the gradient is asked for.
  template <int R>
  named_input<tensor<B, R>> input(const char* key) {
    return {key, in<R>(key)};
  }
  /// This key is left alone on purpose.
  void ignore(const std::string& key) { used_.insert(key); }
  /// So are all keys that start like this.
  void ignore_all(const std::string& prefix) {
    for (const auto& key : file_.data.names())
      if (key.rfind(prefix, 0) == 0) used_.insert(key);
  }
  /// The largest magnitude among the arrays whose keys start like this.
  double largest(const std::string& prefix) const {
    double found = 0;
    for (const auto& key : file_.data.names())
      if (key.rfind(prefix, 0) == 0)
        for (const double x : file_.data.template get<double>(key).data) found = std::max(found, std::abs(x));
    return found;
  }

  /// The module with every parameter from the file. All missing, misshapen and unexpected names fail.
  template <class Module>
  Module load(Module module, const std::string& prefix = "param.") {
    tree::for_each_named(module, [&](const std::string& path, auto& leaf) {
      using leaf_t = std::remove_cvref_t<decltype(leaf)>;
      const std::string key = prefix + path;
      if (!has(key)) {
        fail(key, "missing in the file");
        leaf = full<leaf_t::rank>(backend_, leaf.shape(), scalar(0));
        return;
      }
      const auto values = host(key);
      if (values.shape != std::vector<index_t>(leaf.shape().begin(), leaf.shape().end())) {
        fail(key, detail::concat("has extents ", to_string_extents(values.shape), ", the module expects ",
                                 to_string_extents(leaf.shape())));
        leaf = full<leaf_t::rank>(backend_, leaf.shape(), scalar(0));
        return;
      }
      leaf = from_host<leaf_t::rank>(backend_, values);
    });
    return module;
  }

  /// Bounds of outputs and gradients in float64.
  void limit(tolerance outputs, tolerance gradients) {
    output_limit_ = outputs;
    gradient_limit_ = gradients;
  }
  void limit(tolerance both) { limit(both, both); }
  /// Bounds in float32, as fractions of a tensor's largest value.
  void limit_float(double outputs, double gradients) {
    float_outputs_ = outputs;
    float_gradients_ = gradients;
  }

  /// Where `mask` (leading axes of out.<key>, grad.in.<key>) is 0, attention saw no key at all: rounding at 1e9 decides.
  /// Such values are compared loosely in float64 and not at all in float32, and so are the gradients of the whole case.
  void exclude_fully_masked(const std::string& key, const host_tensor<double>& mask) {
    if (std::all_of(mask.data.begin(), mask.data.end(), [](double x) { return x != 0; })) return;
    strict_[key] = mask;
    degenerate_ = true;
  }
  /// Where `mask` is 0, values of out.<key> are of another magnitude (bias / eps): they do not set the tensor's scale.
  void exclude_from_scale(const std::string& key, const host_tensor<double>& mask) { scale_[key] = mask; }

  /// f(module, inputs...) returns a std::tuple of tensors, named by `outputs`, and is called on the backend itself and
  /// on autodiff of it; compares out.*, and every grad.* against the pullback of ct.*.
  template <std::size_t N, class Module, class F, class... In>
  void differentiable(const std::array<const char*, N>& outputs, const Module& module, const F& f,
                      const named_input<In>&... in) {
    {
      const auto plain = f(module, in.value...);
      static_assert(std::tuple_size_v<std::remove_cvref_t<decltype(plain)>> == N, "golden: one name for each output");
      check_outputs(outputs, plain, "");
    }
    {
      auto [value, pullback] = vjp(backend_, f, module, in.value...);
      check_outputs(outputs, value, " under autodiff");
      each(value, [&](std::size_t i, auto& y) {
        const std::string key = std::string("ct.") + outputs[i];
        using tensor_t = std::remove_cvref_t<decltype(y)>;
        y = has(key) ? from_host<tensor_t::rank>(backend_, host(key)) : tensor_t{};
      });
      const auto gradients = pullback(value);
      tree::for_each_named(std::get<0>(gradients), [&](const std::string& path, const auto& leaf) {
        gradient("param." + path, path, leaf);
      });
      const std::array<const char*, sizeof...(In)> names{in.name...};
      [&]<std::size_t... I>(std::index_sequence<I...>) {
        (gradient(std::string("in.") + names[I], names[I], std::get<I + 1>(gradients)), ...);
      }(std::index_sequence_for<In...>{});
    }
    if (live_gradient_nodes() != 0)
      failures_.push_back(detail::concat(label_, ": ", live_gradient_nodes(), " gradient nodes are still alive"));
  }

  /// Compares out.<key>.
  template <class Tensor>
  void output(const std::string& key, const Tensor& got, const std::string& where = "") {
    compare("out." + key, key, to_host(got), output_limit_, float_outputs_, 0, where);
  }
  /// Compares grad.<key> where the file has it; `key` is "in.z" or "param.linear.weight".
  template <class Tensor>
  void gradient(const std::string& key, const std::string& short_name, const Tensor& got) {
    if (!has("grad." + key)) return;
    if (degenerate_ && !is_double) return ignore("grad." + key);
    const auto bound = degenerate_ ? tolerance{1e-5, 1e-6} : gradient_limit_;
    compare("grad." + key, short_name, to_host(got), {bound.rtol, bound.atol * std::max(1.0, largest_gradient_)},
            float_gradients_, largest_gradient_, "");
  }
  /// Compares any array with host values, with the bound of outputs.
  template <class T>
  void values(const std::string& key, const host_tensor<T>& got) {
    compare(key, key, got, output_limit_, float_outputs_, 0, "");
  }
  /// Compares a gradient stored under any key; `largest` is the scale of gradients that vanish identically.
  template <class Tensor>
  void gradient_under(const std::string& key, const Tensor& got, double largest) {
    compare(key, key, to_host(got), {gradient_limit_.rtol, gradient_limit_.atol * std::max(1.0, largest)},
            float_gradients_, largest, "");
  }
  /// Compares integers.
  template <class T>
  void integers(const std::string& key, const host_tensor<T>& got) {
    const auto expected = host_index(key);
    if (got.shape != expected.shape || !std::equal(got.data.begin(), got.data.end(), expected.data.begin()))
      fail(key, "integers differ");
  }
  /// A finding of the case's own.
  void fail(const std::string& key, const std::string& what) {
    failures_.push_back(detail::concat(label_, ": ", key, ": ", what));
  }

  /// Reports the keys that nothing used.
  void finish() {
    for (const auto& key : file_.data.names())
      if (!used_.count(key)) {
        const bool used_in_double_only = degenerate_ && !is_double && key.rfind("ct.", 0) == 0;
        if (!used_in_double_only) fail(key, "unknown key: nothing read or compared it");
      }
  }

 private:
  template <class Tuple, class Use>
  static void each(Tuple& values, Use&& use) {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (use(I, std::get<I>(values)), ...);
    }(std::make_index_sequence<std::tuple_size_v<std::remove_cvref_t<Tuple>>>{});
  }
  template <std::size_t N, class Tuple>
  void check_outputs(const std::array<const char*, N>& outputs, const Tuple& values, const std::string& where) {
    each(values, [&](std::size_t i, const auto& y) { output(outputs[i], y, where); });
  }

  /// The mask's value at element i of an array whose leading axes it covers; 1 without a mask.
  static double at(const std::map<std::string, host_tensor<double>>& masks, const std::string& key, std::size_t i,
                   std::size_t size) {
    const auto found = masks.find(key);
    if (found == masks.end() || found->second.data.empty()) return 1;
    return found->second.data[i / (size / found->second.data.size())];
  }

  template <class T>
  void compare(const std::string& key, const std::string& short_name, const host_tensor<T>& got, tolerance bound,
               double fraction, double vanishing_scale, const std::string& where) {
    if (!has(key)) return fail(key, "missing in the file");
    const auto expected = host(key);
    if (got.shape != expected.shape)
      return fail(key, detail::concat("has extents ", to_string_extents(got.shape), where, ", the file ",
                                      to_string_extents(expected.shape)));
    const std::size_t n = expected.data.size();
    double scale = 0;
    for (std::size_t i = 0; i < n; ++i)
      if (at(strict_, short_name, i, n) != 0 && at(scale_, short_name, i, n) != 0)
        scale = std::max(scale, std::abs(expected.data[i]));
    // A gradient that vanishes identically is stored as rounding noise: the file's largest gradient is its scale.
    if (scale < 1e-9 * vanishing_scale) scale = vanishing_scale;
    double worst = 0;
    std::size_t worst_at = n;
    for (std::size_t i = 0; i < n; ++i) {
      const double e = expected.data[i], difference = std::abs(static_cast<double>(got.data[i]) - e);
      const bool strict = at(strict_, short_name, i, n) != 0;
      double allowed = bound.atol + bound.rtol * std::abs(e);
      if (is_double && !strict) allowed = 1e-6 + 1e-5 * std::abs(e);
      if (!is_double) {
        if (!strict) continue;
        allowed = fraction * std::max(scale, std::abs(e));
      }
      const double ratio = difference <= allowed ? 0 : allowed > 0 ? difference / allowed : 1e300;
      if (!(difference <= allowed) && (worst_at == n || ratio > worst)) {
        worst = ratio;
        worst_at = i;
      }
    }
    if (worst_at < n)
      fail(key, detail::concat("element ", worst_at, where, " is ", got.data[worst_at], ", expected ",
                               expected.data[worst_at], ": ", worst, " times the tolerance (largest value ", scale, ")"));
  }

  const case_file& file_;
  B backend_;
  std::string label_;
  std::set<std::string> used_;
  std::vector<std::string> failures_;
  std::map<std::string, host_tensor<double>> strict_, scale_;
  tolerance output_limit_, gradient_limit_;
  double float_outputs_ = 1e-5, float_gradients_ = 1e-4, largest_gradient_ = 0;
  bool degenerate_ = false;
};

}  // namespace fathom::golden
