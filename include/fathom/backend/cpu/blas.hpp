// SPDX-License-Identifier: Apache-2.0
// The few BLAS entry points the library needs, under names of its own, and a matrix product on the calling thread.
#pragma once

#include <atomic>
#include <climits>
#include <cstdint>
#include <fathom/core/config.hpp>
#include <fathom/core/error.hpp>

// Own names with the symbols' labels: <cblas.h> and xtensor-blas declare the same enums and cannot meet in one file.
extern "C" {
#if defined(__GNUC__)
void fathom_cblas_sgemm(int, int, int, int, int, int, float, const float*, int, const float*, int, float, float*,
                        int) __asm__("cblas_sgemm");
void fathom_cblas_dgemm(int, int, int, int, int, int, double, const double*, int, const double*, int, double, double*,
                        int) __asm__("cblas_dgemm");
void fathom_openblas_set_num_threads(int) __asm__("openblas_set_num_threads") __attribute__((weak));
#if defined(FATHOM_WITH_ONEDNN)
int fathom_dnnl_sgemm(char, char, std::int64_t, std::int64_t, std::int64_t, float, const float*, std::int64_t,
                      const float*, std::int64_t, float, float*, std::int64_t) __asm__("dnnl_sgemm");
void fathom_omp_set_num_threads(int) __asm__("omp_set_num_threads") __attribute__((weak));
int fathom_omp_get_max_threads() __asm__("omp_get_max_threads") __attribute__((weak));
#endif
#else
#error "fathom: the BLAS prototypes need a compiler with asm labels (g++ or clang)"
#endif
}

namespace fathom::cpu_kernels {

/// Keeps OpenBLAS on the calling thread, for the whole process: the library cuts its products into tiles itself, and
/// OpenBLAS' results change with its own number of threads.
inline void use_single_threaded_blas() {
  static const bool once = [] {
    if (fathom_openblas_set_num_threads != nullptr) fathom_openblas_set_num_threads(1);
    return true;
  }();
  static_cast<void>(once);
}

namespace detail {

inline constexpr int cblas_row_major = 101, cblas_no_trans = 111, cblas_trans = 112;

inline int blas_int(index_t value) {
  if (value > INT_MAX)
    throw shape_error(fathom::detail::concat("gemm: an extent or row stride of ", value, " exceeds BLAS' limit of ",
                                             INT_MAX, ": split the tensor along its leading axis"));
  return static_cast<int>(value);
}

inline void call_blas(bool trans_a, bool trans_b, index_t m, index_t n, index_t k, double alpha, const double* a,
                      index_t lda, const double* b, index_t ldb, double beta, double* c, index_t ldc) {
  fathom_cblas_dgemm(cblas_row_major, trans_a ? cblas_trans : cblas_no_trans, trans_b ? cblas_trans : cblas_no_trans,
                     blas_int(m), blas_int(n), blas_int(k), alpha, a, blas_int(lda), b, blas_int(ldb), beta, c,
                     blas_int(ldc));
}

inline void call_cblas(bool trans_a, bool trans_b, index_t m, index_t n, index_t k, float alpha, const float* a,
                       index_t lda, const float* b, index_t ldb, float beta, float* c, index_t ldc) {
  fathom_cblas_sgemm(cblas_row_major, trans_a ? cblas_trans : cblas_no_trans, trans_b ? cblas_trans : cblas_no_trans,
                     blas_int(m), blas_int(n), blas_int(k), alpha, a, blas_int(lda), b, blas_int(ldb), beta, c,
                     blas_int(ldc));
}

#if defined(FATHOM_WITH_ONEDNN)
// oneDNN's sgemm runs OpenMP regions of its own; their size is a setting of the calling thread.
class one_omp_thread {
 public:
  one_omp_thread() {
    if (fathom_omp_get_max_threads != nullptr && fathom_omp_set_num_threads != nullptr) {
      before_ = fathom_omp_get_max_threads();
      if (before_ != 1) fathom_omp_set_num_threads(1);
    }
  }
  ~one_omp_thread() {
    if (before_ != 1) fathom_omp_set_num_threads(before_);
  }
  one_omp_thread(const one_omp_thread&) = delete;
  one_omp_thread& operator=(const one_omp_thread&) = delete;

 private:
  int before_ = 1;
};

inline void call_blas(bool trans_a, bool trans_b, index_t m, index_t n, index_t k, float alpha, const float* a,
                      index_t lda, const float* b, index_t ldb, float beta, float* c, index_t ldc) {
  // Measured: small products that CBLAS need not pack are faster there.
  if (!trans_a && m * n * k <= 1000000)
    return call_cblas(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  const one_omp_thread guard;
  const int status =
      fathom_dnnl_sgemm(trans_a ? 'T' : 'N', trans_b ? 'T' : 'N', m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  if (status != 0)
    throw error(
        fathom::detail::concat("gemm: oneDNN refused a product of ", m, " x ", n, " x ", k, " with status ", status));
}
#else
inline void call_blas(bool trans_a, bool trans_b, index_t m, index_t n, index_t k, float alpha, const float* a,
                      index_t lda, const float* b, index_t ldb, float beta, float* c, index_t ldc) {
  call_cblas(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
#endif

// BLAS wants row strides of at least the row's length, even where there is one row only.
inline index_t row_stride(index_t stride, index_t rows, index_t columns) {
  return rows <= 1 && stride < columns ? columns : stride;
}

}  // namespace detail

#if defined(FATHOM_COUNT_PRODUCTS)
/// Multiply-adds of all products since the start: benchmarks of whole programs divide by it.
inline std::atomic<std::int64_t> multiply_adds{0};
#endif

/// c[m, n] = alpha op(a) op(b) + beta c on the calling thread; row-major with row strides lda, ldb, ldc; op transposes
/// when asked (a is then [k, m], b is [n, k]). With beta = 0 what c holds is never read.
template <class T>
void gemm_serial(bool trans_a, bool trans_b, index_t m, index_t n, index_t k, T alpha, const T* a, index_t lda,
                 const T* b, index_t ldb, T beta, T* c, index_t ldc) {
  if (m <= 0 || n <= 0) return;
  if (k <= 0) {
    for (index_t i = 0; i < m; ++i)
      for (index_t j = 0; j < n; ++j) c[i * ldc + j] = beta == T(0) ? T(0) : beta * c[i * ldc + j];
    return;
  }
#if defined(FATHOM_COUNT_PRODUCTS)
  multiply_adds.fetch_add(m * n * k, std::memory_order_relaxed);
#endif
  use_single_threaded_blas();
  detail::call_blas(
      trans_a, trans_b, m, n, k, alpha, a, trans_a ? detail::row_stride(lda, k, m) : detail::row_stride(lda, m, k), b,
      trans_b ? detail::row_stride(ldb, n, k) : detail::row_stride(ldb, k, n), beta, c, detail::row_stride(ldc, m, n));
}

}  // namespace fathom::cpu_kernels
