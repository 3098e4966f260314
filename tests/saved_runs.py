from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from presat.tracking import RolloutStore, RunWriter
from presat.types import Completion, Problem, RolloutGroup, Score

SAMPLES = 8
PROBLEMS = 40


def _evaluate(folder: Path, writer: RunWriter, step: int, name: str, share: float, spread: float, valid: float) -> None:
    """Write an evaluation whose problems are right with chance `share`, with the metrics that follow from it."""
    rng = random.Random(f"{name}{step}{share}")
    groups, scores_PG, valid_PG = [], [], []
    for p in range(PROBLEMS):
        chance = min(1.0, max(0.0, share + spread * (((p * 7) % PROBLEMS) / PROBLEMS - 0.5)))
        right = [rng.random() < chance for _ in range(SAMPLES)]
        problem = Problem(f"{name}-{p}", ({"role": "user", "content": f"7 a +{p} <b>"},), str(p), "lab", "lab")
        texts = [f"<think> 7 a +{p} </think> \\boxed{{ {p if ok else p + 1} }}" for ok in right]
        groups.append(RolloutGroup(problem, (1,), tuple(Completion(text, (1, 2), None, True) for text in texts)))
        scores_PG.append([Score(float(ok), str(p if ok else p + 1)) for ok in right])
        valid_PG.append([ok and rng.random() < valid for ok in right])
    RolloutStore(folder / "rollouts").write(
        "eval", step, groups, scores_PG, set_name=name, extra_PG={"valid_trace": valid_PG}
    )
    flat = [score.value for row in scores_PG for score in row]
    flags = [flag for row in valid_PG for flag in row]
    rights = [flag for flag, value in zip(flags, flat, strict=True) if value]
    writer.append(
        step,
        {
            f"eval/{name}/avg@{SAMPLES}": sum(flat) / len(flat),
            f"eval/{name}/pass@{SAMPLES}": sum(any(s.value for s in row) for row in scores_PG) / PROBLEMS,
            f"eval/{name}/greedy": round(min(1.0, share + 0.1) * PROBLEMS) / PROBLEMS,
            f"eval/{name}/missing": 0.0,
            f"eval/{name}/length": 12.0,
            f"eval/{name}/valid_trace": sum(flags) / len(flags),
            f"eval/{name}/valid_given_right": sum(rights) / len(rights) if rights else None,
        },
    )


MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Write a run directory of ours: rewards from the first to the second value, evaluations likewise.

    `levels` says instead how good the five evaluations of the held-out set are.
    """

    def make(
        name: str = "run",
        rewards: tuple[float, float] = (0.3, 0.95),
        held_out: tuple[float, float] | None = (0.3, 0.8),
        ood: tuple[float, float] | None = None,
        spread: float = 0.5,
        valid: float = 0.9,
        gold: tuple[float, float] | None = None,
        steps: int = 40,
        status: str = "finished",
        reason: str = "",
        levels: tuple[float, ...] = (),
    ) -> Path:
        folder = tmp_path / name
        sets = [{"name": set_name} for set_name, on in (("held_out", held_out), ("ood", ood)) if on]
        config = {"steps": steps, "seed": 3, "eval": {"sets": sets}, "stop": {"patience": 10}}
        with RunWriter(folder, config, "train") as writer:
            for step in range(steps + 1):
                share = min(1.0, step / (0.6 * steps))
                if step:
                    row = {"reward": rewards[0] + share * (rewards[1] - rewards[0]), "loss": 0.1, "kl": 0.01}
                    if gold:
                        row["labels/gold_accuracy"] = gold[0] + share * (gold[1] - gold[0])
                    writer.append(step, row)
                if step % (steps // 4) == 0:
                    for set_name, ends in (("held_out", held_out), ("ood", ood)):
                        if ends:
                            level = ends[0] + share * (ends[1] - ends[0])
                            if levels and set_name == "held_out":
                                level = levels[step // (steps // 4)]
                            _evaluate(folder, writer, step, set_name, level, spread, valid)
            writer.finish(status, reason)
        return folder

    return make
