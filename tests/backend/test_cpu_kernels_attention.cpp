// SPDX-License-Identifier: Apache-2.0
// Streaming attention, forward and backward, against the formula in double; masks, strides, thread independence.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <fathom/backend/cpu/attention_backward.hpp>
#include <random>
#include <type_traits>
#include <vector>

using fathom::index_t;
using namespace fathom::cpu_kernels;

namespace {

std::size_t at(index_t i) { return static_cast<std::size_t>(i); }

struct shape {
  index_t batch, heads, queries, keys, c;
  bool key_bias = true, pair_bias = true, gate = true;
  bool column = false;     // positions vary slower than the batch, as in MSA column attention
  bool pair_last = false;  // pair bias stored [queries, keys, heads]
};

// One tensor [.., width] of q, k, v, gate beside each other where extents allow, so that every stride is odd.
template <class T>
struct problem {
  shape s;
  index_t width;
  std::vector<T> q, k, v, gate, key_bias, pair_bias, dout;

  explicit problem(shape extents) : s(extents), width(s.heads * s.c + 3) {
    std::mt19937 generator(11);
    std::uniform_real_distribution<double> uniform(-1, 1);
    const auto fill = [&](std::vector<T>& values, index_t count, double scale) {
      values.resize(at(count));
      for (T& value : values) value = static_cast<T>(scale * uniform(generator));
    };
    fill(q, s.batch * s.queries * width, 2);
    fill(k, s.batch * s.keys * width, 2);
    fill(v, s.batch * s.keys * width, 1);
    fill(gate, s.batch * s.queries * width, 3);
    fill(dout, s.batch * s.queries * width, 1);
    fill(key_bias, s.batch * (s.keys + 1), 1);
    for (std::size_t i = 0; i < key_bias.size(); i += 3) key_bias[i] = T(-1e9);
    fill(pair_bias, s.heads * s.queries * s.keys, 2);
  }
  index_t stride_b(index_t positions) const { return s.column ? width : positions * width; }
  index_t stride_p() const { return s.column ? s.batch * width : width; }

