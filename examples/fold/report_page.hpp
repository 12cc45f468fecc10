// SPDX-License-Identifier: Apache-2.0
// report.html: one page with everything in it, for any browser and no network.
#pragma once

#include <optional>
#include <string>

#include <fathom/io/alignment.hpp>
#include <fathom/io/protein.hpp>

#include "fold_run.hpp"
#include "scores.hpp"

/// The page. What it shows stands in it as JSON, in <script id="data">.
std::string report_page(const fold_arguments& arguments, const fathom::io::alignment& alignment,
                        const fold_outcome& outcome, const std::optional<fathom::io::protein>& reference,
                        const std::optional<fold_scores>& scores);
