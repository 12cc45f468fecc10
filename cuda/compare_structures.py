# SPDX-License-Identifier: Apache-2.0
"""Prints the largest distance, in Angstrom, between equal atoms of two PDB files as they lie.

python3 compare_structures.py one.pdb other.pdb
"""
import math
import sys


def atoms(path):
    found = {}
    with open(path) as file:
        for line in file:
            if line.startswith("ATOM"):
                found[line[12:27]] = tuple(float(line[k:k + 8]) for k in (30, 38, 46))
    return found


one, other = atoms(sys.argv[1]), atoms(sys.argv[2])
if not one or one.keys() != other.keys():
    sys.exit("the two files do not hold the same atoms")
print(f"{max(math.dist(one[name], other[name]) for name in one):.4g}")
