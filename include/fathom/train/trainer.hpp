// SPDX-License-Identifier: Apache-2.0
// The training step: gradients of a batch's samples on several threads, clipped, summed in order, then Adam and
// averages.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fathom/autodiff/chunked.hpp>
#include <fathom/model/compact_checkpoint.hpp>
#include <fathom/train/adam.hpp>
#include <fathom/train/clip.hpp>
#include <fathom/train/config.hpp>
#include <fathom/train/ema.hpp>
#include <fathom/train/process_group.hpp>
#include <fathom/train/sample_loss.hpp>
#include <fathom/train/schedule.hpp>

namespace fathom::train {

/// What a step did; means over the batch's samples, those of all processes.
struct step_report {
  index_t step = 0;  ///< steps done, this one included
  double loss = 0, lddt = 0, gradient_norm = 0, learning_rate = 0, seconds = 0;
  std::vector<std::pair<std::string, double>> terms;  ///< unweighted
  std::string solver;
  index_t recycles = 0;
};

/// Learning rate of the step after `step` steps: warm-up, constant, then half a cosine to 0 where the settings ask for
/// it.
inline double learning_rate(const training_config& c, index_t step) {
  const double up = c.warmup > 0 ? std::min(1.0, static_cast<double>(step + 1) / static_cast<double>(c.warmup)) : 1.0;
  if (c.decay_steps <= 0 || step < c.decay_from) return c.learning_rate * up;
  const cosine_schedule down{1.0, 0.0, 0, c.decay_steps};
  return c.learning_rate * up * down(step - c.decay_from);
}

/// What `c` says of the model.
inline compact_settings settings_of_model(const training_config& c) {
  compact_settings settings;
  settings.discrete = c.discrete;
  settings.blocks = c.blocks;
  settings.depth = c.depth;
  settings.knots = c.knots;
  settings.knot_degree = c.knot_degree;
  settings.structure_blocks = c.structure_blocks;
  return settings;
}

/// The model that the settings describe, on a backend, undrawn.
template <class Model, class B>
Model make_model(const B& b, const training_config& c) {
  return make_compact<Model>(b, settings_of_model(c));
}

/// Everything that a run carries from step to step. Model is compact_fold_model on a backend of the host.
///
///     train::trainer<model> trainer(config, {.threads = 4});
///     while (trainer.steps() < config.steps) trainer.step(samples.next(config.batch));
///
/// The parameters after n steps depend on the settings and samples alone: not on threads, nor on being interrupted and
/// resumed from a checkpoint. A resumed run may also go on with other settings of samples, losses and optimiser.
template <class Model>
class trainer {
 public:
  using B = typename Model::backend_type;
  using make_backend = std::function<B()>;

  /// `worker_backend` makes the handle of one worker; each sample is computed on one of them.
  trainer(const training_config& config, int threads, const make_backend& worker_backend)
      : config_(config),
        phases_(parse_phases(config.phases)),
        solvers_(parse_trunk_solvers(config.solvers)),
        model_(initialise(make_model<Model>(worker_backend(), config), {.seed = config.seed})),
        adam_(adam_options{config.beta1, config.beta2, config.adam_eps, config.weight_decay}),
        ema_(ema_options{config.ema}) {
    if (threads < 1) throw error(fathom::detail::concat("trainer: ", threads, " threads; at least 1 is needed"));
    for (int k = 0; k < threads; ++k) workers_.push_back(make_model<Model>(worker_backend(), config));
    ema_.update(model_);
    loss_options_.crop = config.crop;
  }

  /// Begins with other weights than those drawn: `model` has the settings of this run. Throws error after the first
  /// step.
  void start_from(const Model& model) {
    if (step_ > 0)
      throw error(fathom::detail::concat("trainer: start_from after ", step_, " steps; call it before the first"));
    model_ = unflatten(model_, flatten(model));
    ema_ = exponential_moving_average<B>(ema_options{config_.ema});
    ema_.update(model_);
  }

  const training_config& config() const { return config_; }
  const Model& model() const { return model_; }
  /// The averaged parameters: what is validated and shipped.
  Model averaged() const { return ema_.parameters(model_); }
  /// Steps done.
  index_t steps() const { return step_; }
  int threads() const { return static_cast<int>(workers_.size()); }
  const trunk_solver& shipped_solver() const { return solvers_.front(); }
  /// Samples seen so far, by all processes.
  std::uint64_t samples() const { return static_cast<std::uint64_t>(samples_); }
  /// Which samples this process needs from now on; with the batch of the settings in every step.
  sample_share share() const {
    const auto number = [](index_t n) { return static_cast<std::uint64_t>(n); };
    return {samples(), number(config_.batch), number(group_ != nullptr ? group_->rank() : 0), number(processes())};
  }
  /// The number of the first one that the next step needs.
  std::uint64_t next_sample() const { return share()(0); }

