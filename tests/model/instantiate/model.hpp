// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fathom/backend/cpu.hpp>
#include <fathom/core/instantiate.hpp>
#include <fathom/model/fold_model.hpp>

struct instantiated_dims : fathom::small {
  static constexpr fathom::index_t c_m = 16, c_z = 16, c_s = 16;
};

FATHOM_EXTERN(fathom::fold_model<fathom::cpu<float>, instantiated_dims>);
