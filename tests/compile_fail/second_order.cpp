// expect: fathom: autodiff<autodiff<B>> is not supported
#include <fathom/autodiff/autodiff.hpp>
#include <fathom/backend/reference.hpp>

#ifdef FATHOM_WITHOUT_MISTAKE
int main() { fathom::autodiff<fathom::reference<double>> once; }
#else
int main() { fathom::autodiff<fathom::autodiff<fathom::reference<double>>> twice; }
#endif
