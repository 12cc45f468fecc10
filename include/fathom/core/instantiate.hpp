// SPDX-License-Identifier: Apache-2.0
// Compiling a model once per program: the heavy templates go into one translation unit, the others only refer to it.
//
//   // model.hpp, included everywhere
//   FATHOM_EXTERN(fathom::fold_model<fathom::cpu<float>, fathom::small>);
//   // model.cpp, one file of the program
//   FATHOM_INSTANTIATE(fathom::fold_model<fathom::cpu<float>, fathom::small>);
#pragma once

/// Says that another translation unit holds the members of this class template specialisation.
#define FATHOM_EXTERN(...) extern template struct __VA_ARGS__

/// Holds them. Both macros stand outside all namespaces and take the specialisation with its full name.
#define FATHOM_INSTANTIATE(...) template struct __VA_ARGS__
