# SPDX-License-Identifier: Apache-2.0
"""Serves timings and memory of torchdiffeq on the field of "Protein Folding with Neural ODEs" to bench_depth, bench_solve.

Needs PyTorch and a checkout of torchdiffeq: PEER_TORCHDIFFEQ=DIR python torchdiffeq_paper.py THREADS
Reads lines "WHAT S N STEPS" with WHAT forward (answers with the seconds of a solve by rk4 steps of equal length), direct or
adjoint (the same with its gradient) or memory_direct, memory_adjoint (answers with the peak resident megabytes beyond those before). The field
is written out here with random weights: same sizes, same operations.
"""
import os
import resource
import sys
import time
import types

threads = int(sys.argv[1])
os.environ.setdefault("OMP_NUM_THREADS", str(threads))
sys.path.insert(0, os.environ["PEER_TORCHDIFFEQ"])
try:
    import scipy.integrate  # noqa: F401
except ImportError:  # torchdiffeq wraps a solver of it that is not used here
    for name in ("scipy", "scipy.integrate"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["scipy.integrate"].solve_ivp = None

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torchdiffeq import odeint, odeint_adjoint  # noqa: E402

C_M, C_Z, HIDDEN, HEADS, OUTER = 256, 128, 64, 4, 32


def transition(channels):
    return nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, 4 * channels), nn.ReLU(),
                         nn.Linear(4 * channels, channels))


class Field(nn.Module):
    def __init__(self):
        super().__init__()
        self.row_norm, self.col_norm = nn.LayerNorm(C_M), nn.LayerNorm(C_M)
        self.bias = nn.Sequential(nn.LayerNorm(C_Z), nn.Linear(C_Z, HEADS))
        self.row_qkv, self.row_gate, self.row_out = nn.Linear(C_M, 3 * HIDDEN), nn.Linear(C_M, HIDDEN), nn.Linear(HIDDEN, C_M)
        self.col_proj, self.col_gate, self.col_out = nn.Linear(C_M, HIDDEN), nn.Linear(C_M, HIDDEN), nn.Linear(HIDDEN, C_M)
        self.m_transition, self.z_transition = transition(C_M), transition(C_Z)
        self.outer_norm, self.outer_a, self.outer_b = nn.LayerNorm(C_M), nn.Linear(C_M, OUTER), nn.Linear(C_M, OUTER)
        self.outer_out = nn.Linear(OUTER, C_Z)
        self.tri_norm, self.tri_a, self.tri_b = nn.LayerNorm(C_Z), nn.Linear(C_Z, HIDDEN), nn.Linear(C_Z, HIDDEN)
        self.tri_gate, self.tri_out = nn.Linear(C_Z, C_Z), nn.Linear(HIDDEN, C_Z)
        self.gates = nn.Sequential(nn.Linear(1, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, 2), nn.Sigmoid())

    def forward(self, t, y):
        m0, z0 = y
        mix = self.gates(t.reshape(1).to(m0.dtype))
        x = self.row_norm(m0)
        s, n, _ = x.shape
        q, k, v = (u.reshape(s, n, HEADS, -1) for u in self.row_qkv(x).chunk(3, -1))
        logits = torch.einsum("sihc,sjhc->shij", q, k) / (HIDDEN // HEADS) ** 0.5 + self.bias(z0).permute(2, 0, 1)
        update = torch.einsum("shij,sjhc->sihc", logits.softmax(-1), v).reshape(s, n, HIDDEN)
        m = m0 + self.row_out(update * self.row_gate(x).sigmoid())
        x = self.col_norm(m).transpose(0, 1)
        p = self.col_proj(x)
        update = torch.softmax(p @ p.transpose(1, 2) / HIDDEN ** 0.5, -1) @ p
        m = m + self.col_out(update * self.col_gate(x).sigmoid()).transpose(0, 1)
        m = m + self.m_transition(m)
        x = self.outer_norm(m)
        z = z0 + self.outer_out((self.outer_a(x)[:, :, None] * self.outer_b(x)[:, None]).mean(0))
        x = self.tri_norm(z)
        product = torch.einsum("ikd,kjd->ijd", self.tri_a(x).sigmoid(), self.tri_b(x).sigmoid())
        product = torch.layer_norm(product, (HIDDEN,))
        z = z + self.tri_out(product) * self.tri_gate(x).sigmoid()
        z = z + self.z_transition(z)
        return (m - m0) * mix[0], (z - z0) * mix[1]


torch.set_num_threads(threads)
torch.manual_seed(0)
field = Field()


def forward(s, n, steps):
    y0 = (torch.randn(s, n, C_M), torch.randn(n, n, C_Z))
    with torch.no_grad():
        start = time.perf_counter()
        odeint(field, y0, torch.tensor([0.0, 1.0]), method="rk4", options={"step_size": 1.0 / steps})
        return time.perf_counter() - start


def run(how, s, n, steps):
    y0 = (torch.randn(s, n, C_M, requires_grad=True), torch.randn(n, n, C_Z, requires_grad=True))
    for p in field.parameters():
        p.grad = None
    start = time.perf_counter()
    solve = odeint_adjoint if how == "adjoint" else odeint
    m, z = solve(field, y0, torch.tensor([0.0, 1.0]), method="rk4", options={"step_size": 1.0 / steps})
    (m[-1].sum() + z[-1].sum()).backward()
    return time.perf_counter() - start


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def peak_of(how, s, n, steps):
    """In a process of its own, whose peak nothing before has raised."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)  # threads do not survive a fork
        before = resident()
        run(how, s, n, steps)
        os.write(write, str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3 - before).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return float(os.read(read, 64).decode())


print(f"torchdiffeq, PyTorch {torch.__version__}, {threads} threads", flush=True)
# Before the first run here: a child then starts with one thread and nothing cached.
for line in sys.stdin:
    what, s, n, steps = line.split()
    s, n, steps = int(s), int(n), int(steps)
    if what.startswith("memory_"):
        print(peak_of(what[len("memory_"):], s, n, steps), flush=True)
    elif what == "forward":
        print(forward(s, n, steps), flush=True)
    else:
        print(run(what, s, n, steps), flush=True)
