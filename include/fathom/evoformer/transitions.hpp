// SPDX-License-Identifier: Apache-2.0
// MSA transition (AF2 Suppl. Alg. 9) and pair transition (Alg. 15): one layer at two widths.
#pragma once

#include <fathom/nn/transition.hpp>

namespace fathom {

template <backend B, index_t Cm, index_t N>
using msa_transition = transition<B, Cm, N>;

template <backend B, index_t Cz, index_t N>
using pair_transition = transition<B, Cz, N>;

}  // namespace fathom
