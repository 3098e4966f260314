"""A lab model with random but peaked weights: responses of different lengths at once, and training in a second."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from presat.config.schema import EvalSettings, ModelConfig, OptimConfig, RewardConfig, TaskConfig, TrainConfig


@pytest.fixture(scope="session")
def toy_model(tmp_path_factory) -> Path:
    """Folder of a lab model that writes a few words and boxes any number."""
    return make_toy_model(tmp_path_factory.mktemp("toy"))


def make_toy_model(folder: Path, tied: bool = False) -> Path:
    """Make such a model, its head tied to its embedding or not."""
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM

    from presat.models.lab import make_lab_model
    from presat.tasks.lab import lab_problems

    torch.set_num_threads(1)
    torch.manual_seed(0)
    folder = make_lab_model(folder, seed=0)
    model: Any = LlamaForCausalLM.from_pretrained(folder)
    if tied:
        model.config.tie_word_embeddings = True
        model.lm_head.weight = model.model.embed_tokens.weight
    tokenizer = AutoTokenizer.from_pretrained(folder)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    rng = random.Random(0)
    prompts = [problem.messages[0]["content"] for problem in lab_problems("chains", 24, seed=5, operands=[3, 8])]
    for _ in range(80):
        texts = []
        for prompt in rng.sample(prompts, 8):
            words = " ".join(rng.choices(["0", "1", "2", "3", "4", "a", "b", "c", "+1", "-2"], k=rng.randint(0, 8)))
            texts.append(f"<bos> <user> {prompt} <assistant> {words} \\boxed{{ {rng.randint(0, 19)} }} <eos>")
        batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
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
