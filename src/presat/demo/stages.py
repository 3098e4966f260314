"""The demo's stages. Each runs in a process of its own and returns what later stages and the report need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from presat.config.load import build
from presat.config.schema import CptConfig, SftConfig, TaskConfig, TrainConfig
from presat.errors import RunError
from presat.files import remove
from presat.types import Sampling

MAX_ATTEMPTS = 5
"""Base models made before giving up."""
SOLVE_SAMPLES = 16
CHECK_SAMPLES = 4


def pretrain(_: dict[str, Any], config: dict[str, Any], init: str, recall: float) -> dict[str, Any]:
    """Make the tiny model and pre-train it, again from another seed while it cannot recall.

    Without recall nothing after pre-training is learned (see the lab log), so a model that lacks it is no test of RL.
    """
    from presat.models import load_model_and_tokenizer
    from presat.models.lab import make_lab_model, recall_accuracy
    from presat.training import run_cpt

    measured = 0.0
    for attempt in range(1, MAX_ATTEMPTS + 1):
        seed = config["seed"] + 1000 * (attempt - 1)
        start = make_lab_model(f"{init}/try_{attempt}", seed)
        run = Path(config["run"]) / f"try_{attempt}"
        settings = config | {"run": str(run), "seed": seed, "model": config["model"] | {"name": str(start)}}
        run_cpt(build(CptConfig, _anew(settings)), quiet=True)
        measured = recall_accuracy(*load_model_and_tokenizer(str(run), "float32"))
        if measured >= recall:
            return {"model": str(run), "recall": round(measured, 4), "attempts": attempt}
    raise RunError(
        f"None of {MAX_ATTEMPTS} base models learned to recall (the last: {measured:.2f}, needed: {recall}). "
        "Choose another --seed."
    )


def continue_pretraining(inputs: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """CPT on the lab domain."""
    from presat.training import run_cpt

    return {"model": str(run_cpt(build(CptConfig, _anew(_on(inputs, config))), quiet=True))}


def finetune(inputs: dict[str, Any], config: dict[str, Any], check: dict[str, Any] | None) -> dict[str, Any]:
    """Thinking or Non-Thinking SFT.

    With a `check` (Thinking) the model is made again with one epoch more until enough of its traces on short training
    chains are valid, or until the most epochs allowed: how many epochs a model needs to take up the format differs by
    seed. Long chains, which RL is about, are not looked at.
    """
    from presat.tasks import load_problems
    from presat.training import run_sft

    settings = _on(inputs, config)
    if check is None:
        run = run_sft(build(SftConfig, _anew(settings)), quiet=True)
        return {"model": str(run), "epochs": round(settings["epochs"])}
    short = load_problems(build(TaskConfig, check["short"]))
    run, epochs, valid = Path(), 0, 0.0
    for epochs in range(round(settings["epochs"]), check["most"] + 1):
        tried = settings | {"run": f"{settings['run']}/epochs_{epochs}", "epochs": epochs}
        run = run_sft(build(SftConfig, _anew(tried)), quiet=True)
        valid = valid_share(str(run), short, Sampling(**check["sampling"]), settings["seed"])
        if valid >= check["enough"]:
            break
    return {"model": str(run), "epochs": epochs, "valid_short": round(valid, 4)}


def valid_share(model: str, problems: list[Any], sampling: Sampling, seed: int) -> float:
    """Share of a model's sampled traces that are valid."""
    from presat.evaluation import evaluate_problems
    from presat.models import load_model_and_tokenizer
    from presat.rollouts import make_engine
    from presat.verify import Verifier

    with Verifier("boxed") as verifier:
        engine = make_engine(*load_model_and_tokenizer(model))
        found = evaluate_problems(engine, verifier, problems, CHECK_SAMPLES, sampling, seed, greedy=False)
    return found.metrics["valid_trace"] or 0.0


def reinforce(inputs: dict[str, Any], config: dict[str, Any], selection: dict[str, Any]) -> dict[str, Any]:
    """Choose N problems the model solves sometimes, then GRPO on them."""
    from presat.evaluation import solve_counts
    from presat.tasks import load_problems, save_problems
    from presat.tasks.subsets import near_mean, usable
    from presat.training import run_train

    train = build(TrainConfig, _anew(_on(inputs, config)))
    candidates = load_problems(build(TaskConfig, selection["candidates"]))
    sampling = Sampling(train.temperature, train.max_new_tokens, train.max_prompt_tokens)
    counts = solve_counts(train.model, candidates, SOLVE_SAMPLES, sampling, train.seed, train.verify)
    chosen = near_mean(counts, selection["n"], selection["mean"], train.seed, SOLVE_SAMPLES)
    train.data = TaskConfig(source=str(train.run.with_name("train.parquet")))
    train.run.parent.mkdir(parents=True, exist_ok=True)
    save_problems([candidates[index] for index in chosen], train.data.source)
    run_train(train, quiet=True)
    return {
        "usable": len(usable(counts, SOLVE_SAMPLES)),
        "candidates": len(candidates),
        "solve_counts": [counts[index] for index in chosen],
    }


def _on(inputs: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """The stage's settings, with the model that the stage before it made."""
    (made,) = inputs.values()
    return config | {"model": config["model"] | {"name": made["model"]}}


def _anew(settings: dict[str, Any]) -> dict[str, Any]:
    """Clear what an interrupted or outdated attempt at this stage left; an unfinished stage starts over."""
    remove(Path(settings["run"]))
    return settings
