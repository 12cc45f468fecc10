#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes 1a3a.safetensors and T1034.safetensors in this folder with OpenFold's own feature pipeline.

    make_features.py OPENFOLD 1A3A_A3M T1034_A3M

OPENFOLD is a checkout of github.com/aqlaboratory/openfold (made with commit ce0029e1). Needs numpy, torch (1.13 used),
ml_collections, dm-tree, biopython, pandas, scipy
and modelcif. Each file holds the choice of rows that OpenFold drew and every feature that
follows from it:

1a3a   the alignment in examples/data, unmasked, 64 clusters; `row_id` etc. index the alignment without repeated rows
       (in.*). out.msa_feat holds the rows `in.shown` only, to keep the file small; out.cluster_of is complete.
T1034  first 64 rows and 40 columns of the alignment, which is stored as text (in.a3m), with masked positions.
"""
import json
import struct
import sys
import types
from pathlib import Path

import numpy as np
import torch


def load_openfold(checkout):
    """Imports the data modules without openfold/__init__, which would pull in the whole model."""
    for name in ("openfold", "openfold.data", "openfold.np", "openfold.utils"):
        package = types.ModuleType(name)
        package.__path__ = [str(Path(checkout, *name.split(".")))]
        sys.modules[name] = package
    from openfold.data import data_pipeline, data_transforms, input_pipeline, parsers

    return types.SimpleNamespace(
        transforms=data_transforms, compose=input_pipeline.compose, parsers=parsers, raw=data_pipeline
    )


def first_columns(row, count):
    """The first `count` aligned columns of an a3m row, insertions in front of them kept."""
    kept = []
    for letter in row:
        if not letter.islower():
            if count == 0:
                break
            count -= 1
        kept.append(letter)
    return "".join(kept)


def raw_features(of, a3m):
    """What OpenFold's data_pipeline makes of one alignment, before any transform."""
    msa = of.parsers.parse_a3m(a3m)
    query = msa.sequences[0]
    raw = {**of.raw.make_sequence_features(query, "query", len(query)), **of.raw.make_msa_features([msa])}
    raw["deletion_matrix"] = raw.pop("deletion_matrix_int").astype(np.float32)
    return {name: torch.tensor(value) for name, value in raw.items() if value.dtype != object}


def run(of, a3m, clusters, extra, masked, seed):
    """Runs the transforms of prediction mode in OpenFold's order and records which rows were drawn."""
    t = of.transforms
    if "row_id" not in t.MSA_FEATURE_NAMES:
        t.MSA_FEATURE_NAMES.append("row_id")  # so that sampling carries the row numbers along
    torch.manual_seed(seed)

    steps = [
        t.cast_to_64bit_ints,
        t.correct_msa_restypes,
        t.squeeze_features,
        t.randomly_replace_msa_with_unknown(0.0),
        t.make_seq_mask,
        t.make_msa_mask,
        t.make_hhblits_profile,
    ]
    protein = of.compose(steps)(raw_features(of, a3m))
    protein["row_id"] = torch.arange(protein["msa"].shape[0])
    protein = t.sample_msa(clusters, keep_extra=True, seed=None)(protein)
    if masked:
        shares = types.SimpleNamespace(uniform_prob=0.1, profile_prob=0.1, same_prob=0.1)
        protein = t.make_masked_msa(shares, 0.15, seed=None)(protein)
    protein = t.summarize_clusters()(t.nearest_neighbor_clusters()(protein))
    others = protein["extra_row_id"].clone()
    protein = t.make_msa_feat()(t.crop_extra_msa(extra)(protein))

    chosen = {
        "in.clusters": protein["row_id"].to(torch.int32),
        "in.others": others.to(torch.int32),
        "in.extra": protein["extra_row_id"].to(torch.int32),
    }
    if masked:
        chosen["in.tokens"] = protein["msa"].to(torch.uint8)
        chosen["in.bert_mask"] = protein["bert_mask"].to(torch.uint8)
    results = {
        "out.cluster_of": protein["extra_cluster_assignment"].to(torch.uint8),
        "out.extra_msa": protein["extra_msa"].to(torch.uint8),
        "out.aatype": protein["aatype"].to(torch.uint8),
        "out.residue_index": protein["residue_index"].to(torch.int32),
        "out.true_msa": protein.get("true_msa", protein["msa"]).to(torch.uint8),
    }
    for name in ("msa_feat", "msa_mask", "seq_mask", "target_feat", "hhblits_profile",
                 "extra_has_deletion", "extra_deletion_value", "extra_msa_mask"):
        results["out." + name] = protein[name].to(torch.float32)
    # 0/1 arrays need no four bytes each
    for name in ("out.msa_mask", "out.seq_mask", "out.target_feat", "out.extra_has_deletion", "out.extra_msa_mask"):
        assert torch.equal(results[name], (results[name] != 0).float())
        results[name] = results[name].to(torch.uint8)
    return chosen, results


def write(path, tensors, note):
    kinds = {"float32": "F32", "int32": "I32", "uint8": "U8"}
    arrays = {k: np.ascontiguousarray(v) for k, v in tensors.items()}
    header, offset = {"__metadata__": {"note": note}}, 0
    names = sorted(arrays, key=lambda k: (-arrays[k].itemsize, k))
    for name in names:
        a = arrays[name]
        span = [offset, offset + a.nbytes]
        header[name] = {"dtype": kinds[str(a.dtype)], "shape": list(a.shape), "data_offsets": span}
        offset += a.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + b"".join(arrays[name].tobytes() for name in names))
    print(path, path.stat().st_size, "bytes")


def main():
    checkout, a3m_1a3a, a3m_t1034 = sys.argv[1:]
    here = Path(__file__).resolve().parent
    of = load_openfold(checkout)
    note = "OpenFold's data_transforms; see make_features.py"

    chosen, results = run(of, Path(a3m_1a3a).read_text(), clusters=64, extra=8, masked=False, seed=1)
    sizes = torch.bincount(results["out.cluster_of"].long(), minlength=64)
    shown = torch.tensor([0, int(sizes.argmax())])
    results["out.msa_feat"] = results["out.msa_feat"][shown]
    write(here / "1a3a.safetensors", {**chosen, **results, "in.shown": shown.to(torch.int32)}, note)

    sequences, names = of.parsers.parse_fasta(Path(a3m_t1034).read_text())
    a3m = "".join(f">{name}\n{first_columns(row, 40)}\n" for name, row in zip(names[:64], sequences[:64]))
    chosen, results = run(of, a3m, clusters=8, extra=6, masked=True, seed=2)
    text = torch.tensor(list(a3m.encode()), dtype=torch.uint8)
    write(here / "T1034.safetensors", {**chosen, **results, "in.a3m": text}, note)


if __name__ == "__main__":
    main()
