// expect: fathom: a module names its backend
#include <fathom/core/diagnose.hpp>

struct mine {
#ifdef FATHOM_WITHOUT_MISTAKE
  using backend_type = int;
#endif
  int x = 0;
  void visit(auto&& v) { v("x", x); }
};

int main() { return fathom::check_module<mine>() ? 0 : 1; }
