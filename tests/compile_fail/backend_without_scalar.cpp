// expect: fathom: a backend names its real number type
#include <fathom/core/diagnose.hpp>

struct mine {
  bool operator==(const mine&) const = default;
  void synchronize() const {}
};

int main() { return fathom::check_backend<mine>() ? 0 : 1; }
