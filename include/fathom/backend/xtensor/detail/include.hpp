// SPDX-License-Identifier: Apache-2.0
// The only place that includes xtensor: its headers moved in 0.26.
#pragma once

#if __has_include(<xtensor/containers/xtensor.hpp>)
#include <xtensor/containers/xbuffer_adaptor.hpp>
#include <xtensor/containers/xtensor.hpp>
#include <xtensor/core/xiterator.hpp>
#else
#include <xtensor/xbuffer_adaptor.hpp>
#include <xtensor/xiterator.hpp>
#include <xtensor/xtensor.hpp>
#endif
