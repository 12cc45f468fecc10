# SPDX-License-Identifier: Apache-2.0
"""Serves timings of the paper's EvoformerODEFunc (c_m 256, c_z 128, hidden 64, float32) to bench_field.

Needs PyTorch and a checkout of the paper's repository: PEER_ODE=DIR python paper_field.py THREADS
Reads lines "forward S N" and answers with the seconds of one evaluation.
"""
import importlib.util
import os
import sys
import time
import types

threads = int(sys.argv[1])
os.environ.setdefault("OMP_NUM_THREADS", str(threads))
checkout = os.environ["PEER_ODE"]


def package(name, path=None, **members):
    module = types.ModuleType(name)
    module.__dict__.update(members)
    module.__path__ = [path] if path else []
    sys.modules[name] = module
    return module


# What the file imports beside PyTorch serves its training, not the field.
package("openfold")
package("openfold.model")
package("openfold.model.heads", MaskedMSAHead=object, DistogramHead=object)

import torch  # noqa: E402

spec = importlib.util.spec_from_file_location("evoformer_ode", os.path.join(checkout, "neural_ODE", "evoformer_ode.py"))
paper = importlib.util.module_from_spec(spec)
spec.loader.exec_module(paper)
torch.set_num_threads(threads)
torch.manual_seed(0)
field = paper.EvoformerODEFunc(256, 128, 64).eval()
print(f"the paper's field, PyTorch {torch.__version__}, {threads} threads", flush=True)

for line in sys.stdin:
    _, s, n = line.split()
    m, z = torch.randn(int(s), int(n), 256), torch.randn(int(n), int(n), 128)
    with torch.no_grad():
        start = time.perf_counter()
        field(0.3, (m, z))
        seconds = time.perf_counter() - start
    print(seconds, flush=True)
