# SPDX-License-Identifier: Apache-2.0
"""The Evoformer block of an OpenFold checkout (PEER_OPENFOLD) with AlphaFold2's sizes and drawn weights, for the peers."""
import os
import sys
import types

checkout = os.environ["PEER_OPENFOLD"]


def package(name, path=None):
    module = types.ModuleType(name)
    module.__path__ = [path] if path else []
    sys.modules[name] = module
    return module


# The packages' own __init__ files import the data pipeline and CUDA extensions; the block needs neither.
package("attn_core_inplace_cuda")
for name in ("openfold", "openfold.model", "openfold.utils", "openfold.utils.kernel"):
    package(name, os.path.join(checkout, *name.split(".")))
try:
    import scipy.stats  # noqa: F401
except ImportError:
    import numpy as np

    class truncnorm:
        @staticmethod
        def std(*_, **__):
            return 0.8796256610342398

        @staticmethod
        def rvs(*_, size=1, scale=1.0, **__):
            return scale * np.clip(np.random.randn(size), -2, 2)

    package("scipy")
    package("scipy.stats").truncnorm = truncnorm
    sys.modules["scipy"].stats = sys.modules["scipy.stats"]

import torch  # noqa: E402
from openfold.model.evoformer import EvoformerBlock  # noqa: E402


def drawn_block():
    torch.manual_seed(0)
    block = EvoformerBlock(
        c_m=256, c_z=128, c_hidden_msa_att=32, c_hidden_opm=32, c_hidden_mul=128, c_hidden_pair_att=32,
        no_heads_msa=8, no_heads_pair=4, transition_n=4, msa_dropout=0.15, pair_dropout=0.25, no_column_attention=False,
        opm_first=False, fuse_projection_weights=False, inf=1e9, eps=1e-3)
    with torch.no_grad():
        for p in block.parameters():
            p.copy_(torch.randn_like(p) * (0.5 / p.shape[-1] ** 0.5))
    return block.eval()
