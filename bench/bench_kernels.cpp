// SPDX-License-Identifier: Apache-2.0
// The CPU backend's kernels at the extents of an Evoformer block, each beside a 2048^3 sgemm of the same moment.
//
//   bench/run.sh kernels
//   FATHOM_THREADS=1 bench/run.sh kernels
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <fathom/backend/cpu/attention_backward.hpp>
#include <fathom/backend/cpu/gemm.hpp>
#include <fathom/backend/cpu/layer_norm.hpp>
#include <fathom/backend/cpu/outer_product.hpp>
#include <fathom/backend/cpu/permute.hpp>
#include <fathom/backend/cpu/triangle.hpp>
#include <fathom/backend/cpu/vector_math.hpp>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "common.hpp"

namespace {

using fathom::index_t;
using namespace fathom::cpu_kernels;
using floats = std::vector<float, fathom::memory::counted_allocator<float>>;

thread_pool& pool() {
  static thread_pool one(fathom::bench::threads());
  return one;
}

floats values(index_t count, unsigned seed = 1) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(-1.f, 1.f);
  floats made(static_cast<std::size_t>(count));
  for (float& value : made) value = uniform(generator);
  return made;
}

double sgemm_rate() {
  constexpr index_t n = 2048;
  static const floats a = values(n * n), b = values(n * n, 2);
  static floats c(static_cast<std::size_t>(n * n));
  const double seconds = fathom::bench::seconds_of(
      [] { gemm(pool(), false, false, n, n, n, 1.f, a.data(), n, b.data(), n, 0.f, c.data(), n); });
  return 2e-9 * static_cast<double>(n * n * n) / seconds;
}

struct row {
  double seconds = 0, flops = 0, bytes = 0, sgemm = 0, goal = 0;
};
std::map<std::string, row> table;

/// One kernel: multiply-adds count 2, exponentials and other elementwise work 0; bytes are those it must move.
void measure(const std::string& name, double flops, double bytes, double goal, std::function<void()> kernel) {
  benchmark::RegisterBenchmark(
      name.c_str(),
      [=](benchmark::State& state) {
        kernel();
        std::vector<double> seconds, rates;
        for (auto _ : state) {
          rates.push_back(sgemm_rate());
          seconds.push_back(fathom::bench::seconds_of(kernel));
          state.SetIterationTime(seconds.back());
        }
        const row r{fathom::bench::median(seconds), flops, bytes, fathom::bench::median(rates), goal};
        table[name] = r;
        state.counters["GFLOP/s"] = flops * 1e-9 / r.seconds;
        state.counters["GB/s"] = bytes * 1e-9 / r.seconds;
        state.counters["share"] = flops * 1e-9 / r.seconds / r.sgemm;
      })
      ->UseManualTime()
      ->Iterations(11)
      ->Unit(benchmark::kMillisecond);
}

double count(index_t n) { return static_cast<double>(n); }

void add_gemm(const std::string& name, bool trans_a, bool trans_b, index_t m, index_t n, index_t k, double goal) {
  const auto a = std::make_shared<floats>(values(m * k)), b = std::make_shared<floats>(values(n * k, 2)),
             c = std::make_shared<floats>(values(m * n));
  measure("gemm/" + name, 2 * count(m) * count(n) * count(k), 4 * count(m * k + n * k + m * n), goal, [=] {
    gemm(pool(), trans_a, trans_b, m, n, k, 1.f, a->data(), trans_a ? m : k, b->data(), trans_b ? k : n, 0.f, c->data(),
         n);
  });
}

void add_batched(const std::string& name, index_t batch, index_t m, index_t n, index_t k, double goal) {
  const auto a = std::make_shared<floats>(values(batch * m * k)),
             b = std::make_shared<floats>(values(batch * n * k, 2)),
             c = std::make_shared<floats>(values(batch * m * n));
  measure("gemm_batched/" + name, 2 * count(batch) * count(m) * count(n) * count(k),
          4 * count(batch * (m * k + n * k + m * n)), goal, [=] {
            gemm_batched(pool(), index_t(1), batch, false, true, m, n, k, 1.f, a->data(), k, {0, m * k}, b->data(), k,
                         {0, n * k}, 0.f, c->data(), n, {0, m * n});
          });
}

void add_elementwise() {
  constexpr index_t n = index_t(1) << 22;
  const auto x = std::make_shared<floats>(values(n)), y = std::make_shared<floats>(values(n));
  const auto chunked = [](auto each) {
    pool().parallel_for(n / 4096, [&](index_t task, int) { each(task * 4096, index_t(4096)); });
  };
  measure("exp/4M", 0, 8 * count(n), 0,
          [=] { chunked([&](index_t from, index_t some) { exp_n(some, x->data() + from, y->data() + from); }); });
  measure("sigmoid/4M", 0, 8 * count(n), 0,
          [=] { chunked([&](index_t from, index_t some) { sigmoid_n(some, x->data() + from, y->data() + from); }); });
  measure("permute/256x256x128_to_channels_first", 0, 8 * count(256 * 256 * 128), 0,
          [from = std::make_shared<floats>(values(256 * 256 * 128)),
           to = std::make_shared<floats>(values(256 * 256 * 128))] {
            permute_plan plan;
            plan.add(256 * 256, 128, 1);
            plan.add(128, 1, 256 * 256);
            permute(pool(), plan, from->data(), to->data());
          });
}