  attention_args<T> args(std::vector<T>& out, std::vector<T>& lse) const {
    out.assign(at(s.batch * s.queries * width), T(5));
    lse.assign(at(s.batch * s.heads * s.queries), T(5));
    attention_args<T> a;
    a.batch = s.batch;
    a.heads = s.heads;
    a.queries = s.queries;
    a.keys = s.keys;
    a.c = s.c;
    a.q = q.data();
    a.k = k.data();
    a.v = v.data();
    a.q_batch = a.gate_batch = a.out_batch = stride_b(s.queries);
    a.k_batch = a.v_batch = stride_b(s.keys);
    a.q_pos = a.k_pos = a.v_pos = a.gate_pos = a.out_pos = stride_p();
    a.scale = T(0.37);
    if (s.key_bias) a.key_bias = key_bias.data();
    a.key_bias_batch = s.keys + 1;
    if (s.pair_bias) a.pair_bias = pair_bias.data();
    a.pair_bias_head = s.pair_last ? 1 : s.queries * s.keys;
    a.pair_bias_query = s.pair_last ? s.keys * s.heads : s.keys;
    a.pair_bias_key = s.pair_last ? s.heads : 1;
    if (s.gate) a.gate = gate.data();
    a.out = out.data();
    a.logsumexp = lse.data();
    return a;
  }
};

template <class T>
struct outcome {
  std::vector<T> out, logsumexp, dq, dk, dv, dgate, dpair, dkey;
  template <class F>
  static void each(F f) {
    f("out", &outcome::out), f("logsumexp", &outcome::logsumexp), f("dq", &outcome::dq), f("dk", &outcome::dk);
    f("dv", &outcome::dv), f("dgate", &outcome::dgate), f("dpair", &outcome::dpair), f("dkey", &outcome::dkey);
  }
  bool same_bits(const outcome& other) const {
    bool same = true;
    each([&](const char*, std::vector<T> outcome::*member) {
      const auto &a = this->*member, &b = other.*member;
      same = same && a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
    });
    return same;
  }
};

template <class T>
outcome<T> run(const problem<T>& p, int threads, bool backward = true, bool keep_statistics = false) {
  thread_pool pool(threads);
  outcome<T> r;
  attention_args<T> a = p.args(r.out, r.logsumexp);
  std::vector<T> statistics(keep_statistics ? at(2 * p.s.batch * p.s.heads * p.s.queries) : 0);
  if (keep_statistics) a.statistics = statistics.data();
  attention_forward(pool, a);
  if (!backward) return r;
  r.dq.assign(p.q.size(), T(7));
  r.dk.assign(p.k.size(), T(7));
  r.dv.assign(p.v.size(), T(7));
  r.dgate.assign(p.gate.size(), T(7));
  r.dpair.assign(p.pair_bias.size(), T(7));
  r.dkey.assign(at(p.s.batch * p.s.keys), T(7));
  attention_gradients<T> g;
  g.dq = r.dq.data();
  g.dk = r.dk.data();
  g.dv = r.dv.data();
  g.dgate = r.dgate.data();
  g.dpair_bias = r.dpair.data();
  g.dkey_bias = r.dkey.data();
  attention_backward(pool, a, p.dout.data(), g);
  return r;
}

// The formula in double; positions the kernels must not touch keep their fill.
template <class T>
outcome<double> reference(const problem<T>& p) {
  const shape& s = p.s;
  outcome<double> r;
  r.out.assign(at(s.batch * s.queries * p.width), 5);
  r.logsumexp.assign(at(s.batch * s.heads * s.queries), 5);
  r.dq.assign(p.q.size(), 7);
  r.dk.assign(p.k.size(), 7);
  r.dv.assign(p.v.size(), 7);
  r.dgate.assign(p.gate.size(), 7);
  r.dpair.assign(p.pair_bias.size(), 0);
  r.dkey.assign(at(s.batch * s.keys), 0);
  const double scale = static_cast<double>(T(0.37));
  const auto value = [](const std::vector<T>& x, index_t i) { return static_cast<double>(x[at(i)]); };
  for (index_t b = 0; b < s.batch; ++b)
    for (index_t h = 0; h < s.heads; ++h) {
      const auto row = [&](index_t positions, index_t i) {
        return b * p.stride_b(positions) + i * p.stride_p() + h * s.c;
      };
      for (index_t j = 0; j < s.keys; ++j)
        for (index_t c = 0; c < s.c; ++c) r.dk[at(row(s.keys, j) + c)] = r.dv[at(row(s.keys, j) + c)] = 0;
      for (index_t i = 0; i < s.queries; ++i) {
        const index_t here = row(s.queries, i);
        std::vector<double> weight(at(s.keys)), slope(at(s.keys));
        double top = -1e300, sum = 0, mean = 0;
        for (index_t j = 0; j < s.keys; ++j) {
          double logit = 0;
          for (index_t c = 0; c < s.c; ++c) logit += scale * value(p.q, here + c) * value(p.k, row(s.keys, j) + c);
          if (s.key_bias) logit += value(p.key_bias, b * (s.keys + 1) + j);
          if (s.pair_bias)
            logit +=
                value(p.pair_bias, s.pair_last ? (i * s.keys + j) * s.heads + h : (h * s.queries + i) * s.keys + j);
          weight[at(j)] = logit;
          top = std::max(top, logit);
        }
        for (double& w : weight) sum += w = std::exp(w - top);
        for (double& w : weight) w /= sum;
        r.logsumexp[at((b * s.heads + h) * s.queries + i)] = top + std::log(sum);
        for (index_t c = 0; c < s.c; ++c) {
          double o = 0;
          for (index_t j = 0; j < s.keys; ++j) o += weight[at(j)] * value(p.v, row(s.keys, j) + c);
          const double gate = s.gate ? 1 / (1 + std::exp(-value(p.gate, here + c))) : 1;
          const double d = value(p.dout, here + c);
          r.out[at(here + c)] = o * gate;
          if (s.gate) r.dgate[at(here + c)] = d * o * gate * (1 - gate);
          for (index_t j = 0; j < s.keys; ++j) {
            slope[at(j)] += d * gate * value(p.v, row(s.keys, j) + c);
            r.dv[at(row(s.keys, j) + c)] += d * gate * weight[at(j)];
          }
        }
        for (index_t j = 0; j < s.keys; ++j) mean += weight[at(j)] * slope[at(j)];
        for (index_t c = 0; c < s.c; ++c) r.dq[at(here + c)] = 0;
        for (index_t j = 0; j < s.keys; ++j) {
          const double ds = weight[at(j)] * (slope[at(j)] - mean);
          r.dpair[at((h * s.queries + i) * s.keys + j)] += ds;
          r.dkey[at(b * s.keys + j)] += ds;
          for (index_t c = 0; c < s.c; ++c) {
            r.dq[at(here + c)] += scale * ds * value(p.k, row(s.keys, j) + c);
            r.dk[at(row(s.keys, j) + c)] += scale * ds * value(p.q, here + c);
          }
        }
      }
    }
  return r;
}

template <class T>
double distance(const std::vector<T>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return 1e9;
  double largest = 1e-3, error = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(b[i]) > 1e8 ? 0 : std::abs(b[i]));
    error = std::max(error, std::abs(static_cast<double>(a[i]) - b[i]) / std::max(1., std::abs(b[i]) > 1e8 ? 1e9 : 1.));
  }
  return error / largest;
}

