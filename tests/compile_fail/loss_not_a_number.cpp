// expect: fathom: value_and_gradient needs a function that returns one number
#include <fathom/autodiff/gradient.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/op/elementwise.hpp>
#include <fathom/op/reduction.hpp>

int main() {
  const auto x = fathom::zeros<2>(fathom::reference<double>{}, {2, 2});
#ifdef FATHOM_WITHOUT_MISTAKE
  fathom::value_and_gradient([](const auto& y) { return fathom::sum(y * 2.0); }, x);
#else
  fathom::value_and_gradient([](const auto& y) { return y * 2.0; }, x);
#endif
}
