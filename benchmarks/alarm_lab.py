"""Lab runs to hold alarms against: healthy ones of several kinds, and ones with one fault each, put in on purpose.

    .venv/bin/python benchmarks/alarm_lab.py FOLDER [SEEDS]

Makes two lab models (`thinking`, `plain`), then for every seed one run of each kind in `HEALTHY` and in `FAULTS`, with
`presat.training.run_train` as `presat train` calls it, 60 steps, one thread. A run that is finished is not made again;
one that was cut off starts over. `benchmarks/alarms.py` reads what this makes.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from presat.config.load import build, read_yaml
from presat.config.schema import CptConfig, ModelConfig, SftConfig, TrainConfig, VerifyConfig
from presat.errors import PresatError
from presat.evaluation import solve_counts
from presat.models.lab import EOS, make_lab_model
from presat.tasks import save_problems
from presat.tasks.lab import lab_problems
from presat.tasks.noise import corrupted, keep_original
from presat.tracking import open_run
from presat.training import run_cpt, run_sft, run_train
from presat.types import Problem, RolloutGroup, Sampling, Score

STEPS = 60
SEEDS, FAULT_SEEDS = 4, 2
"""Seeds of each healthy kind, and of each fault."""
HELD_OUT = {"source": "lab/chains", "name": "held_out", "count": 48, "seed": 9001}
HELD_OUT |= {"options": {"operands": [6, 8], "split": "held_out"}}
LONG, SHORT = [6, 8], [3, 3]
"""Operands of the problems a model solves sometimes, and always."""
LR = 2e-4


def reversed_sign(_: RolloutGroup, scores: Sequence[Score]) -> list[float | None]:
    """A reward whose author mixed up right and wrong."""
    return [None if score.value is None else 1.0 - score.value for score in scores]


def by_length(group: RolloutGroup, scores: Sequence[Score]) -> list[float | None]:
    """A reward that pays for tokens, right or wrong."""
    return [
        0.3 * (score.value or 0.0) + 0.7 * len(c.token_ids) / 40
        for c, score in zip(group.completions, scores, strict=True)
    ]


def always_one(_: RolloutGroup, scores: Sequence[Score]) -> list[float | None]:
    """A grader that passes everything."""
    return [1.0 for _ in scores]


HERE = Path(__file__).stem
GATED = {"reward": {"gate": "think"}}
HEALTHY: dict[str, dict[str, Any]] = {
    "clean_n64": {"model": "thinking", "count": 64, **GATED},
    "clean_n16": {"model": "thinking", "count": 16, **GATED},
    "no_gate": {"model": "thinking", "count": 64},
    "low_rate": {"model": "thinking", "count": 64, "optim": {"lr": 5e-5}, **GATED},
    "large_groups": {"model": "thinking", "count": 64, "group_size": 16, "prompts_per_step": 4, **GATED},
    "some_noise": {"model": "thinking", "count": 64, "wrong": 0.1, **GATED},
    "good_vote": {"model": "thinking", "count": 64, "reward": {"source": "majority_vote", "gate": "think"}},
    "sum_of_parts": {
        "model": "thinking",
        "count": 64,
        "reward": {
            "source": "weighted_sum",
            "parts": [{"source": "verifiable"}, {"source": "format_only", "weight": 0.1, "gate": "think"}],
        },
    },
}  # fmt: skip
"""Each teaches the lab's Thinking model: its held-out score rises, or at the least does not fall."""

FAULTS: dict[str, dict[str, Any]] = {
    "rate_x100": {"model": "thinking", "count": 64, "optim": {"lr": 100 * LR}, **GATED},
    "rate_none": {"model": "thinking", "count": 64, "optim": {"lr": 1e-12}, **GATED},
    "kl_weight_10": {"model": "thinking", "count": 64, "beta": 10.0, **GATED},
    "limit_8": {"model": "thinking", "count": 64, "max_new_tokens": 8, **GATED},
    "no_end": {"model": "endless", "count": 64},
    "all_solved": {"model": "solver", "count": 300, "operands": SHORT, "solved": True},
    "unsolvable": {"model": "thinking", "count": 64, "wrong": "impossible", **GATED},
    "wrong_labels": {"model": "thinking", "count": 64, "wrong": 1.0, "reward": {"gate": "none"}},
    "greedy": {"model": "thinking", "count": 64, "temperature": 0.01, **GATED},
    "unread": {"model": "thinking", "count": 64, "verify": {"extraction": "hash"}},
    "gate_alone": {"model": "plain", "count": 64, "reward": {"source": "format_only", "gate": "boxed"}},
    "reversed": {"model": "thinking", "count": 64, "reward": {"source": f"{HERE}:reversed_sign"}},
    "passes_all": {"model": "thinking", "count": 64, "reward": {"source": f"{HERE}:always_one"}},
    "by_length": {"model": "thinking", "count": 64, "reward": {"source": f"{HERE}:by_length"}},
    "constant_vote": {"model": "plain", "count": 40, "reward": {"source": "majority_vote"}, "optim": {"lr": 1e-3}},
    "certainty": {"model": "plain", "count": 40, "reward": {"source": "self_certainty"}, "optim": {"lr": 1e-3}},
    "memorises": {"model": "plain", "count": 8, "optim": {"lr": 1e-3}},
    "format_drowns": {
        "model": "plain",
        "count": 64,
        "reward": {
            "source": "weighted_sum",
            "parts": [{"source": "verifiable", "weight": 0.05}, {"source": "format_only", "gate": "boxed"}],
        },
    },
}  # fmt: skip
"""Each has one fault; `benchmarks/alarms.py` says by which alarms it is named."""


