"""Weights split over two processes by FSDP2: sampling and measuring as with whole ones, before and after updates.

accelerate only turns FSDP2 on where there are GPUs, so torch's own `fully_shard` stands in for it here, with the option
`fsdp_reshard_after_forward: false` of examples/scaling: gathered once, the weights stay until the backward pass, and
processes may decode different numbers of tokens.
"""

from __future__ import annotations

import os
import subprocess
import sys

SCRIPT = """
import sys
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from presat.models import load_model_and_tokenizer
from presat.rollouts import make_engine
from presat.tasks.lab import lab_problems
from presat.training.supervised import bits_per_token, row
from presat.types import Sampling

torch.set_num_threads(1)
dist.init_process_group("gloo")
rank = dist.get_rank()
whole, tokenizer = load_model_and_tokenizer(sys.argv[1])
split, _ = load_model_and_tokenizer(sys.argv[1])
engines = [make_engine(model, tokenizer, "transformers") for model in (whole, split)]
mesh = init_device_mesh("cpu", (2,))
for layer in [*split.model.layers, split]:
    fully_shard(layer, mesh=mesh, reshard_after_forward=False)
assert all(isinstance(weight, DTensor) for weight in split.parameters())
problems = lab_problems("chains", 2 + 3 * rank, seed=rank, operands=[3, 5])
sampling = Sampling(1.0, 8 + 16 * rank, 64)
rows = [row((), torch.randint(0, 30, (12,), generator=torch.Generator().manual_seed(i)).tolist()) for i in range(4)]
ids = torch.tensor([item.input_ids for item in rows])


def drawn(engine):
    return [[list(c.token_ids) for c in g.completions] for g in engine.generate(problems, 3, sampling, range(9))]


seen = []
for update in range(3):
    one, other = (drawn(engine) for engine in engines)
    assert one == other, f"process {rank}, update {update}"
    bits = [bits_per_token(model, rows, 0) for model in (whole, split)]
    assert abs(bits[0] - bits[1]) < 1e-5, bits
    seen.append(one)
    for model in (whole, split):
        model(input_ids=ids, labels=ids).loss.backward()
        torch.optim.SGD(model.parameters(), lr=1.0).step()
        model.zero_grad()
assert seen[0] != seen[1] != seen[2]
dist.barrier()
dist.destroy_process_group()
"""


def test_split_weights_sample_as_whole_ones(toy_model, tmp_path):
    script = tmp_path / "split.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", str(script), str(toy_model)]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=120, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
