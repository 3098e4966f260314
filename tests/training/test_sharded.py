"""Weights split over two processes by FSDP2: sampling and measuring as with whole ones, before and after updates.

accelerate turns FSDP2 on only where there are GPUs. So one test splits a model by torch's `fully_shard`, and others
tell accelerate that two CPU processes are FSDP's, with the settings of examples/scaling: with
`fsdp_reshard_after_forward: false` weights, once gathered, stay until the backward pass, and processes may decode
different numbers of tokens.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.training.runs import START, largest_gap, lines, share_apart

from presat.config import dump_config
from presat.config.schema import (
    CorpusConfig,
    CptConfig,
    LoraConfig,
    ModelConfig,
    RewardConfig,
    SftConfig,
    SupervisedOptimConfig,
    TaskConfig,
)
from presat.training import run_cpt, run_sft, run_train

BITS = "eval/held_out/bits_per_token"
EXAMPLE = Path(__file__).parents[2] / "examples" / "scaling" / "fsdp2.yaml"

SCRIPT = """
import sys
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from presat.models import load_model_and_tokenizer
from presat.rewards.certainty import Statistic
from presat.rewards.policy import PolicyScorer
from presat.rollouts import make_engine
from presat.tasks.lab import lab_problems
from presat.models.examples import row
from presat.training.supervised.fit import bits_per_token
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


def certainty(model, groups):  # in 6 and 15 passes of a response: what one process makes, the other need not
    needs = [Statistic("self_certainty"), Statistic("entropy")]
    scored = PolicyScorer(model, rows=1)(groups, needs)
    return torch.tensor([[c.stats[need.key] for need in needs] for g in scored for c in g.completions])


seen = []
for update in range(3):
    # the reward's pass may be the first after an update: weights are gathered there as well as by sampling
    groups = engines[0].generate(problems, 3, sampling, range(9))
    own, theirs = (certainty(model, groups) for model in (whole, split))
    assert len(own) > 0 and (own - theirs).abs().max() < 1e-4, f"process {rank}, update {update}"
    one, other = (drawn(engine) for engine in engines)
    assert one == other, f"process {rank}, update {update}"
    bits = [bits_per_token(model, rows, 0, batch=2) for model in (whole, split)]
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
    assert done.returncode == 0, done.stderr[-6000:]


FSDP_ON_CPU = """
from accelerate import state
from accelerate.utils import DistributedType

plugins, made = [], state.AcceleratorState.__init__


def make(self, *args, fsdp_plugin=None, **kwargs):
    made(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
    plugins.extend([fsdp_plugin] if fsdp_plugin else [])
    if plugins:
        self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, plugins[0]


state.AcceleratorState.__init__ = make

import transformers
from torch.distributed.fsdp import FSDPModule

step = transformers.Trainer.training_step


def split(self, model, *args, **kwargs):
    assert isinstance(model, FSDPModule)
    return step(self, model, *args, **kwargs)


transformers.Trainer.training_step = split
"""


def run_split(verb: str, config, folder: Path) -> None:
    """Run a verb on two processes under FSDP2, as examples/scaling/fsdp2.yaml sets it."""
    (folder / "start.py").write_text(FSDP_ON_CPU + START)
    (folder / "config.yaml").write_text(dump_config(config))
    settings = yaml.safe_load(EXAMPLE.read_text())["fsdp_config"]
    environment = {name.upper(): str(value).lower() if isinstance(value, bool) else str(value)
                   for name, value in settings.items()}  # fmt: skip
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    done = subprocess.run(
        [*command, str(folder / "start.py"), verb, str(folder / "config.yaml")],
        env={**os.environ, **environment, "ACCELERATE_USE_CPU": "true", "ACCELERATE_USE_FSDP": "true",
             "OMP_NUM_THREADS": "1"},
        timeout=240, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-6000:]


def test_sft_with_split_weights_trains_as_on_one_process(toy_model, tmp_path):
    one, two = (
        SftConfig(
            run=tmp_path / name,
            model=ModelConfig(name=str(toy_model)),
            data=TaskConfig(source="lab/chains", count=24, options={"operands": [2, 5]}),
            optim=SupervisedOptimConfig(lr=1e-3),
            epochs=2,
            batch=8,
            threads=1,
        )
        for name in ("one", "two")
    )
    run_sft(one, quiet=True)
    run_split("sft", two, tmp_path)
    assert share_apart(two.run, one.run, toy_model) < 3e-4


def test_cpt_of_adapters_with_split_weights_measures_held_out_text(toy_model, tmp_path):
    one, two = (
        CptConfig(
            run=tmp_path / name,
            model=ModelConfig(name=str(toy_model)),
            data=CorpusConfig(source="lab/cpt", held_out_rows=6),
            optim=SupervisedOptimConfig(lr=1e-2),
            lora=LoraConfig(rank=4),
            sequence_length=24,
            batch=8,
            steps=4,
            threads=1,
        )
        for name in ("one", "two")
    )
    run_cpt(one, quiet=True)
    run_split("cpt", two, tmp_path)
    ours, theirs = ([row[BITS] for row in lines(config.run) if BITS in row] for config in (one, two))
    assert ours == pytest.approx(theirs, abs=1e-4)
    assert ours[1] < ours[0]


def test_rl_with_split_weights_trains_as_on_one_process(toy_config, tmp_path):
    changes = {"reward": RewardConfig(source="self_certainty"), "steps": 3}
    one, two = (toy_config.model_copy(update={"run": tmp_path / name, **changes}) for name in ("one", "two"))
    run_train(one, quiet=True)
    run_split("train", two, tmp_path)
    for a, b in zip(lines(one.run), lines(two.run), strict=True):
        for name in ("reward", "eval/held_out/avg@4", "eval/held_out/length"):
            assert a.get(name) == pytest.approx(b.get(name), abs=1e-4) if name in a else name not in b
    assert largest_gap(two.run, one.run) < 1e-4
