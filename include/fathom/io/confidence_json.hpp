// SPDX-License-Identifier: Apache-2.0
// Confidences as JSON in the formats of the AlphaFold Protein Structure Database.
#pragma once

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include <fathom/core/error.hpp>
#include <fathom/core/host_tensor.hpp>
#include <nlohmann/json.hpp>

namespace fathom::io {

/// {"residueNumber": [1, ...], "confidenceScore": [...], "confidenceCategory": ["H", ...]} of pLDDT [i] in 0..100:
/// scores with two decimals, categories D below 50, L below 70, M below 90, H from there on.
inline std::string plddt_json(const std::vector<double>& plddt) {
  nlohmann::ordered_json::array_t number, score, category;
  for (std::size_t i = 0; i < plddt.size(); ++i) {
    const double rounded = std::round(plddt[i] * 100) / 100;
    number.push_back(i + 1);
    score.push_back(rounded);
    category.push_back(rounded < 50 ? "D" : rounded < 70 ? "L" : rounded < 90 ? "M" : "H");
  }
  nlohmann::ordered_json file;
  file["residueNumber"] = number;
  file["confidenceScore"] = score;
  file["confidenceCategory"] = category;
  return file.dump() + "\n";
}

/// [{"predicted_aligned_error": [[...], ...], "max_predicted_aligned_error": largest}] of errors [i, j] in Angstrom,
/// rounded to whole numbers; row i for the frame of residue i. Throws shape_error for an array that is not square.
inline std::string pae_json(const host_tensor<double>& pae, double largest) {
  if (pae.rank() != 2 || pae.shape[0] != pae.shape[1])
    throw shape_error(fathom::detail::concat("pae_json: expected errors [N, N], got ", to_string_extents(pae.shape)));
  nlohmann::ordered_json::array_t rows;
  for (index_t i = 0; i < pae.shape[0]; ++i) {
    nlohmann::ordered_json::array_t row;
    for (index_t j = 0; j < pae.shape[1]; ++j) row.push_back(std::lround(pae(i, j)));
    rows.push_back(row);
  }
  nlohmann::ordered_json entry;
  entry["predicted_aligned_error"] = rows;
  entry["max_predicted_aligned_error"] = largest;
  return nlohmann::ordered_json::array({entry}).dump() + "\n";
}

}  // namespace fathom::io
