# SPDX-License-Identifier: Apache-2.0
"""Serves timings of OpenFold's EvoformerBlock (AlphaFold2 sizes, float32) to bench_block.

Needs PyTorch and a checkout of OpenFold: PEER_OPENFOLD=DIR python openfold_block.py THREADS
Reads lines "forward S N" or "backward S N" (forward and backward) and answers with the seconds of one run.
"""
import os
import sys
import time

threads = int(sys.argv[1])
os.environ.setdefault("OMP_NUM_THREADS", str(threads))

import torch  # noqa: E402
from openfold_evoformer import drawn_block  # noqa: E402

torch.set_num_threads(threads)
block = drawn_block()
print(f"OpenFold block, PyTorch {torch.__version__}, {threads} threads", flush=True)

for line in sys.stdin:
    what, s, n = line.split()
    s, n = int(s), int(n)
    m, z = torch.randn(1, s, n, 256), torch.randn(1, n, n, 128)
    m_mask, z_mask = torch.ones(1, s, n), torch.ones(1, n, n)
    if what == "forward":
        with torch.no_grad():
            start = time.perf_counter()
            block(m, z, m_mask, z_mask)
            seconds = time.perf_counter() - start
    else:
        m.requires_grad_()
        z.requires_grad_()
        for p in block.parameters():
            p.grad = None
        start = time.perf_counter()
        out = block(m, z, m_mask, z_mask)
        (out[0].sum() + out[1].sum()).backward()
        seconds = time.perf_counter() - start
    print(seconds, flush=True)