void add_layer_norm(index_t rows, index_t channels) {
  const auto x = std::make_shared<floats>(values(rows * channels)), y = std::make_shared<floats>(*x),
             w = std::make_shared<floats>(values(channels)), b = std::make_shared<floats>(values(channels)),
             statistics = std::make_shared<floats>(values(2 * rows));
  layer_norm_args<float> args;
  args.rows = rows;
  args.channels = channels;
  args.x = x->data();
  args.weight = w->data();
  args.bias = b->data();
  args.y = y->data();
  args.x_stride = args.y_stride = channels;
  args.mean = statistics->data();
  args.rstd = statistics->data() + rows;
  const std::string extents = std::to_string(rows) + "x" + std::to_string(channels);
  measure("layer_norm/forward/" + extents, 0, 8 * count(rows * channels), 0,
          [=, keep = std::vector{x, y, w, b, statistics}] { layer_norm_forward(pool(), args); });
  const auto dx = std::make_shared<floats>(*x), dw = std::make_shared<floats>(*w), db = std::make_shared<floats>(*w);
  measure("layer_norm/backward/" + extents, 0, 12 * count(rows * channels), 0,
          [=, keep = std::vector{x, y, w, b, statistics}] {
            layer_norm_backward(pool(), args, y->data(), channels, dx->data(), channels, dw->data(), db->data());
          });
}

/// q, k, v and gate beside each other in one array, as one projection leaves them. Column attention: the batch is the
/// second axis, and there is no pair bias.
void add_attention(const std::string& name, index_t batch, index_t heads, index_t positions, index_t c, bool column,
                   double forward_goal, double backward_goal) {
  const index_t width = heads * c;
  const auto qkvg = std::make_shared<floats>(values(batch * positions * width * 4)),
             out = std::make_shared<floats>(values(batch * positions * width)),
             slope = std::make_shared<floats>(values(batch * positions * width * 4)),
             bias = std::make_shared<floats>(values(heads * positions * positions)),
             dbias = std::make_shared<floats>(*bias), mask = std::make_shared<floats>(values(batch * positions));
  attention_args<float> a;
  a.batch = batch;
  a.heads = heads;
  a.queries = a.keys = positions;
  a.c = c;
  a.q = qkvg->data();
  a.k = a.q + width;
  a.v = a.k + width;
  a.gate = a.v + width;
  a.q_batch = a.k_batch = a.v_batch = a.gate_batch = column ? 4 * width : positions * width * 4;
  a.q_pos = a.k_pos = a.v_pos = a.gate_pos = column ? batch * 4 * width : 4 * width;
  a.out_batch = column ? width : positions * width;
  a.out_pos = column ? batch * width : width;
  a.scale = 0.2f;
  a.key_bias = mask->data();
  a.key_bias_batch = positions;
  if (!column) {
    a.pair_bias = bias->data();
    a.pair_bias_head = positions * positions;
    a.pair_bias_query = positions;
    a.pair_bias_key = 1;
  }
  a.out = out->data();
  attention_gradients<float> g;
  g.dq = slope->data();
  g.dk = g.dq + width;
  g.dv = g.dk + width;
  g.dgate = g.dv + width;
  if (!column) g.dpair_bias = dbias->data();
  const double flops = 4 * count(batch) * count(heads) * count(positions) * count(positions) * count(c);
  const double bytes = 4 * 5 * count(batch * positions * width);
  const auto keep = std::vector{qkvg, out, slope, bias, dbias, mask};
  measure("attention/forward/" + name, flops, bytes, forward_goal, [=] {
    static_cast<void>(keep);
    attention_forward(pool(), a);
  });
  // Six products instead of two: the logits and the output again, then dp, dq, dk, dv.
  measure("attention/backward/" + name, 3 * flops, 2 * bytes, backward_goal, [=] {
    static_cast<void>(keep);
    attention_backward(pool(), a, out->data(), g);
  });
}

void add_triangle(index_t n, double goal) {
  constexpr index_t channels = 128;
  const auto a = std::make_shared<floats>(values(n * n * channels)),
             b = std::make_shared<floats>(values(n * n * channels, 2)), x = std::make_shared<floats>(*a),
             da = std::make_shared<floats>(*a), db = std::make_shared<floats>(*a);
  const double flops = 2 * count(n) * count(n) * count(n) * count(channels), bytes = 12 * count(n * n * channels);
  const std::string name = std::to_string(n);
  measure("triangle/outgoing/" + name, flops, bytes, goal,
          [=] { triangle_forward(pool(), false, n, channels, a->data(), b->data(), x->data()); });
  measure("triangle/incoming/" + name, flops, bytes, goal,
          [=] { triangle_forward(pool(), true, n, channels, a->data(), b->data(), x->data()); });
  measure("triangle/backward/" + name, 2 * flops, 2 * bytes, goal, [=] {
    triangle_backward(pool(), false, n, channels, a->data(), b->data(), x->data(), da->data(), db->data());
  });
}

