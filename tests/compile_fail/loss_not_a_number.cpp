// expect: fathom: value_and_gradient needs a function that returns one number
#include <fathom/autodiff/gradient.hpp>
#include <fathom/backend/reference.hpp>
#include <fathom/op/elementwise.hpp>

int main() {
  const auto x = fathom::zeros<2>(fathom::reference<double>{}, {2, 2});
  fathom::value_and_gradient([](const auto& y) { return y * 2.0; }, x);
}
