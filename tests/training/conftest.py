"""A lab model with random but peaked weights: responses of different lengths at once, and training in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from presat.config.schema import EvalSettings, ModelConfig, OptimConfig, RewardConfig, TaskConfig, TrainConfig


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory) -> Path:
    """Folder of a lab model."""
    import torch
    from transformers import LlamaForCausalLM

    from presat.models.lab import make_lab_model

    folder = make_lab_model(tmp_path_factory.mktemp("toy"), seed=0)
    model: Any = LlamaForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.lm_head.weight.mul_(8)
    model.save_pretrained(folder)
    return folder


def toy(model: Path, run: Path) -> TrainConfig:
    """A short GRPO run that moves the weights: coin-toss rewards, four prompts of two responses, seven steps."""
    return TrainConfig(
        run=run,
        model=ModelConfig(name=str(model)),
        data=TaskConfig(source="lab/chains", count=3),
        reward=RewardConfig(source="random"),
        eval=EvalSettings(
            sets=[TaskConfig(source="lab/chains", name="held_out", count=5, options={"split": "held_out"})],
            every=4,
            samples=4,
        ),
        optim=OptimConfig(lr=1e-3),
        beta=0.01,
        steps=7,
        prompts_per_step=4,
        group_size=2,
        micro_batch=4,
        max_new_tokens=16,
        max_prompt_tokens=64,
        save_every=3,
        threads=1,
    )


@pytest.fixture
def toy_config(toy_model, tmp_path) -> TrainConfig:
    """That run in a folder of the test's own."""
    return toy(toy_model, tmp_path / "run")