const std::vector<shape> shapes = {
    {1, 1, 1, 1, 1},
    {2, 2, 3, 5, 4},
    {3, 2, 7, 17, 5, true, true, false},
    {2, 3, 20, 16, 6, true, false, true, true},
    {2, 1, 33, 31, 9, false, true, true, false, true},
    {5, 2, 70, 70, 8, true, true, true, true, true},
    {40, 2, 10, 12, 16, true, true, true},
    {3, 4, 130, 100, 32, true, true, true},
    {2, 2, 65, 300, 24, false, false, false},
    {1, 2, 70, 530, 40, true, true, true},
};

}  // namespace

TEST_CASE_TEMPLATE("backend: attention forward and backward equal the formula for every layout", T, float, double) {
  const double tolerance = std::is_same_v<T, float> ? 5e-6 : 2e-14;
  for (const shape& s : shapes) {
    const problem<T> p(s);
    const outcome<double> expected = reference(p);
    for (const bool keep_statistics : {false, true}) {
      const outcome<T> got = run(p, 2, true, keep_statistics);
      CAPTURE(s.queries);
      CAPTURE(s.keys);
      CAPTURE(s.c);
      CAPTURE(keep_statistics);
      CHECK(distance(got.out, expected.out) < tolerance);
      CHECK(distance(got.logsumexp, expected.logsumexp) < 10 * tolerance);
      CHECK(distance(got.dq, expected.dq) < 10 * tolerance);
      CHECK(distance(got.dk, expected.dk) < 10 * tolerance);
      CHECK(distance(got.dv, expected.dv) < 10 * tolerance);
      CHECK(distance(got.dgate, expected.dgate) < 10 * tolerance);
      CHECK(distance(got.dpair, expected.dpair) < 10 * tolerance);
      CHECK(distance(got.dkey, expected.dkey) < 20 * tolerance);
    }
  }
}

TEST_CASE_TEMPLATE("backend: attention gives the same bits for any number of threads", T, float, double) {
  for (const shape& s : shapes) {
    const problem<T> p(s);
    const outcome<T> one = run(p, 1);
    for (const int threads : {2, 3, 4, 7}) CHECK(run(p, threads).same_bits(one));
    const outcome<T> kept = run(p, 1, true, true);
    for (const int threads : {2, 5}) CHECK(run(p, threads, true, true).same_bits(kept));
  }
}

