// SPDX-License-Identifier: Apache-2.0
// The one translation unit that holds the model.
#include "model/instantiate/model.hpp"

FATHOM_INSTANTIATE(fathom::fold_model<fathom::cpu<float>, instantiated_dims>);
