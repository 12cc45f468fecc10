# SPDX-License-Identifier: Apache-2.0
# Install and export: CMake package (components io, onednn, thrust, cuda) and pkg-config files.
include(CMakePackageConfigHelpers)

set(fathom_cmake_dir "${CMAKE_INSTALL_DATADIR}/cmake/fathom")

install(TARGETS fathom fathom_io_headers fathom_io fathom_onednn fathom_thrust EXPORT fathom FILE_SET HEADERS)
install(FILES "${FATHOM_IO_SOURCE}" DESTINATION "${CMAKE_INSTALL_DATADIR}/fathom")
install(EXPORT fathom NAMESPACE fathom:: FILE fathomTargets.cmake DESTINATION "${fathom_cmake_dir}")
if(TARGET fathom_cuda)
  if(FATHOM_CUDA_HEADERS)
    install(TARGETS fathom_cuda EXPORT fathom_cuda FILE_SET HEADERS)
  else()
    install(TARGETS fathom_cuda EXPORT fathom_cuda)
  endif()
  install(EXPORT fathom_cuda NAMESPACE fathom:: FILE fathomCudaTargets.cmake DESTINATION "${fathom_cmake_dir}")
endif()

configure_package_config_file(cmake/fathomConfig.cmake.in fathomConfig.cmake
  INSTALL_DESTINATION "${fathom_cmake_dir}" NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(fathomConfigVersion.cmake
  VERSION "${PROJECT_VERSION}" COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES
  "${CMAKE_CURRENT_BINARY_DIR}/fathomConfig.cmake"
  "${CMAKE_CURRENT_BINARY_DIR}/fathomConfigVersion.cmake"
  cmake/FathomDependencies.cmake
  cmake/FathomCudaStandard.cmake
  DESTINATION "${fathom_cmake_dir}")

# What pkg-config can express: the core. fathom-io adds its libraries and names the source to compile once.
foreach(package IN ITEMS fathom fathom-io)
  configure_file(cmake/${package}.pc.in ${package}.pc @ONLY)
  install(FILES "${CMAKE_CURRENT_BINARY_DIR}/${package}.pc" DESTINATION "${CMAKE_INSTALL_DATADIR}/pkgconfig")
endforeach()
