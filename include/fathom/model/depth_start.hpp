// SPDX-License-Identifier: Apache-2.0
// Weights to begin with: those of a trained compact model, a discrete one or one with other coefficients along the
// depth.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <fathom/continuous/spline_weights.hpp>
#include <fathom/io/parameters.hpp>
#include <fathom/model/compact_checkpoint.hpp>

namespace fathom {

namespace detail {

/// R [to, from] with c' = R c the coefficients whose spline comes closest to that of c in the mean of many depths.
/// Blocks of a stack are pieces of degree 0; `samples` depths at the centres of equal parts.
inline std::vector<std::vector<double>> changed_basis(spline_basis from, spline_basis to, std::size_t samples) {
  from.depth = to.depth = static_cast<double>(samples);
  const auto projection = spline_projection(to, samples);
  std::vector<std::vector<double>> r(to.count, std::vector<double>(from.count, 0.0));
  for (std::size_t k = 0; k < samples; ++k) {
    const double t = static_cast<double>(k) + 0.5;
    const std::size_t span = from.span(t);
    const auto values = from.values(t, span, 1.0);
    for (std::size_t i = 0; i < to.count; ++i)
      for (std::size_t j = 0; j < values.size(); ++j)
        r[i][span + 1 - values.size() + j] += projection[i][k] * values[j];
  }
  return r;
}

/// The arrays of a model's file as those of a continuous model with other coefficients.
class restarted_file final : public io::tensor_file {
 public:
  restarted_file(const io::tensor_file& file, const compact_settings& from, const compact_settings& to)
      : io::tensor_file(file.path()) {
    const std::string field = "evoformer.field.";
    const auto coefficient = [&](bool of_stack, std::size_t k) {
      return of_stack ? concat("evoformer.blocks.", k, ".")
             : k == 0 ? field + "block."
                      : concat(field, "further.", k - 1, ".");
    };
    const auto basis = [](const compact_settings& s) {
      return s.discrete ? spline_basis{static_cast<std::size_t>(s.blocks), 0, 1}
                        : spline_basis{static_cast<std::size_t>(s.knots), s.knots > 1 ? s.knot_degree : 0, 1};
    };
    const auto before = basis(from), after = basis(to);
    after.check();
    // As many coefficients as blocks are the blocks, whatever the degree: blocks that were trained apart are no samples
    // of a smooth function, and a fit would amplify what differs.
    const bool same = before.count == after.count && (from.discrete || before.degree == after.degree);
    const auto r =
        same ? std::vector<std::vector<double>>() : changed_basis(before, after, 4 * before.count * after.count);
    const std::string first = coefficient(from.discrete, 0);
    file.for_each([&](const std::string& name, const io::named_tensor& stored) {
      const bool of_stack = name.rfind("evoformer.blocks.", 0) == 0;
      const bool of_field = name.rfind(field + "block.", 0) == 0 || name.rfind(field + "further.", 0) == 0;
      if (name.rfind(first, 0) == 0) {
        const std::string rest = name.substr(first.size());
        std::vector<host_tensor<double>> values;
        for (std::size_t k = 0; k < before.count; ++k)
          values.push_back(file.template get<double>(coefficient(from.discrete, k) + rest));
        for (std::size_t i = 0; i < after.count; ++i)
          add(io::named_tensor::own(coefficient(false, i) + rest, same ? values[i] : sum(r[i], values)));
      } else if (!of_stack && !of_field) {
        auto copy = stored;
        copy.name = name;
        add(std::move(copy));
      }
    });
  }
  using io::tensor_file::add;

 private:
  static host_tensor<double> sum(const std::vector<double>& factors, const std::vector<host_tensor<double>>& values) {
    host_tensor<double> total(values.front().shape);
    for (std::size_t k = 0; k < values.size(); ++k)
      for (std::size_t n = 0; n < total.data.size(); ++n) total.data[n] += factors[k] * values[k].data.at(n);
    return total;
  }
};

}  // namespace detail

/// Fills `model`, made and drawn with `settings`, with the weights of a trained compact model:
///
/// - a discrete one of the same settings gives a discrete one its weights;
/// - a discrete one of K blocks becomes a continuous one: all but the trunk is copied, and K coefficients are the
///   blocks; of degree 0, K Euler steps are the stack. Another number of them is the least squares fit, block k
///   standing for the k-th of K equal parts of the depth. The rate is that of depth K; another depth scales it. The
///   time embedding is without effect at first;
/// - a continuous one of the same depth may have other coefficients: those of `model` are the least squares fit. One
///   coefficient becomes several equal ones, which is the same field.
///
/// Throws checkpoint_error where the file holds no such model.
template <class Model>
void start_from(Model& model, const io::safetensors& file, const compact_settings& settings) {
  const auto from = read_compact_settings(file.metadata(), file.path());
  const auto wrong = [&](const auto&... parts) {
    return checkpoint_error(detail::concat("start from '", file.path(), "': ", parts...));
  };
  if (from.structure_blocks != settings.structure_blocks)
    throw wrong("structure_blocks is ", from.structure_blocks, " there, ", settings.structure_blocks, " here");
  if constexpr (!Model::continuous) {
    if (!from.discrete || from.blocks != settings.blocks)
      throw wrong("a discrete model of ", settings.blocks, " blocks is needed");
    io::fill(model, file);
  } else {
    if (!from.discrete && from.depth != settings.depth)
      throw wrong("its depth is ", from.depth, ", that of this model ", settings.depth);
    detail::restarted_file changed(file, from, settings);
    if (from.discrete) {
      auto& time = model.evoformer.field.time_mlp;
      auto weight = to_host(time.linear_2.weight), bias = to_host(time.linear_2.bias);
      std::fill(weight.data.begin(), weight.data.end(), 0);
      // The first half shifts the state, the second one scales the rate.
      const double rate = static_cast<double>(from.blocks) / settings.depth;
      for (std::size_t i = 0; i < bias.data.size(); ++i)
        bias.data[i] = 2 * i < bias.data.size() ? 0 : static_cast<scalar_of<typename Model::backend_type>>(rate - 1);
      const std::string path = "evoformer.field.time_mlp.";
      changed.add(io::named_tensor::own(path + "linear_1.weight", to_host(time.linear_1.weight)));
      changed.add(io::named_tensor::own(path + "linear_1.bias", to_host(time.linear_1.bias)));
      changed.add(io::named_tensor::own(path + "linear_2.weight", std::move(weight)));
      changed.add(io::named_tensor::own(path + "linear_2.bias", std::move(bias)));
    }
    io::fill(model, changed);
  }
}

}  // namespace fathom
