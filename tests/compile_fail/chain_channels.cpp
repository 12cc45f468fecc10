// expect: fathom: the output of one layer feeds a layer that expects another number of channels
#include <fathom/backend/reference.hpp>
#include <fathom/nn/chain.hpp>

using B = fathom::reference<double>;

int main() {
  const fathom::linear<B, 256, 128> first{B{}};
#ifdef FATHOM_WITHOUT_MISTAKE
  const fathom::layer_norm<B, 128> second{B{}};
#else
  const fathom::layer_norm<B, 64> second{B{}};
#endif
  fathom::chain(fathom::zeros<2>(B{}, {3, 256}), first, second);
}
