# SPDX-License-Identifier: Apache-2.0
# CMake 3.25.0 and 3.25.1 (Debian 12) do not know that nvcc takes -std=c++20 and drop a C++20 requirement without a word.
# A macro, to be called after enable_language(CUDA), by us and by projects that compile fathom in .cu files.
macro(fathom_enable_cuda20)
  if(CMAKE_CUDA_COMPILER_ID STREQUAL "NVIDIA" AND NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
    foreach(list IN ITEMS CMAKE_CUDA_COMPILE_FEATURES CMAKE_CUDA20_COMPILE_FEATURES)
      if(NOT "cuda_std_20" IN_LIST ${list})
        list(APPEND ${list} cuda_std_20)
      endif()
    endforeach()
  endif()
endmacro()
