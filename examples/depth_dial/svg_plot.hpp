// SPDX-License-Identifier: Apache-2.0
// Error against evaluations, seconds and bytes, as three logarithmic panels of an SVG file.
#pragma once

#include <string>
#include <vector>

#include "dial.hpp"

/// `floor`: the reference's own uncertainty, a dashed line.
std::string svg_plot(const std::string& title, const std::vector<dial_point>& points, double floor);
