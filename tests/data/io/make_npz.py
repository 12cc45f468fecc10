#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes stored.npz and deflated.npz in this folder with NumPy (1.26 used); tests/io/test_npz.cpp reads them."""
from pathlib import Path

import numpy as np

here = Path(__file__).resolve().parent
grid = np.arange(24).reshape(2, 3, 4)
arrays = {
    "alphafold/alphafold_iteration/evoformer//weights": (grid / 8).astype("<f4"),
    "column_major": np.asfortranarray(grid.astype("<f8")),
    "half": np.array([1.5, -2.0, np.inf], dtype="<f2"),
    "scalar": np.array(-7, dtype="<i8"),
    "flags": np.array([True, False]),
    "bytes": np.arange(250, 256).astype("u1"),
    "nothing": np.zeros((0, 3), dtype="<i4"),
}
np.savez(here / "stored.npz", **arrays)
np.savez_compressed(here / "deflated.npz", **arrays)
