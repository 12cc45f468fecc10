// expect: fathom: a tree is a tensor, a number, a struct with
#include <fathom/tree/tree.hpp>

struct nothing {
  char* pointer;
#ifdef FATHOM_WITHOUT_MISTAKE
  double number = 0;
  void visit(auto&& v) { v("number", number); }
#endif
};

int main() {
  nothing x{};
  fathom::tree::for_each_named(x, [](const auto&, const auto&) {});
}
