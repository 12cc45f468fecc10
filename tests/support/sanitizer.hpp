// SPDX-License-Identifier: Apache-2.0
// FATHOM_SANITIZED: 1 where a sanitizer brings an allocator and instrumentation of its own, under g++ and clang.
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FATHOM_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define FATHOM_SANITIZED 1
#endif
#endif
#if !defined(FATHOM_SANITIZED)
#define FATHOM_SANITIZED 0
#endif