  /// From now on every step is one of all processes of `group`, each with as many samples; parameters become those of
  /// one process with all samples in its batch, bitwise. `group` stays alive as long as this object.
  void join(process_group& group) { group_ = &group; }
  index_t processes() const { return group_ != nullptr ? group_->size() : 1; }

  /// From now on chunked layers keep their activations for the backward pass as long as this process uses fewer bytes
  /// (keep_activations), instead of computing them twice. Gradients have the same bits.
  void keep_up_to(std::int64_t bytes) { kept_bytes_ = bytes; }

  /// One step on a batch. Throws numerical_error that names step, sample and term or parameter where something is not
  /// finite or the loss explodes; the state is that before the step then. Throws process_stopped where another process
  /// of the group threw.
  step_report step(const std::vector<sample>& batch) {
    if (batch.empty()) throw error("trainer: a batch without samples");
    const auto start = std::chrono::steady_clock::now();
    const run_options run = options_of_step();
    const auto results = agreed([&] { return differentiate_all(batch, run); });
    const index_t samples = processes() * static_cast<index_t>(batch.size());
    step_report report = mean_of(results, samples);
    report.solver = run.solver.text();
    report.recycles = run.recycles;
    check_loss(report.loss);

    std::vector<float> sum(results.front().gradient.size(), 0.0f);
    in_order(sum, [&](std::size_t first, std::size_t last) {
      for (const auto& r : results)
        for (std::size_t i = first; i < last; ++i) sum[i] += r.gradient[i];
    });
    double square = 0;
    for (float& g : sum) {
      g = static_cast<float>(static_cast<double>(g) / static_cast<double>(samples));
      square += static_cast<double>(g) * static_cast<double>(g);
    }
    report.gradient_norm = std::sqrt(square);
    if (config_.clip_batch > 0 && report.gradient_norm > config_.clip_batch)
      for (float& g : sum) g = static_cast<float>(static_cast<double>(g) * config_.clip_batch / report.gradient_norm);

    report.learning_rate = learning_rate(config_, step_);
    const auto n = static_cast<index_t>(sum.size());
    const auto flat = from_host<1>(handle(), host_tensor<float>({n}, std::move(sum)));
    model_ = adam_.update(model_, unflatten(model_, flat), report.learning_rate);
    ema_.update(model_);
    loss_mean_ = step_ == 0 ? report.loss : 0.98 * loss_mean_ + 0.02 * report.loss;
    samples_ += samples;
    report.step = ++step_;
    report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return report;
  }

  /// f(k, model) for k = 0 .. count-1 on all workers, each with a copy of `from` on its own backend.
  template <class F>
  void on_workers(const Model& from, std::size_t count, const F& f) {
    const auto flat = to_host(flatten(from));
    std::atomic<std::size_t> next{0};
    std::exception_ptr failure;
    std::mutex mutex;
    const auto work = [&](Model& worker) {
      try {
        const B& b = worker.evoformer.linear.weight.backend();
        worker = unflatten(worker, from_host<1>(b, flat));
        for (std::size_t k; (k = next.fetch_add(1)) < count;) f(k, std::as_const(worker));
      } catch (...) {
        const std::lock_guard<std::mutex> lock(mutex);
        if (!failure) failure = std::current_exception();
        next = count;
      }
    };
    std::vector<std::thread> threads;
    const std::size_t used = std::min(workers_.size(), count);
    for (std::size_t w = 1; w < used; ++w) threads.emplace_back([&, w] { work(workers_[w]); });
    work(workers_.front());
    for (auto& thread : threads) thread.join();
    if (failure) std::rethrow_exception(failure);
  }

  /// Parameters, moments and averages by name, for checkpoints. The order of visit is part of the format.
  void visit_state(auto&& v) {
    v("parameters", parameters_);
    v("adam_m", adam_.m);
    v("adam_v", adam_.v);
    v("ema", ema_.mean);
  }
  void pack_state() { parameters_ = flatten(model_); }
  void unpack_state(index_t step, index_t samples, double loss_mean) {
    model_ = unflatten(model_, parameters_);
    step_ = step;
    samples_ = samples;
    adam_.step = step;
    loss_mean_ = loss_mean;
  }
  double loss_mean() const { return loss_mean_; }
  const B& handle() const { return model_.evoformer.linear.weight.backend(); }

 private:
  struct outcome {
    std::vector<std::pair<std::string, double>> terms;
    double loss = 0, lddt = 0;
    std::vector<float> gradient;
  };

