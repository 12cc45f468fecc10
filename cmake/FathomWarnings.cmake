# SPDX-License-Identifier: Apache-2.0
# The warnings our own code is kept free of.
add_library(fathom_warnings INTERFACE)
target_compile_options(fathom_warnings INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow>
  $<$<AND:$<BOOL:${FATHOM_WERROR}>,$<COMPILE_LANGUAGE:CXX>>:-Werror>)
