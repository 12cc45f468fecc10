// SPDX-License-Identifier: Apache-2.0
// What a user's first file looks like to the packaging tests: the headers are found, BLAS links.
#include <cstdio>

#include <fathom/core/config.hpp>
#include <fathom/core/host_tensor.hpp>
#include <fathom/version.hpp>

extern "C" double cblas_ddot(int n, const double* x, int incx, const double* y, int incy);

int main() {
  const fathom::host_tensor<double> x({2, 3}, 2.0);
  const double dot = cblas_ddot(static_cast<int>(x.size()), x.data.data(), 1, x.data.data(), 1);
  std::printf("fathom %s, %g\n", fathom::version_string, dot);
  return dot == 24.0 ? 0 : 1;
}