void add_outer_product(index_t s, index_t n, double goal) {
  constexpr index_t c = 32, c_z = 128;
  const auto a = std::make_shared<floats>(values(s * n * c)), b = std::make_shared<floats>(values(s * n * c, 2)),
             weight = std::make_shared<floats>(values(c_z * c * c)), bias = std::make_shared<floats>(values(c_z)),
             scale = std::make_shared<floats>(values(n * n)), z = std::make_shared<floats>(values(n * n * c_z)),
             da = std::make_shared<floats>(*a), db = std::make_shared<floats>(*b),
             dw = std::make_shared<floats>(*weight), dbias = std::make_shared<floats>(*bias);
  const outer_product_args<float> args{
      s, n, n, c, c, c_z, a->data(), n * c, b->data(), n * c, weight->data(), bias->data(), scale->data(), z->data()};
  const outer_product_gradients<float> g{da->data(), db->data(), dw->data(), dbias->data()};
  const double pair = 2 * count(n) * count(n) * count(c * c);
  const auto keep = std::vector{a, b, weight, bias, scale, z, da, db, dw, dbias};
  const std::string name = std::to_string(s) + "x" + std::to_string(n);
  measure("outer_product/forward/" + name, pair * count(s + c_z), 4 * count(n * n * c_z), goal, [=] {
    static_cast<void>(keep);
    outer_product_forward(pool(), args);
  });
  measure("outer_product/backward/" + name, pair * count(3 * s + 2 * c_z), 8 * count(n * n * c_z), goal, [=] {
    static_cast<void>(keep);
    outer_product_backward(pool(), args, z->data(), g);
  });
}

}  // namespace

int main(int argc, char** argv) {
  fathom::bench::introduce();
  add_gemm("16384x1024x256", false, true, 16384, 1024, 256, 0.85);
  add_gemm("16384x256x1024", false, true, 16384, 256, 1024, 0.85);
  add_gemm("65536x128x128", false, true, 65536, 128, 128, 0.7);
  add_gemm("4096x4096x128", true, false, 4096, 4096, 128, 0.65);
  add_gemm("16384x4x128", false, true, 16384, 4, 128, 0);
  add_gemm("weight_gradient/1024x256x16384", true, false, 1024, 256, 16384, 0.75);
  add_gemm("weight_gradient/128x128x65536", true, false, 128, 128, 65536, 0.65);
  add_batched("128_of_128x128x128", 128, 128, 128, 128, 0.65);
  add_batched("512_of_128x128x32", 512, 128, 128, 32, 0.4);
  add_elementwise();
  add_layer_norm(16384, 256);
  add_layer_norm(65536, 128);
  add_attention("row_128x128", 128, 8, 128, 32, false, 0.4, 0.4);
  add_attention("row_128x256", 128, 8, 256, 32, false, 0.4, 0.4);
  add_attention("column_128x128", 128, 8, 128, 32, true, 0.4, 0.4);
  add_attention("triangle_256", 256, 4, 256, 32, false, 0.4, 0.4);
  add_attention("extra_row_c8_512x128", 512, 8, 128, 8, false, 0.15, 0.15);
  add_triangle(128, 0.45);
  add_triangle(256, 0.45);
  add_outer_product(128, 128, 0.65);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();

  std::printf("\n%-46s %10s %10s %8s %8s %8s\n", "kernel", "ms", "GFLOP/s", "share", "MB", "GB/s");
  for (const auto& [name, r] : table) {
    const double rate = r.flops * 1e-9 / r.seconds;
    std::printf("%-46s %10.3f %10.1f %7.0f%% %8.1f %8.1f\n", name.c_str(), r.seconds * 1e3, rate, 100 * rate / r.sgemm,
                r.bytes * 1e-6, r.bytes * 1e-9 / r.seconds);
    fathom::bench::report::of_this_run().row(name, {{"ms", r.seconds * 1e3},
                                                    {"GFLOP/s", rate},
                                                    {"share", rate / r.sgemm},
                                                    {"sgemm GFLOP/s", r.sgemm},
                                                    {"MB", r.bytes * 1e-6},
                                                    {"GB/s", r.bytes * 1e-9 / r.seconds}});
  }
  std::printf("threads %d, scratch %.1f MB\n\n", pool().size(), static_cast<double>(pool().scratch_capacity()) * 1e-6);
  bool pass = true;
  for (const auto& [name, r] : table)
    if (r.goal > 0)
      pass =
          fathom::bench::result(name + "_share_of_sgemm", r.flops * 1e-9 / r.seconds / r.sgemm, r.goal, false) && pass;
  return pass ? 0 : 1;
}
