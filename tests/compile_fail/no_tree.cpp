// expect: fathom: a tree is a tensor, a number, a struct with
#include <fathom/tree/tree.hpp>

struct nothing {
  char* pointer;
};

int main() {
  nothing x{};
  fathom::tree::for_each_named(x, [](const auto&, const auto&) {});
}