TEST_CASE_TEMPLATE("backend: what a masked key holds changes no bit, forward or backward", T, float, double) {
  problem<T> p({3, 2, 40, 37, 8, true, true, true});
  const outcome<T> clean = run(p, 2);
  std::mt19937 generator(3);
  std::uniform_real_distribution<double> uniform(-1e3, 1e3);
  for (index_t b = 0; b < 3; ++b)
    for (index_t j = 0; j < 37; ++j)
      if (p.key_bias[at(b * 38 + j)] == T(-1e9))
        for (index_t c = 0; c < 16; ++c) {
          p.k[at((b * 37 + j) * p.width + c)] = static_cast<T>(uniform(generator));
          p.v[at((b * 37 + j) * p.width + c)] = static_cast<T>(uniform(generator));
        }
  const outcome<T> dirty = run(p, 2);
  CHECK(dirty.same_bits(clean));
  // ... and gets no gradient.
  for (index_t j = 0; j < 37; ++j)
    if (p.key_bias[at(j)] == T(-1e9)) CHECK(dirty.dk[at(j * p.width)] == 0);
}

TEST_CASE("backend: a row whose keys are all masked is the plain softmax of its sums") {
  problem<double> p({2, 2, 6, 9, 4, true, true, true});
  for (double& bias : p.key_bias) bias = -1e9;
  const outcome<double> expected = reference(p);
  const outcome<double> got = run(p, 2);
  CHECK(distance(got.out, expected.out) < 1e-6);
  CHECK(distance(got.dv, expected.dv) < 1e-6);
  CHECK(distance(got.dpair, expected.dpair) < 1e-6);
  for (const double value : got.out) CHECK(std::isfinite(value));
}

TEST_CASE("backend: attention without keys gives zeros, without queries nothing") {
  problem<double> p({2, 1, 3, 0, 4, false, false, false});
  const outcome<double> got = run(p, 2);
  for (index_t i = 0; i < 6; ++i)
    for (index_t c = 0; c < 4; ++c) {
      CHECK(got.out[at(i * p.width + c)] == 0);
      CHECK(got.dq[at(i * p.width + c)] == 0);
    }
  problem<double> none({2, 1, 0, 3, 4, false, false, false});
  const outcome<double> empty = run(none, 2);
  CHECK(empty.dk[0] == 0);
}

TEST_CASE("backend: parts of the gradient may be left out") {
  const problem<double> p({3, 2, 9, 11, 5});
  const outcome<double> all = run(p, 2);
  thread_pool pool(2);
  std::vector<double> out, lse, dpair(p.pair_bias.size()), dq(p.q.size(), 7.), dk(p.k.size(), 7.), dv(p.v.size(), 7.);
  const attention_args<double> a = p.args(out, lse);
  attention_gradients<double> only_pair;
  only_pair.dpair_bias = dpair.data();
  attention_backward(pool, a, p.dout.data(), only_pair);
  CHECK(dpair == all.dpair);
  attention_gradients<double> only_qkv;
  only_qkv.dq = dq.data();
  only_qkv.dk = dk.data();
  only_qkv.dv = dv.data();
  attention_backward(pool, a, p.dout.data(), only_qkv);
  CHECK(dq == all.dq);
  CHECK(dk == all.dk);
  CHECK(dv == all.dv);
}

TEST_CASE("backend: a warm attention allocates nothing") {
  const problem<float> p({6, 4, 70, 70, 16});
  thread_pool pool(1);
  std::vector<float> out, lse, dq(p.q.size()), dk(p.k.size()), dv(p.v.size()), dpair(p.pair_bias.size());
  const attention_args<float> a = p.args(out, lse);
  attention_gradients<float> g;
  g.dq = dq.data();
  g.dk = dk.data();
  g.dv = dv.data();
  g.dpair_bias = dpair.data();
  const auto both = [&] {
    attention_forward(pool, a);
    attention_backward(pool, a, p.dout.data(), g);
  };
  both();
  both();
  const auto before = fathom::memory_counter::allocations();
  both();
  CHECK(fathom::memory_counter::allocations() == before);
}
