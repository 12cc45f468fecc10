# SPDX-License-Identifier: Apache-2.0
# The warnings our own code is kept free of.
add_library(fathom_warnings INTERFACE)
target_compile_options(fathom_warnings INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow>
  # clang 19 warns inside libstdc++ 12's own std::stable_sort; nothing of ours is marked deprecated.
  $<$<AND:$<CXX_COMPILER_ID:Clang>,$<COMPILE_LANGUAGE:CXX>>:-Wno-deprecated-declarations>
  $<$<AND:$<BOOL:${FATHOM_WERROR}>,$<COMPILE_LANGUAGE:CXX>>:-Werror>)
