# SPDX-License-Identifier: Apache-2.0
"""Serves timings of OpenFold's EvoformerBlock (AlphaFold2 sizes, bfloat16) and of PyTorch's attention on a GPU.

Needs PyTorch with CUDA and a checkout of OpenFold: PEER_OPENFOLD=DIR python openfold_block_cuda.py
Reads one order per line and answers with one number:
  forward S N | backward S N          seconds of one run (backward: forward and backward)
  attention forward|backward B H N C  seconds of scaled_dot_product_attention with an additive bias [1, H, N, N]
  memory                              bytes that the last run took at most beyond what was there before
  compile                             1 where torch.compile serves the block from here on, 0 where it does not
"""
import contextlib
import os
import sys
import time

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries print is no answer

import torch  # noqa: E402
from openfold_evoformer import drawn_block  # noqa: E402

gpu = torch.device("cuda")
block = drawn_block().to(gpu, torch.bfloat16)
served = block


def answer(value):
    print(value, file=answers, flush=True)


def measured(run):
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    run()
    torch.cuda.synchronize()
    return time.perf_counter() - start, torch.cuda.max_memory_allocated() - before


def draw(*shape):
    return torch.randn(*shape, device=gpu, dtype=torch.bfloat16)


def block_run(what, s, n):
    m, z = draw(1, s, n, 256), draw(1, n, n, 128)
    m_mask, z_mask = torch.ones_like(m[..., 0]), torch.ones_like(z[..., 0])
    if what == "forward":
        def run():
            with torch.no_grad():
                served(m, z, m_mask, z_mask)
    else:
        m.requires_grad_()
        z.requires_grad_()
        block.zero_grad(set_to_none=True)

        def run():
            out = served(m, z, m_mask, z_mask)
            (out[0].float().sum() + out[1].float().sum()).backward()
    return run


def attention_run(what, b, h, n, c):
    q, k, v = (draw(b, h, n, c).requires_grad_(what == "backward") for _ in range(3))
    bias = draw(1, h, n, n).requires_grad_(what == "backward")

    def run():
        with contextlib.nullcontext() if what == "backward" else torch.no_grad():
            out = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=bias)
            if what == "backward":
                out.sum().backward()
    return run


answer(f"OpenFold block in bfloat16, PyTorch {torch.__version__}, {torch.cuda.get_device_name()}")
used = 0
for line in sys.stdin:
    words = line.split()
    try:
        if words[0] == "memory":
            answer(used)
        elif words[0] == "compile":
            served = torch.compile(block)
            with torch.no_grad():
                measured(block_run("forward", 128, 256))
            answer(1)
        else:
            make = attention_run if words[0] == "attention" else block_run
            arguments = words[1:] if words[0] == "attention" else words
            seconds, used = measured(make(arguments[0], *map(int, arguments[1:])))
            answer(seconds)
    except Exception as problem:  # the caller goes on without this one
        print(f"{line.strip()}: {problem}", file=sys.stderr)
        if words[0] == "compile":
            served = block
        torch.cuda.empty_cache()
        answer(0 if words[0] == "compile" else "failed")
