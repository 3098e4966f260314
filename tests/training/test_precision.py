"""bfloat16 autocast and gradient checkpointing, the settings for GPUs, as far as a CPU can tell."""

from __future__ import annotations

import pytest
import torch
from tests.training.runs import last_weights, lines, on_two_processes, weights

from presat.config.schema import (
    CorpusConfig,
    CptConfig,
    LoraConfig,
    ModelConfig,
    SftConfig,
    SupervisedOptimConfig,
    TaskConfig,
)
from presat.training import run_cpt, run_sft, run_train
from presat.training.passes.decoder import Fit


def configs(model, folder, train, **changes):
    """A short CPT, SFT and RL run each."""
    shared = {"model": ModelConfig(name=str(model)), "optim": SupervisedOptimConfig(lr=1e-3), "threads": 1, **changes}
    chains = TaskConfig(source="lab/chains", count=16, options={"operands": [2, 5]})
    corpus = CorpusConfig(source="lab/cpt", held_out_rows=4)
    return {
        "cpt": CptConfig(run=folder / "cpt", data=corpus, sequence_length=24, batch=4, steps=3, **shared),
        "sft": SftConfig(run=folder / "sft", data=chains, epochs=2, batch=8, **shared),
        "train": train.model_copy(update={"run": folder / "train", "steps": 3, **changes}),
    }


def run_all(runs) -> None:
    run_cpt(runs["cpt"], quiet=True)
    run_sft(runs["sft"], quiet=True)
    run_train(runs["train"], quiet=True)


def gaps(one, other) -> dict[str, float]:
    """Largest difference between any weight of each two runs."""
    found = {}
    for verb, config in one.items():
        ours, theirs = last_weights(config.run), last_weights(other[verb].run)
        found[verb] = max(float((ours[name] - weight).abs().max()) for name, weight in theirs.items())
    return found


def test_gradient_checkpointing_computes_twice_and_changes_no_number(toy_model, tmp_path, toy_config, monkeypatch):
    from transformers.models.llama.modeling_llama import LlamaMLP

    monkeypatch.setattr(Fit, "__call__", lambda *_: False)  # both runs go through the model's own forward
    trained = []  # passes of a block's MLP that are part of a training pass
    forward = LlamaMLP.forward
    monkeypatch.setattr(LlamaMLP, "forward", lambda self, x: (trained.append(self.training), forward(self, x))[1])
    passes, found = [], []
    for name, changes in (("plain", {}), ("again", {"gradient_checkpointing": True})):
        found.append(configs(toy_model, tmp_path / name, toy_config, **changes))
        trained.clear()
        run_cpt(found[-1]["cpt"], quiet=True)
        passes.append(sum(trained))
        run_sft(found[-1]["sft"], quiet=True)
        run_train(found[-1]["train"], quiet=True)
    assert passes[1] == 2 * passes[0] > 0
    plain, again = found
    assert max(gaps(plain, again).values()) < 1e-6
    assert lines(again["train"].run)[-1]["reward"] == lines(plain["train"].run)[-1]["reward"]  # the same samples


@pytest.mark.device
def test_autocast_rounds_the_passes_and_keeps_the_weights(toy_model, tmp_path, toy_config):
    plain = configs(toy_model, tmp_path / "plain", toy_config)
    runs = configs(toy_model, tmp_path / "rounded", toy_config, bf16=True)
    run_all(plain)
    run_all(runs)
    for verb, gap in gaps(plain, runs).items():
        step = runs[verb].optim.lr * 12  # Adam moves a weight by about lr an update
        assert 0 < gap < step, verb
        kept = weights(runs[verb].run, lines(runs[verb].run)[-1]["step"])
        assert {weight.dtype for weight in kept.values()} == {torch.float32}
        assert any(not torch.equal(weight, weight.bfloat16().float()) for weight in kept.values())


def test_all_of_it_with_adapters_on_two_processes(toy_model, tmp_path, toy_config):
    changes = {"lora": LoraConfig(rank=2), "bf16": True, "gradient_checkpointing": True, "micro_batch": 2}
    runs = configs(toy_model, tmp_path, toy_config, **changes)
    on_two_processes(runs, tmp_path)
    for verb, config in runs.items():
        last = lines(config.run)[-1]["step"]
        assert (config.run / "checkpoints" / f"step_{last}" / "adapter_model.safetensors").is_file(), verb
    losses = [row["loss"] for row in lines(runs["sft"].run) if "loss" in row]
    bits = [row[name] for row in lines(runs["cpt"].run) for name in row if name.endswith("bits_per_token")]
    assert losses
    assert bits[-1] < bits[0]
