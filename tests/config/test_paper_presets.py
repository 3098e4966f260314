"""`--dry-run` of each paper preset, held against the paper (sections 2 to 4, appendix B) value by value."""

from __future__ import annotations

from collections import Counter

import pytest
import yaml

from presat.cli import run
from presat.config import load_config
from presat.config.schema import TrainConfig
from presat.tasks.benchmarks import EVALUATED

RL = ("paper-math-n8", "paper-math-gamma", "paper-math-majority-vote", "paper-math-self-certainty", "paper-science-n8",
      "paper-graph-n8")  # fmt: skip
SECTION_3 = {
    "optim.lr": 1e-6,
    "advantage": "grpo",
    "beta": 0.001,
    "epsilon": 0.2,
    "group_size": 8,
    "prompts_per_step": 64,
    "steps": 496,
    "temperature": 1.0,
    "max_prompt_tokens": 2048,
    "max_new_tokens": 2048,
    "eval.every": 25,
    "eval.samples": 16,
    "eval.temperature": 1.0,
    "eval.max_new_tokens": None,  # as in training
    "eval.skip_missing": True,  # three of the paper's sets are published nowhere
    "save_every": 50,
    "reward.gate": "none",
    "verify.extraction": "any",
    "stop.when": "never",
    "lora.rank": 0,
    "model.dtype": "float32",
}


def resolved(verb: str, preset: str, capsys, *words: str) -> dict[str, object]:
    """What `presat VERB --config presets/PRESET.yaml --dry-run` prints, by dotted key."""
    assert run([verb, "--config", f"presets/{preset}.yaml", "--dry-run", *words]) == 0
    flat: dict[str, object] = {}

    def walk(value: object, key: str) -> None:
        if isinstance(value, dict) and value:
            for name, item in value.items():
                walk(item, f"{key}.{name}" if key else name)
        else:
            flat[key] = value

    walk(yaml.safe_load(capsys.readouterr().out), "")
    return flat


def held(found: dict[str, object], expected: dict[str, object]) -> None:
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize("preset", RL)
def test_rl_is_section_3(preset: str, capsys) -> None:
    found = resolved("train", preset, capsys)
    held(found, SECTION_3)
    domain = preset.split("-")[1]
    named = [f"benchmark/{name}" for part in ("in_domain", "out_of_domain") for name in EVALUATED[domain][part]]
    assert [item["source"] for item in found["eval.sets"]] == named  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("preset", "own"),
    [
        ("paper-math-n8", {"reward.source": "verifiable", "data.source": "data/math/qwen-math-1.5b_8.parquet"}),
        (
            "paper-math-gamma",
            {"reward.source": "verifiable", "data.source": "data/math/qwen-math-1.5b_2048_gamma0.70.parquet"},
        ),
        ("paper-math-majority-vote", {"reward.source": "majority_vote", "reward.votes": 16}),
        ("paper-math-self-certainty", {"reward.source": "self_certainty"}),
        ("paper-science-n8", {"reward.source": "verifiable", "data.source": "data/science/qwen-math-1.5b_8.parquet"}),
        (
            "paper-graph-n8",
            {"model.name": "Qwen/Qwen2.5-Math-7B", "data.source": "data/graph/qwen-math-7b_8.parquet"},
        ),
    ],
)
def test_each_setting_has_its_own_signal(preset: str, own: dict[str, object], capsys) -> None:
    held(resolved("train", preset, capsys), {"model.name": "Qwen/Qwen2.5-Math-1.5B", **own})


def test_after_thinking_sft_responses_are_longer_and_gated(capsys) -> None:
    words = ("--max-new-tokens", "8192", "--reward.gate", "think", "--model.name", "runs/paper-cpt-thinking")
    found = resolved("train", "paper-math-majority-vote", capsys, *words)
    changed = {"max_new_tokens": 8192, "reward.gate": "think", "model.name": "runs/paper-cpt-thinking"}
    held(found, {**SECTION_3, **changed, "reward.source": "majority_vote"})


def test_what_no_setting_says_is_section_3_too(tmp_path) -> None:
    from presat.config.batches import plan_batches
    from presat.training.grpo.schedule import make_schedule
    from presat.training.grpo.train import grpo_config

    config = load_config(TrainConfig, "paper-math-n8")
    batches = plan_batches(config, processes=8)
    found = grpo_config(config, batches, tmp_path)
    expected = {
        "optim": "adamw_torch_fused",
        "lr_scheduler_type": "constant",
        "warmup_steps": 0,
        "loss_type": "grpo",
        "scale_rewards": "group",
        "num_iterations": 1,  # strictly on-policy
        "importance_sampling_level": "token",
        "top_p": 1.0,
        "top_k": 0,
        "num_generations": 8,
        "beta": 0.001,
        "epsilon": 0.2,
        "learning_rate": 1e-6,
        "max_completion_length": 2048,
        "max_steps": 496,
        "entropy_coef": 0.0,
    }
    assert {name: getattr(found, name) for name in expected} == expected
    # one generation, one update: 64 prompts x 8 responses
    assert found.steps_per_generation == found.gradient_accumulation_steps
    assert 8 * found.per_device_train_batch_size * found.gradient_accumulation_steps == 64 * 8
    for row in make_schedule(8, 3, config.prompts_per_step, config.seed):
        assert Counter(row) == dict.fromkeys(range(8), 8)


def test_cpt_is_section_6(capsys) -> None:
    expected = {
        "sequence_length": 2048,
        "batch": 128,
        "steps": None,  # one epoch
        "optim.optimizer": "adamw",
        "optim.lr": 2e-5,
        "optim.schedule": "cosine",
        "optim.warmup": 0.05,
        "optim.weight_decay": 0.01,
        "optim.max_grad_norm": 1.0,
        "model.name": "meta-llama/Llama-3.2-3B",
    }
    held(resolved("cpt", "paper-cpt", capsys), expected)


@pytest.mark.parametrize(("preset", "thinking"), [("paper-sft-thinking", True), ("paper-sft-non-thinking", False)])
def test_sft_is_section_6(preset: str, thinking: bool, capsys) -> None:
    found = resolved("sft", preset, capsys)
    held(found, {"thinking": thinking, "epochs": 3.0, "batch": 16, "max_length": 8192})
    assert 1e-5 < found["optim.lr"] <= 5e-5  # type: ignore[operator]
    assert 0 < found["save_every"] < 1000  # of 8,156 steps: hours of GPUs, which a crash must not cost  # type: ignore[operator]
