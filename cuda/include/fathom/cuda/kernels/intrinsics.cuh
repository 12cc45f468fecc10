// SPDX-License-Identifier: Apache-2.0
// The few words in which kernels speak to the hardware. nvcc compiles them to instructions; with the tests' emulator
// (FATHOM_CUDA_EMULATED) the same kernels run on the CPU, where shared memory is checked.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include <fathom/core/config.hpp>
#include <fathom/core/dual.hpp>

#if !defined(__CUDACC__) && !defined(FATHOM_CUDA_EMULATED)
#error "fathom/cuda/kernels: compile with nvcc, or include the tests' emulator first"
#endif

#define FATHOM_DEVICE __device__ __forceinline__
#if defined(__CUDACC__)
#define FATHOM_UNROLL _Pragma("unroll")
#define FATHOM_UNROLL_4 _Pragma("unroll 4")
#else
#define FATHOM_UNROLL
#define FATHOM_UNROLL_4
#endif

namespace fathom::cuda::kernels {

inline constexpr unsigned full_warp = 0xFFFFFFFFu;

FATHOM_DEVICE int thread_number() { return static_cast<int>(threadIdx.x); }
FATHOM_DEVICE int lane_number() { return static_cast<int>(threadIdx.x) % 32; }
FATHOM_DEVICE int warp_number() { return static_cast<int>(threadIdx.x) / 32; }
FATHOM_DEVICE index_t block_number() { return static_cast<index_t>(blockIdx.x); }
FATHOM_DEVICE index_t block_count() { return static_cast<index_t>(gridDim.x); }

template <class T>
FATHOM_DEVICE T infinity() {
  return static_cast<T>(INFINITY);
}
/// 2^x to 2^-22 of its value; results too small for a normal number are 0.
FATHOM_DEVICE float exp2_of(float x) {
#if defined(FATHOM_CUDA_EMULATED)
  return ::exp2f(x);
#else
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#endif
}
FATHOM_DEVICE double exp2_of(double x) { return ::exp2(x); }
FATHOM_DEVICE float sqrt_of(float x) { return ::sqrtf(x); }
FATHOM_DEVICE double sqrt_of(double x) { return ::sqrt(x); }
inline constexpr double log2_e = 1.4426950408889634;

template <class T>
FATHOM_DEVICE T sigmoid_of(T x) {
  return T(1) / (T(1) + exp2_of(-x * static_cast<T>(log2_e)));
}
template <class T>
FATHOM_DEVICE T larger(T a, T b) {
  return a < b ? b : a;
}

/// x of the lane whose number differs from this lane's in the bits of `with`.
template <class T>
FATHOM_DEVICE T across_lanes(T x, int with) {
  return __shfl_xor_sync(full_warp, x, with);
}
template <class T>
FATHOM_DEVICE dual<T> across_lanes(const dual<T>& x, int with) {
  return {across_lanes(x.value, with), across_lanes(x.slope, with)};
}

/// Every lane gets the sum (the maximum) over groups of `Lanes` neighbours, always added in the same order.
template <int Lanes = 32, class T>
FATHOM_DEVICE T sum_over_lanes(T x) {
  for (int with = Lanes / 2; with > 0; with /= 2) x += __shfl_xor_sync(full_warp, x, with);
  return x;
}
template <int Lanes = 32, class T>
FATHOM_DEVICE T maximum_over_lanes(T x) {
  for (int with = Lanes / 2; with > 0; with /= 2) x = larger(x, __shfl_xor_sync(full_warp, x, with));
  return x;
}

/// N values that are read and written together.
template <class T, int N>
struct alignas(sizeof(T) * N) pack {
  T v[N];
};
template <class T>
FATHOM_DEVICE auto load4(const T* from) {
  return *reinterpret_cast<const pack<T, 4>*>(from);
}
template <class T>
FATHOM_DEVICE auto load4(T* from) {
  return load4(static_cast<const T*>(from));
}
template <class T>
FATHOM_DEVICE void store4(T* to, const pack<T, 4>& x) {
  *reinterpret_cast<pack<T, 4>*>(to) = x;
}

/// A number of 16 bits with float's range.
struct bf16 {
  std::uint16_t bits;
};
/// Rounded to nearest even.
FATHOM_HD inline bf16 to_bf16(float x) {
  std::uint32_t bits;
  std::memcpy(&bits, &x, 4);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return {std::uint16_t{0x7FFF}};  // rounding could make a NaN infinite
  return {static_cast<std::uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16)};
}
FATHOM_HD inline float to_float(bf16 x) {
  const std::uint32_t bits = std::uint32_t{x.bits} << 16;
  float y;
  std::memcpy(&y, &bits, 4);
  return y;
}

