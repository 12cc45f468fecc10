// expect: fathom: a module that owns a bare tensor must say how it starts
#include <fathom/backend/reference.hpp>
#include <fathom/nn/initialise.hpp>

struct mine {
  using backend_type = fathom::reference<double>;
  fathom::tensor<backend_type, 1> weight;
#ifdef FATHOM_WITHOUT_MISTAKE
  void initialise(const std::string&, const fathom::initialise_options&) {}
#endif
  void visit(auto&& v) { v("weight", weight); }
};

int main() { fathom::initialise(mine{}); }
