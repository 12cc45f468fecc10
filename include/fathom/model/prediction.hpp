// SPDX-License-Identifier: Apache-2.0
// What a fold gives: a structure with confidences, and how the solve went.
#pragma once

#include <optional>
#include <vector>

#include <fathom/io/protein.hpp>
#include <fathom/model/depth_step.hpp>
#include <fathom/ode/solution.hpp>

namespace fathom {

/// Root mean square change of m, z and the frames' origins from the start of the last pass's trunk and structure module.
struct fold_displacement {
  double m = 0, z = 0, frames = 0;
};

/// How the trunk's solve went, over all passes.
struct fold_solution {
  ode::statistics stats;
  ode::status status = ode::status::success;
  std::vector<depth_step> steps;  ///< in order, all passes
};

/// What a head of aligned errors says (AF2 Suppl. 1.9.7).
struct predicted_errors {
  host_tensor<double> pae;  ///< [i, j] Angstrom, of residue j seen from the frame of residue i
  double largest = 0;       ///< the largest value that the head can give
  double ptm = 0;           ///< predicted TM-score
};

struct prediction {
  io::protein structure;             ///< atom37 positions in Angstrom, pLDDT (0..100) as B factors
  std::vector<double> plddt;         ///< [i]
  fold_solution solution;
  fold_displacement displacement;
  std::optional<predicted_errors> errors;  ///< where the model has the head

  /// io::write_mmcif("1a3a.cif", prediction)
  operator const io::protein&() const { return structure; }
};

}  // namespace fathom