/// Two of them, the first in the lower half.
using bf16_pair = std::uint32_t;
FATHOM_DEVICE bf16_pair pack_bf16(float low, float high) {
#if defined(FATHOM_CUDA_EMULATED)
  return to_bf16(low).bits | bf16_pair{to_bf16(high).bits} << 16;
#else
  bf16_pair both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
#endif
}

/// A part of the shared memory of a block. The emulator checks every access against it.
template <class T>
class shared_array {
 public:
#if defined(FATHOM_CUDA_EMULATED)
  shared_array(T* first, T* end) : at_(first), first_(first), end_(end) {}
  template <class U>
  shared_array(const shared_array<U>& other) : at_(other.at_), first_(other.first_), end_(other.end_) {}
  /// The address of `count` elements from number i on.
  T* pointer(int i, int count = 1) const {
    T* const p = at_ + i;
    if (p < first_ || p + count > end_)
      emulator::complain(emulator::machine::here().who(), " uses elements ", p - first_, " to ", p - first_ + count - 1,
                         " of an array of ", end_ - first_, " in shared memory");
    if (reinterpret_cast<std::uintptr_t>(p) % (sizeof(T) * static_cast<std::size_t>(count)) != 0)
      emulator::complain(emulator::machine::here().who(), " reads ", count, " elements at once from element ",
                         p - first_, " of shared memory, which is not aligned");
    return p;
  }
  shared_array operator+(int offset) const {
    shared_array moved = *this;
    moved.at_ += offset;
    return moved;
  }
#else
  FATHOM_DEVICE explicit shared_array(T* at) : at_(at) {}
  template <class U>
  FATHOM_DEVICE shared_array(const shared_array<U>& other) : at_(other.at_) {}
  FATHOM_DEVICE T* pointer(int i, int = 1) const { return at_ + i; }
  FATHOM_DEVICE shared_array operator+(int offset) const { return shared_array(at_ + offset); }
#endif
  FATHOM_DEVICE T& operator[](int i) const { return *pointer(i); }

 private:
  template <class U>
  friend class shared_array;
  T* at_;
#if defined(FATHOM_CUDA_EMULATED)
  T *first_, *end_;
#endif
};
template <class T>
FATHOM_DEVICE auto load4(const shared_array<T>& from, int i) {
  return load4(from.pointer(i, 4));
}
template <class T>
FATHOM_DEVICE void store4(const shared_array<T>& to, int i, const pack<T, 4>& x) {
  store4(to.pointer(i, 4), x);
}

/// Hands out the shared memory of the launch, arrays of multiples of 16 bytes; every thread asks for the same arrays in
/// the same order.
class shared_memory {
 public:
#if defined(FATHOM_CUDA_EMULATED)
  template <class T>
  shared_array<T> take(int n) {
    auto& machine = emulator::machine::here();
    auto* const first = reinterpret_cast<T*>(machine.shared() + used_);
    used_ += (static_cast<std::size_t>(n) * sizeof(T) + 15) / 16 * 16;
    if (used_ > machine.shared_bytes())
      emulator::complain(machine.who(), " takes ", used_, " bytes of shared memory where the launch gave ",
                         machine.shared_bytes());
    return shared_array<T>(first, first + n);
  }

 private:
  std::size_t used_ = 0;
#elif defined(__CUDACC__)
  FATHOM_DEVICE shared_memory() {
    extern __shared__ __align__(16) unsigned char fathom_shared[];
    next_ = fathom_shared;
  }
  template <class T>
  FATHOM_DEVICE shared_array<T> take(int n) {
    auto* const first = reinterpret_cast<T*>(next_);
    next_ += (static_cast<std::size_t>(n) * sizeof(T) + 15) / 16 * 16;
    return shared_array<T>(first);
  }

 private:
  unsigned char* next_;
#endif
};
/// Bytes that take<T>(n) uses up.
template <class T>
constexpr std::size_t shared_size(int n) {
  return (static_cast<std::size_t>(n) * sizeof(T) + 15) / 16 * 16;
}

