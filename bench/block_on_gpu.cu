// SPDX-License-Identifier: Apache-2.0
// bench_block --device cuda: one Evoformer block of AlphaFold2's sizes with bfloat16 products, beside OpenFold's block
// in PyTorch (PEER_OPENFOLD, PEER_PYTHON) in turn, attention beside PyTorch's, the share of the card's own matrix rate,
// and a continuous solve as one graph.
#include <cuda_bf16.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fathom/autodiff/gradient.hpp>
#include <fathom/continuous/evoformer_field.hpp>
#include <fathom/cuda/gpu.hpp>
#include <fathom/cuda/recorded.hpp>
#include <fathom/evoformer/evoformer.hpp>
#include <fathom/ode/ode.hpp>
#include <fathom/op/attention.hpp>
#include <fathom/op/random.hpp>

#include "common.hpp"
#include "kernel_seconds.hpp"
#include "on_gpu.hpp"
#include "peer.hpp"

using namespace fathom;

namespace {

using B = cuda::gpu<bf16_mixed>;
using D = alphafold2;
constexpr index_t heads = D::no_heads_msa, head_channels = D::c_hidden_msa_att;

struct measurement {
  double seconds = 0, bytes = 0;
};

template <class Run>
double seconds_until_done(const B& b, const Run& run) {
  b.synchronize();
  return bench::seconds_of([&] {
    run();
    b.synchronize();
  });
}

/// Median seconds of ours and of the peer's `order`, in turn, after one run of each; bytes of the last runs.
template <class Run>
std::pair<measurement, measurement> in_turn(const B& b, bench::peer& peer, const std::string& order, const Run& run) {
  constexpr int rounds = 7;
  auto& c = *b.context();
  run();
  b.synchronize();
  const double before = static_cast<double>(c.memory_used());
  c.reset_memory_peak();
  run();
  b.synchronize();
  measurement ours, theirs;
  ours.bytes = static_cast<double>(c.memory_peak()) - before;
  const bool together = peer.measure(order).has_value();
  std::vector<double> own, other;
  for (int i = 0; i < rounds; ++i) {
    own.push_back(seconds_until_done(b, run));
    if (!together) continue;
    if (const auto seconds = peer.measure(order)) other.push_back(*seconds);
  }
  ours.seconds = bench::median(own);
  theirs.seconds = bench::median(other);
  if (together) theirs.bytes = peer.measure("memory").value_or(0);
  return {ours, theirs};
}

/// The card's own rate: products of 8192 x 8192 bfloat16 matrices of random numbers, in FLOP/s.
double matrix_rate(const B& b) {
  constexpr index_t n = 8192;
  auto& c = *b.context();
  const auto room = [&] { return cuda::device_buffer<__nv_bfloat16>(b.context(), n * n); };
  const auto x = room(), y = room(), z = room();
  std::vector<__nv_bfloat16> values(static_cast<std::size_t>(n * n));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = __float2bfloat16(static_cast<float>(2 * philox_uniform(1, i) - 1));
  cuda::upload(c, x.get(), values.data(), n * n);
  cuda::upload(c, y.get(), values.data(), n * n);
  const float one = 1, zero = 0;
  const auto multiply = [&] {
    cuda::detail::check(
        cublasGemmEx(c.blas(), CUBLAS_OP_N, CUBLAS_OP_N, n, n, n, &one, x.get(), CUDA_R_16BF, n, y.get(), CUDA_R_16BF,
                     n, &zero, z.get(), CUDA_R_16BF, n, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
        "cublasGemmEx", "the card's matrix rate");
  };
  multiply();
  std::vector<double> seconds;
  for (int i = 0; i < 5; ++i)
    seconds.push_back(seconds_until_done(b,
                                         [&] {
                                           for (int k = 0; k < 4; ++k) multiply();
                                         }) /
                      4);
  return 2.0 * n * n * n / bench::median(seconds);
}

/// Multiply-adds of one forward block, twice: products only.
double block_flops(double s, double n) {
  const double cm = D::c_m, cz = D::c_z, hm = D::c_hidden_msa_att * D::no_heads_msa,
               hp = D::c_hidden_pair_att * D::no_heads_pair, mul = D::c_hidden_mul, c = D::c_hidden_opm;
  const double row = s * n * cm * hm * 5 + n * n * cz * D::no_heads_msa + 2 * s * n * n * hm;
  const double column = s * n * cm * hm * 5 + 2 * n * s * s * hm;
  const double transitions = 2 * D::transition_n * (s * n * cm * cm + n * n * cz * cz);
  const double outer = 2 * s * n * cm * c + n * n * c * c * (s + cz);
  const double triangle = 2 * (n * n * cz * mul * 4 + n * n * n * mul + n * n * mul * cz + n * n * cz * cz);
  const double attention = 2 * (n * n * cz * hp * 5 + n * n * cz * D::no_heads_pair + 2 * n * n * n * hp);
  return 2 * (row + column + transitions + outer + triangle + attention);
}

msa_pair<B> state(const B& b, index_t s, index_t n) {
  return {random_normal<3>(b, {s, n, D::c_m}, 1), random_normal<3>(b, {n, n, D::c_z}, 2)};
}

std::string megabytes(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f MB", bytes * 1e-6);
  return text;
}

void print_row(const std::string& name, const measurement& ours, const measurement& peer, double rate) {
  std::printf("%-34s %9.3f ms %9s", name.c_str(), ours.seconds * 1e3, megabytes(ours.bytes).c_str());
  if (rate > 0) std::printf(" %7.1f TFLOP/s", rate * 1e-12);
  if (peer.seconds > 0) std::printf("   peer %9.3f ms %9s", peer.seconds * 1e3, megabytes(peer.bytes).c_str());
  std::printf("\n");
  std::fflush(stdout);
}

class block_bench {
 public:
  block_bench(const B& b, bench::peer& peer)
      : b_(b), peer_(peer), block_(initialise(evoformer_block<B, D>(b), {.seed = 1, .final_scale = 0.5})) {}

  void run(index_t s, index_t n, double card) {
    const auto y = state(b_, s, n);
    const auto mask = full_masks(b_, s, n);
    const std::string size = std::to_string(s) + "x" + std::to_string(n);
    const auto order = [&](const char* what) {
      return std::string(what) + " " + std::to_string(s) + " " + std::to_string(n);
    };
    const double flops = block_flops(static_cast<double>(s), static_cast<double>(n));
    {
      const auto [ours, theirs] = in_turn(b_, peer_, order("forward"), [&] { (void)block_(y, mask); });
      print_row("forward " + size, ours, theirs, flops / ours.seconds);
      compare("block_forward_" + size, ours, theirs);
      if (s == 512)
        pass_ = bench::result("block_forward_" + size + "_share_of_card", flops / ours.seconds / card, 0.35, false) &&
                pass_;
    }
    // Chunks' activations computed again in the backward pass, or kept as long as they fit.
    for (const bool kept : {false, true}) {
      const auto [ours, theirs] = in_turn(b_, peer_, order("backward"), [&] {
        const keep_activations keep(kept ? std::int64_t(32) << 30 : 0);
        (void)value_and_gradient(
            [&](const auto& t) {
              using A = autodiff<B>;
              const masks<A> m{constant(A(b_), mask.msa), constant(A(b_), mask.pair)};
              const auto out = std::get<0>(t)(std::get<1>(t), m);
              return sum(out.m) + sum(out.z);
            },
            std::tuple(block_, y));
      });
      const std::string name = kept ? "backward_kept" : "backward";
      print_row(name + " " + size, ours, theirs, 3 * flops / ours.seconds);
      compare("block_" + name + "_" + size, ours, theirs);
    }
  }
  bool pass() const { return pass_; }

 private:
  void compare(const std::string& name, const measurement& ours, const measurement& theirs) {
    if (theirs.seconds <= 0) return;
    pass_ = bench::result(name + "_speed_over_peer", theirs.seconds / ours.seconds, 3, false) && pass_;
    if (theirs.bytes > 0)
      pass_ = bench::result(name + "_memory_of_peer", ours.bytes / theirs.bytes, 0.5, true) && pass_;
  }

  B b_;
  bench::peer& peer_;
  evoformer_block<B, D> block_;
  bool pass_ = true;
};

/// Attention of rows with pair bias beside PyTorch's fused attention with the same additive bias.
bool attention_in_turn(const B& b, bench::peer& peer, index_t batch, index_t n) {
  const auto draw = [&](std::uint64_t seed) { return random_normal<3>(b, {batch, n, heads * head_channels}, seed); };
  const auto q = draw(1), k = draw(2), v = draw(3), bias = random_normal<3>(b, {heads, n, n}, 4);
  bool pass = true;
  for (const char* what : {"forward", "backward"}) {
    const auto call = [](const auto& x0, const auto& x1, const auto& x2, const auto& x3) {
      using tensor_t = std::remove_cvref_t<decltype(x0)>;
      using A = typename tensor_t::backend_type;
      return apply<attention_op>(x0, x1, x2, std::optional<tensor<A, 2>>(), std::optional(x3),
                                 std::optional<tensor_t>(), heads);
    };
    const bool both = what[0] == 'b';
    const auto run = [&] {
      if (!both) return void(call(q, k, v, bias));
      (void)value_and_gradient(
          [&](const auto& t) { return sum(call(std::get<0>(t), std::get<1>(t), std::get<2>(t), std::get<3>(t))); },
          std::tuple(q, k, v, bias));
    };
    const std::string order =
        fathom::detail::concat("attention ", what, " ", batch, " ", heads, " ", n, " ", head_channels);
    const auto [ours, theirs] = in_turn(b, peer, order, run);
    const double flops = 4.0 * static_cast<double>(batch * heads * n * n * head_channels) * (both ? 3.5 : 1);
    print_row(fathom::detail::concat("attention ", what, " ", batch, "x", n), ours, theirs, flops / ours.seconds);
    if (theirs.seconds > 0)
      pass = bench::result(fathom::detail::concat("attention_", what, "_", batch, "x", n, "_speed_over_torch"),
                           theirs.seconds / ours.seconds, 1, false) &&
             pass;
  }
  return pass;
}

/// Eight evaluations of a field over 128 x 256, as one graph and launch by launch.
bool continuous(const B& b) {
  const auto field = initialise(evoformer_field<B, D>(b), {.seed = 1, .final_scale = 0.5});
  const auto y0 = state(b, 128, 256);
  const auto mask = full_masks(b, 128, 256);
  ode::options<msa_pair<B>> options;
  options.check_finite = false;
  const auto solve = [&](const msa_pair<B>& y) {
    return ode::solve(ode::with_context(field, mask), y, {0.0, 1.0}, ode::rk4{}, ode::fixed_steps{2}, options).y1;
  };
  cuda::recorded recorded(b, solve, y0);
  std::vector<double> launched, replayed;
  for (int i = 0; i < 7; ++i) {
    launched.push_back(seconds_until_done(b, [&] { (void)solve(y0); }));
    replayed.push_back(seconds_until_done(b, [&] { (void)recorded(y0); }));
  }
  const double whole = bench::median(replayed);
  std::printf("%-34s %9.3f ms as a graph, %9.3f ms launch by launch\n", "solve 128x256, 8 evaluations", whole * 1e3,
              bench::median(launched) * 1e3);
  const auto busy = bench::kernel_seconds([&] {
    (void)recorded(y0);
    b.synchronize();
  });
  if (!busy) {
    std::printf("%-34s not measured: there is no CUPTI\n", "launch gaps");
    return true;
  }
  return bench::result("solve_128x256_launch_gaps", std::max(0.0, 1 - *busy / whole), 0.05, true);
}

}  // namespace

int fathom::bench::block_on_gpu() {
  const B b;
  cudaDeviceProp card{};
  cuda::detail::check(cudaGetDeviceProperties(&card, b.context()->device()), "cudaGetDeviceProperties", "bench_block");
  const char* const python = std::getenv("PEER_PYTHON");
  bench::peer peer(std::getenv("PEER_OPENFOLD") != nullptr
                       ? std::vector<std::string>{python != nullptr ? python : "python3",
                                                  FATHOM_SOURCE_DIR "/bench/peers/openfold_block_cuda.py"}
                       : std::vector<std::string>{"false"});
  const double rate = matrix_rate(b);
  std::printf("%s, %.0f TFLOP/s in bfloat16 products\npeer: %s\n", card.name, rate * 1e-12,
              peer.name().empty() ? "none (PEER_OPENFOLD, PEER_PYTHON)" : peer.name().c_str());
  if (std::getenv("FATHOM_COMPILE_PEER") != nullptr)
    std::printf("torch.compile: %s\n", peer.measure("compile").value_or(0) > 0 ? "serves the block" : "does not work");
  block_bench block(b, peer);
  block.run(128, 256, rate);
  bool pass = attention_in_turn(b, peer, 128, 256);
  pass = attention_in_turn(b, peer, 384, 384) && pass;
  pass = continuous(b) && pass;
  block.run(512, 384, rate);
  return pass && block.pass() ? 0 : 1;
}
