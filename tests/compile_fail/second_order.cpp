// expect: fathom: autodiff<autodiff<B>> is not supported
#include <fathom/autodiff/autodiff.hpp>
#include <fathom/backend/reference.hpp>

int main() { fathom::autodiff<fathom::autodiff<fathom::reference<double>>> twice; }