/// c += a b for a warp: a 16 x 16, b 16 x 8, both bf16, c 16 x 8 in float32. With g = lane / 4 and t = 2 (lane % 4) a
/// lane holds a[g][t], a[g + 8][t], a[g][t + 8], a[g + 8][t + 8], each with its right neighbour; b[t][g] and b[t +
/// 8][g], each with the element below; c[g][t], c[g][t + 1], c[g + 8][t], c[g + 8][t + 1]. (PTX: mma.m16n8k16)
FATHOM_DEVICE void multiply_bf16(float (&c)[4], const bf16_pair (&a)[4], bf16_pair b0, bf16_pair b1) {
#if defined(FATHOM_CUDA_EMULATED)
  struct operands {
    std::uint32_t a[4], b[2];
  };
  struct sums {
    float c[4];
  };
  operands mine{{a[0], a[1], a[2], a[3]}, {b0, b1}};
  sums result{{c[0], c[1], c[2], c[3]}};
  const auto combine = [](const void* const* in, void* const* out) {
    const auto number = [](bf16_pair half) { return to_float({static_cast<std::uint16_t>(half)}); };
    float left[16][16], right[16][8];
    for (int lane = 0; lane < 32; ++lane) {
      const auto& x = *static_cast<const operands*>(in[lane]);
      const int g = lane / 4, t = lane % 4 * 2;
      for (int half = 0; half < 2; ++half) {
        const auto value = [&](std::uint32_t two) { return number(half == 0 ? two & 0xFFFFu : two >> 16); };
        left[g][t + half] = value(x.a[0]);
        left[g + 8][t + half] = value(x.a[1]);
        left[g][t + 8 + half] = value(x.a[2]);
        left[g + 8][t + 8 + half] = value(x.a[3]);
        right[t + half][g] = value(x.b[0]);
        right[t + 8 + half][g] = value(x.b[1]);
      }
    }
    for (int lane = 0; lane < 32; ++lane) {
      auto& y = *static_cast<sums*>(out[lane]);
      for (int e = 0; e < 4; ++e) {
        const int row = lane / 4 + e / 2 * 8, column = lane % 4 * 2 + e % 2;
        for (int k = 0; k < 16; ++k) y.c[e] += left[row][k] * right[k][column];
      }
    }
  };
  emulator::machine::here().warp_collective("mma.m16n8k16", mine, result, combine);
  for (int e = 0; e < 4; ++e) c[e] = result.c[e];
#else
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}

/// Four 8 x 8 matrices of bf16: lane l names row l % 8 of matrix l / 8, 16 bytes aligned; with g = lane / 4 and
/// t = 2 (lane % 4) each lane receives of each matrix the elements [g][t] and [g][t + 1], of transposed ones [t][g] and
/// [t + 1][g]. (PTX: ldmatrix.x4, ldmatrix.x4.trans)
template <bool Transposed>
FATHOM_DEVICE void load_matrices(bf16_pair (&to)[4], const shared_array<const bf16_pair>& row) {
#if defined(FATHOM_CUDA_EMULATED)
  const bf16_pair* const mine = row.pointer(0, 4);
  pack<bf16_pair, 4> result{};
  const auto combine = [](const void* const* in, void* const* out) {
    for (unsigned lane = 0; lane < 32; ++lane)
      for (unsigned matrix = 0; matrix < 4; ++matrix) {
        const auto element = [&](unsigned r, unsigned c) -> bf16_pair {
          const bf16_pair both = (*static_cast<const bf16_pair* const*>(in[8 * matrix + r]))[c / 2];
          return c % 2 == 0 ? both & 0xFFFFu : both >> 16;
        };
        const unsigned g = lane / 4, t = lane % 4 * 2;
        static_cast<pack<bf16_pair, 4>*>(out[lane])->v[matrix] =
            Transposed ? element(t, g) | element(t + 1, g) << 16 : element(g, t) | element(g, t + 1) << 16;
      }
  };
  emulator::machine::here().warp_collective("ldmatrix", mine, result, combine);
  for (int e = 0; e < 4; ++e) to[e] = result.v[e];
#else
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row.pointer(0, 4)));
  if constexpr (Transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(address)
                 : "memory");
#endif
}

}  // namespace fathom::cuda::kernels
