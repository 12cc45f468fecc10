# SPDX-License-Identifier: Apache-2.0
# The library's targets: fathom (core), fathom::io, fathom::onednn, fathom::thrust. None of them sets -march.

fathom_find_blas()
find_package(Threads REQUIRED)

add_library(fathom INTERFACE)
add_library(fathom::fathom ALIAS fathom)
target_compile_features(fathom INTERFACE cxx_std_20)
target_sources(fathom INTERFACE
  FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}/include" FILES ${FATHOM_HEADERS})
target_link_libraries(fathom INTERFACE BLAS::BLAS Threads::Threads)

if(FATHOM_XTENSOR_ROOT)
  # A checkout has no package configuration until it is installed: its include folders are enough.
  set(xtensor_includes "")
  foreach(candidate IN ITEMS "" /xtensor /xtl /xtensor-blas /xsimd /../xtl /../xtensor-blas)
    if(IS_DIRECTORY "${FATHOM_XTENSOR_ROOT}${candidate}/include")
      list(APPEND xtensor_includes "${FATHOM_XTENSOR_ROOT}${candidate}/include")
    endif()
  endforeach()
  if(NOT xtensor_includes)
    message(FATAL_ERROR "FATHOM_XTENSOR_ROOT=${FATHOM_XTENSOR_ROOT} holds no include folder: "
      "name a checkout of xtensor, or a folder with the checkouts xtensor, xtl and xtensor-blas in it.")
  endif()
  target_include_directories(fathom SYSTEM INTERFACE "$<BUILD_INTERFACE:${xtensor_includes}>")
  target_link_libraries(fathom INTERFACE "$<INSTALL_INTERFACE:xtensor;xtensor-blas>")
else()
  fathom_find_xtensor()
  target_link_libraries(fathom INTERFACE xtensor xtensor-blas "$<INSTALL_INTERFACE:$<TARGET_NAME_IF_EXISTS:xsimd>>")
  if(TARGET xsimd)
    target_link_libraries(fathom INTERFACE "$<BUILD_INTERFACE:xsimd>")
  endif()
endif()

# Files: alignments, structures, weights. gemmi's reader costs half a minute to compile, so the header that holds it is
# compiled by one source that comes with fathom::io; fathom_io_headers is the same without that source.
fathom_find_io()
add_library(fathom_io_headers INTERFACE)
target_link_libraries(fathom_io_headers INTERFACE fathom)
add_library(fathom_io INTERFACE)
add_library(fathom::io ALIAS fathom_io)
set_target_properties(fathom_io PROPERTIES EXPORT_NAME io)
set_target_properties(fathom_io_headers PROPERTIES EXPORT_NAME io_headers)
set(FATHOM_IO_SOURCE "${PROJECT_SOURCE_DIR}/cmake/structure_io.cpp")
target_link_libraries(fathom_io INTERFACE fathom_io_headers)
if(EXISTS "${PROJECT_SOURCE_DIR}/include/fathom/io/structure_gemmi.hpp")
  target_sources(fathom_io INTERFACE
    "$<BUILD_INTERFACE:${FATHOM_IO_SOURCE}>"
    "$<INSTALL_INTERFACE:$<INSTALL_PREFIX>/${CMAKE_INSTALL_DATADIR}/fathom/structure_io.cpp>")
endif()
target_link_libraries(fathom_io_headers INTERFACE
  ZLIB::ZLIB nlohmann_json::nlohmann_json fathom_gemmi)
if(NOT fathom_io_FOUND)
  list(JOIN fathom_io_missing ", " missing)
  message(STATUS "fathom::io cannot be linked here, missing: ${missing}")
endif()

# Matrix products through oneDNN instead of CBLAS.
fathom_find_onednn()
add_library(fathom_onednn INTERFACE)
add_library(fathom::onednn ALIAS fathom_onednn)
set_target_properties(fathom_onednn PROPERTIES EXPORT_NAME onednn)
target_link_libraries(fathom_onednn INTERFACE fathom fathom_dnnl)
target_compile_definitions(fathom_onednn INTERFACE FATHOM_WITH_ONEDNN=1)
if(NOT fathom_onednn_FOUND)
  message(STATUS "fathom::onednn cannot be linked here, missing: oneDNN (libdnnl-dev)")
endif()

# The Thrust backend: host system CPP, device system by choice.
fathom_find_thrust()
set(default_device CPP)
if("OMP" IN_LIST fathom_thrust_devices)
  set(default_device OMP)
endif()
set(FATHOM_THRUST_DEVICE "${default_device}" CACHE STRING "Thrust's device system under the host compiler: CPP, OMP or TBB")
set_property(CACHE FATHOM_THRUST_DEVICE PROPERTY STRINGS CPP OMP TBB)
if(NOT FATHOM_THRUST_DEVICE IN_LIST fathom_thrust_devices)
  message(FATAL_ERROR "FATHOM_THRUST_DEVICE=${FATHOM_THRUST_DEVICE} is not available here, found: ${fathom_thrust_devices} "
    "(OMP needs OpenMP, TBB needs libtbb-dev).")
endif()
add_library(fathom_thrust INTERFACE)
add_library(fathom::thrust ALIAS fathom_thrust)
set_target_properties(fathom_thrust PROPERTIES EXPORT_NAME thrust)
target_link_libraries(fathom_thrust INTERFACE fathom fathom_thrust_headers)
# A program may use every device system that is there, whichever is the default.
foreach(runtime IN ITEMS OpenMP::OpenMP_CXX TBB::tbb)
  if(TARGET ${runtime})
    target_link_libraries(fathom_thrust INTERFACE "$<BUILD_INTERFACE:${runtime}>")
  endif()
  target_link_libraries(fathom_thrust INTERFACE "$<INSTALL_INTERFACE:$<TARGET_NAME_IF_EXISTS:${runtime}>>")
endforeach()
target_compile_definitions(fathom_thrust INTERFACE
  FATHOM_WITH_THRUST=1
  THRUST_HOST_SYSTEM=THRUST_HOST_SYSTEM_CPP
  THRUST_DEVICE_SYSTEM=THRUST_DEVICE_SYSTEM_${FATHOM_THRUST_DEVICE})
if(NOT fathom_thrust_FOUND)
  message(STATUS "fathom::thrust cannot be linked here, missing: Thrust (libthrust-dev libcub-dev)")
endif()