def make_models(folder: Path) -> dict[str, str]:
    """Make the models that are not there yet; return the folder of each."""
    recipe = read_yaml("demo")
    base = folder / "base"
    if not _done(base):
        start = make_lab_model(folder / "init", seed=0)
        _train(run_cpt, CptConfig, recipe["base"], base, str(start))
    models = {"plain": _tuned(recipe["non_thinking"], folder / "plain", _model(base))}
    if not _done(folder / "cpt"):
        _train(run_cpt, CptConfig, recipe["cpt"], folder / "cpt", _model(base))
    models["thinking"] = _tuned(recipe["thinking"], folder / "thinking", _model(folder / "cpt"))
    models["endless"] = str(_endless(Path(models["thinking"]), folder / "endless"))
    solver = folder / "solver"
    if not _done(solver):
        settings = {"model": "thinking", "count": 128, "operands": [3, 6], **GATED, "steps": 120, "save_every": 120}
        train(solver, settings, models, 0)
    models["solver"] = _model(solver)
    return models


def train(run: Path, settings: dict[str, Any], models: dict[str, str], seed: int) -> None:
    """Make one run."""
    settings = dict(settings)
    operands, wrong = settings.pop("operands", LONG), settings.pop("wrong", 0.0)
    problems = lab_problems("chains", settings.pop("count"), seed, operands)
    if settings.pop("solved", False):
        sampling = Sampling(1.0, 40, 64)
        counts = solve_counts(
            ModelConfig(name=models[settings["model"]]), problems, 16, sampling, seed, VerifyConfig(extraction="boxed")
        )
        problems = [problem for problem, count in zip(problems, counts, strict=True) if count == 16]
    file = run.with_name(f"{run.name}.parquet")
    save_problems(_mislabelled(problems, wrong, seed), file)
    given = {
        "steps": STEPS, "prompts_per_step": 8, "micro_batch": 64, "max_new_tokens": 40, "max_prompt_tokens": 64,
        "save_every": 0, "threads": 1, "verify": {"extraction": "boxed"}, "seed": seed,
        **settings,
        "run": str(run), "model": {"name": models[settings["model"]]}, "data": {"source": str(file)},
        "optim": {"lr": LR, **settings.get("optim", {})},
        "eval": {"every": 20, "samples": 4, "greedy": False, "sets": [HELD_OUT]},
    }  # fmt: skip
    run_train(build(TrainConfig, given), quiet=True)


def _mislabelled(problems: list[Problem], wrong: float | str, seed: int) -> list[Problem]:
    """The problems with a share of wrong labels, or with labels no chain can have."""
    if wrong == "impossible":
        return [replace(problem, gold="99") for problem in problems]
    rng = random.Random(seed)
    if not wrong:
        return problems
    other = {problem.id: str((int(problem.gold or 0) + rng.randint(1, 3)) % 20) for problem in problems}
    return [corrupted(p, other[p.id]) if rng.random() < float(wrong) else keep_original(p) for p in problems]


def _endless(model: Path, folder: Path) -> Path:
    """The model with a tokenizer that ends responses by a token the model never writes."""
    if not folder.is_dir():
        shutil.copytree(model, folder)
        for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
            file = folder / name
            found = json.loads(file.read_text())
            if "eos_token_id" in found:
                found["eos_token_id"] = 3  # <user>
            if found.get("eos_token") == EOS:
                found["eos_token"] = "<user>"
            file.write_text(json.dumps(found))
    return folder


def _tuned(recipe: dict[str, Any], folder: Path, model: str) -> str:
    if not _done(folder):
        _train(run_sft, SftConfig, recipe, folder, model)
    return _model(folder)


def _train(call: Any, kind: Any, recipe: dict[str, Any], run: Path, model: str) -> None:
    shutil.rmtree(run, ignore_errors=True)
    call(build(kind, {**recipe, "run": str(run), "model": {"name": model}, "seed": 0}), quiet=True)


def _model(run: Path) -> str:
    return str(max((run / "checkpoints").iterdir(), key=lambda folder: int(folder.name.rpartition("_")[2])))


def _done(run: Path) -> bool:
    return (run / "provenance.json").is_file() and open_run(run).status in ("finished", "stopped", "failed")


def main(folder: Path, seeds: int = SEEDS) -> None:
    """Make everything that is not there yet, seed after seed, so that what there is covers every kind."""
    folder.mkdir(parents=True, exist_ok=True)
    models = make_models(folder)
    for seed in range(1, seeds + 1):
        for name, settings in {**(FAULTS if seed <= FAULT_SEEDS else {}), **HEALTHY}.items():
            run = folder / "runs" / f"{name}-{seed}"
            if _done(run):
                continue
            shutil.rmtree(run, ignore_errors=True)
            run.parent.mkdir(exist_ok=True)
            began = time.monotonic()
            try:
                train(run, settings, models, seed)
            except PresatError as error:  # a fault may end its run, which is how it shows
                print(f"{run.name}: {error}", flush=True)
            print(f"{run.name}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
