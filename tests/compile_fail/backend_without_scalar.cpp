// expect: fathom: a backend names its real number type
#include <fathom/core/diagnose.hpp>

#include <memory>

struct mine {
#ifdef FATHOM_WITHOUT_MISTAKE
  using scalar = float;
#endif
  template <class T>
  std::shared_ptr<T> allocate(fathom::index_t n) const {
    return std::shared_ptr<T>(new T[static_cast<std::size_t>(n)], std::default_delete<T[]>());
  }
  bool operator==(const mine&) const = default;
  void synchronize() const {}
};

int main() { return fathom::check_backend<mine>() ? 0 : 1; }
