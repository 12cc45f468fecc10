// SPDX-License-Identifier: Apache-2.0
// The room's umbrella: Evoformer and extra-MSA blocks and stacks, and the sub-layers they are made of.
#pragma once

#include <fathom/evoformer/dims.hpp>
#include <fathom/evoformer/evoformer_block.hpp>
#include <fathom/evoformer/evoformer_stack.hpp>
#include <fathom/evoformer/extra_msa_stack.hpp>
#include <fathom/evoformer/msa_column_attention.hpp>
#include <fathom/evoformer/msa_column_global_attention.hpp>
#include <fathom/evoformer/msa_row_attention.hpp>
#include <fathom/evoformer/outer_product_mean.hpp>
#include <fathom/evoformer/pair_stack.hpp>
#include <fathom/evoformer/state.hpp>
#include <fathom/evoformer/transitions.hpp>
#include <fathom/evoformer/triangle_attention.hpp>
#include <fathom/evoformer/triangle_multiplication.hpp>
