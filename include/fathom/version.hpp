// SPDX-License-Identifier: Apache-2.0
// Version of the library, for the preprocessor and for programs. CMake reads it from here, so it is written once.
#pragma once

#define FATHOM_VERSION_MAJOR 0
#define FATHOM_VERSION_MINOR 1
#define FATHOM_VERSION_PATCH 0

/// 10000 * major + 100 * minor + patch, so that versions compare as numbers.
#define FATHOM_VERSION (10000 * FATHOM_VERSION_MAJOR + 100 * FATHOM_VERSION_MINOR + FATHOM_VERSION_PATCH)

#define FATHOM_DETAIL_STRING(text) #text
#define FATHOM_DETAIL_VERSION_STRING(major, minor, patch) \
  FATHOM_DETAIL_STRING(major) "." FATHOM_DETAIL_STRING(minor) "." FATHOM_DETAIL_STRING(patch)

namespace fathom {

/// "0.1.0"
inline constexpr const char* version_string =
    FATHOM_DETAIL_VERSION_STRING(FATHOM_VERSION_MAJOR, FATHOM_VERSION_MINOR, FATHOM_VERSION_PATCH);

}  // namespace fathom