  run_options options_of_step() const {
    const std::uint64_t key = philox_split(config_.seed ^ 0x5eedULL, static_cast<std::uint64_t>(step_));
    const auto one_of = [&](std::uint64_t i, std::size_t n) {
      return std::min(n - 1, static_cast<std::size_t>(philox_uniform(key, i) * static_cast<double>(n)));
    };
    run_options run;
    run.solver = solvers_[one_of(0, solvers_.size())];
    run.solver.states = config_.stored_states;
    run.recycles = static_cast<index_t>(one_of(1, static_cast<std::size_t>(config_.recycles) + 1));
    run.dropout = config_.dropout;
    run.loss = loss_options_;
    run.loss.weights = weights_at(phases_, step_);
    return run;
  }

  std::vector<outcome> differentiate_all(const std::vector<sample>& batch, const run_options& run) {
    std::vector<outcome> results(batch.size());
    on_workers(model_, batch.size(), [&](std::size_t k, const Model& worker) {
      const keep_activations keep(kept_bytes_);
      const auto where = [&] {
        return fathom::detail::concat("training stopped at step ", step_ + 1, ", sample '", batch[k].name, "': ");
      };
      const char* const advice =
          "; resume from the last checkpoint with a lower learning_rate or clip_sample, or leave the chain out";
      try {
        auto r = differentiate(worker, batch[k], run);
        for (const auto& [name, value] : r.terms)
          if (!std::isfinite(value))
            throw numerical_error(fathom::detail::concat("the loss term '", name, "' is ", value));
        auto& out = results[k];
        out.gradient = to_host(r.gradient).data;
        double square = 0;
        for (const float g : out.gradient) square += static_cast<double>(g) * static_cast<double>(g);
        const double norm = std::sqrt(square);
        if (!std::isfinite(norm))
          throw numerical_error(fathom::detail::concat(
              "the gradient of '", first_not_finite(unflatten(worker, r.gradient)), "' is not finite"));
        if (config_.clip_sample > 0 && norm > config_.clip_sample)
          for (float& g : out.gradient) g = static_cast<float>(static_cast<double>(g) * config_.clip_sample / norm);
        out.terms = std::move(r.terms);
        out.loss = r.loss;
        out.lddt = r.lddt;
      } catch (const numerical_error& problem) {
        throw numerical_error(where() + problem.what() + advice);
      }
    });
    return results;
  }

  /// What compute() gives, once all processes have something.
  template <class Compute>
  auto agreed(const Compute& compute) -> decltype(compute()) {
    if (group_ == nullptr) return compute();
    decltype(compute()) result;
    std::exception_ptr failure;
    try {
      result = compute();
    } catch (...) {
      failure = std::current_exception();
    }
    const bool stopped = group_->any(failure != nullptr);
    if (failure) std::rethrow_exception(failure);
    if (stopped)
      throw process_stopped(
          fathom::detail::concat("training stopped at step ", step_ + 1, " in another process, which says why"));
    return result;
  }

  /// add(first, last) on all of `values`, after those of the processes before this one.
  template <class T, class Add>
  void in_order(std::vector<T>& values, const Add& add) {
    if (group_ == nullptr)
      add(std::size_t(0), values.size());
    else
      group_->sum_in_order(values, add);
  }

  step_report mean_of(const std::vector<outcome>& results, index_t samples) {
    const double share = 1 / static_cast<double>(samples);
    step_report report;
    report.terms = results.front().terms;
    std::vector<double> sums(2 + report.terms.size(), 0.0);
    in_order(sums, [&](std::size_t first, std::size_t last) {
      for (const auto& r : results)
        for (std::size_t k = first; k < last; ++k)
          sums[k] += share * (k == 0 ? r.loss : k == 1 ? r.lddt : r.terms[k - 2].second);
    });
    report.loss = sums[0];
    report.lddt = sums[1];
    for (std::size_t k = 0; k < report.terms.size(); ++k) report.terms[k].second = sums[k + 2];
    return report;
  }

  void check_loss(double loss) const {
    if (step_ < 10 || config_.explosion <= 0 || loss <= config_.explosion * loss_mean_) return;
    throw numerical_error(fathom::detail::concat("training stopped at step ", step_ + 1, ": the loss exploded, ", loss,
                                                 " after a running mean of ", loss_mean_,
                                                 "; resume from the last checkpoint with a lower learning_rate"));
  }

  training_config config_;
  std::vector<loss_phase> phases_;
  std::vector<trunk_solver> solvers_;
  Model model_;
  adam<B> adam_;
  exponential_moving_average<B> ema_;
  loss::total_options loss_options_;
  tensor<B, 1> parameters_;
  std::vector<Model> workers_;
  process_group* group_ = nullptr;
  index_t step_ = 0, samples_ = 0;
  std::int64_t kept_bytes_ = 0;
  double loss_mean_ = 0;
};

}  // namespace fathom::train
