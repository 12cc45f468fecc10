// SPDX-License-Identifier: Apache-2.0
// Preloaded into a PyTorch that was built on a generic BLAS (Debian's): its float32 products are computed by oneDNN, on
// PyTorch's own OpenMP threads. Column-major as BLAS has it: the transposed product with the operands exchanged.
//
//   g++ -O2 -shared -fPIC sgemm_by_onednn.cpp -o libsgemm_by_onednn.so -ldnnl
#include <oneapi/dnnl/dnnl.h>

extern "C" void sgemm_(const char* trans_a, const char* trans_b, const int* m, const int* n, const int* k,
                       const float* alpha, const float* a, const int* lda, const float* b, const int* ldb,
                       const float* beta, float* c, const int* ldc) {
  const auto transposes = [](char asked) { return asked == 'N' || asked == 'n' ? 'N' : 'T'; };
  if (*m > 0 && *n > 0)
    dnnl_sgemm(transposes(*trans_b), transposes(*trans_a), *n, *m, *k, *alpha, b, *ldb, a, *lda, *beta, c, *ldc);
}
