"""`presat demo`: the paper's argument on models small enough to make on the spot.

One base model is pre-trained from scratch; one copy is continually pre-trained on the lab domain (CPT). Both get
Thinking and Non-Thinking SFT from the same prompts (section 4's 2 x 2), and each is RL-trained on N = 8 prompts of its
own level. Every stage is the verb a user would call, with the settings of the `demo` preset, and nothing is computed in
advance; what is not the paper's is the scale.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from presat.config.load import build
from presat.config.schema import CptConfig, DemoConfig, SftConfig, TaskConfig, TrainConfig
from presat.errors import RunError
from presat.study import Progress, Stage, run_graph
from presat.types import Sampling

if TYPE_CHECKING:
    from rich.console import Console

    from presat.report.follow import OurRun

BRANCHES = {
    "CPT + Thinking": ("cpt", "thinking"),
    "Base + Thinking": ("base", "thinking"),
    "CPT + Non-Thinking": ("cpt", "non_thinking"),
    "Base + Non-Thinking": ("base", "non_thinking"),
}
"""The 2 x 2 of section 4: what the model was pre-trained on, and what SFT showed it."""


def run_demo(config: DemoConfig, out: Console) -> dict[str, Any]:
    """Run (or finish) the demo, print its one screen and write `report.html`; return the numbers.

    Raises:
        RunError: a stage failed; the message names it. Finished stages are kept for the next call.
    """
    from rich.console import Console
    from rich.live import Live

    from presat.report import build_report, summarise, summary_table
    from presat.tracking import open_run

    began = time.monotonic()
    if config.fresh:
        shutil.rmtree(config.out, ignore_errors=True)
    stages = graph(config)
    board = Board(config)
    terminal = Console(stderr=True)
    with Live(board.render(None), console=terminal, refresh_per_second=4, transient=True) as live:
        results = run_graph(stages, config.out, config.workers, lambda progress: live.update(board.render(progress)))
    runs = [open_run(config.out / slug(branch) / "rl") for branch in BRANCHES]
    summaries = [summarise(run, name=branch) for run, branch in zip(runs, BRANCHES, strict=True)]
    notes = observations(config, results)
    page = build_report(runs, config.out / "report.html", TITLE, "\n\n".join([INTRO, *notes]), summaries=summaries)
    minutes = (time.monotonic() - began) / 60
    out.print(summary_table(summaries))
    for note in notes:
        out.print(f"\n{note}", highlight=False, soft_wrap=True)
    out.print(f"\nThe report: {page}  ({minutes:.1f} minutes)", highlight=False, soft_wrap=True)
    return {
        "report": str(page),
        "minutes": round(minutes, 2),
        "seed": config.seed,
        "stages": results,
        "runs": [summary.to_json() for summary in summaries],
    }


MAX_ATTEMPTS = 5
SOLVE_SAMPLES = 16
TITLE = "Which of these models learned to reason, which memorised, and how can you see it?"

INTRO = (
    "Four copies of one model of 0.1M parameters, made and trained in this run. Base: pre-trained from scratch on "
    "recall, copying and a little unreliable arithmetic. CPT: then continually pre-trained on text of the domain, "
    "worked chains of additions. Thinking and Non-Thinking: fine-tuned on the same prompts, with the reasoning written "
    "out or with the answer alone. Each was then trained with GRPO on 8 problems it solves sometimes "
    "(arXiv:2604.18574, section 4)."
)


def observations(config: DemoConfig, results: dict[str, Any]) -> list[str]:
    """What the reader must know about this run beside its numbers."""
    base = results["base"]
    notes = [f"Seed {config.seed}. The base model recalls {base['recall']:.0%} of what it has read."]
    if base["attempts"] > 1:
        notes[0] += f" It took {base['attempts']} attempts to get one above {config.min_recall:.0%}."
    for branch in BRANCHES:
        made = results[f"{slug(branch)}-rl"]
        start = sum(made["solve_counts"]) / (SOLVE_SAMPLES * len(made["solve_counts"]))
        notes[0] += (
            f" {branch}: {made['usable']} of {made['candidates']} candidates are solved sometimes but not always; "
            f"the 8 chosen are solved {start:.0%} of the time."
        )
    notes.append(
        "One seed shows one outcome. docs/lab-log.md has the same recipe over several seeds, with the spread, and "
        "where the tiny model does not behave as the paper's models do."
    )
    return notes


def slug(branch: str) -> str:
    """The branch's folder name."""
    return branch.lower().replace(" + ", "_").replace("-", "_")


def graph(config: DemoConfig) -> list[Stage]:
    """Return the stages, the longest branch first so that two workers end together."""
    base = _settings(config, "base", config.out / "base")
    init = str(config.out / "init")
    selection = {
        "candidates": config.candidates.model_dump(mode="json") | {"seed": config.seed},
        "n": config.train_problems,
        "mean": config.train_mean,
    }
    stages = [
        Stage("base", pretrain, {"config": base, "init": init, "recall": config.min_recall}),
        Stage("cpt", continue_pretraining, {"config": _settings(config, "cpt", config.out / "cpt")}, ("base",)),
    ]
    for branch, (origin, style) in BRANCHES.items():
        name, folder = slug(branch), config.out / slug(branch)
        sft, rl = _settings(config, style, folder / "sft"), _settings(config, "rl", folder / "rl")
        stages += [
            Stage(f"{name}-sft", finetune, {"config": sft}, (origin,)),
            Stage(f"{name}-rl", reinforce, {"config": rl, "selection": selection}, (f"{name}-sft",)),
        ]
    return stages


def _settings(config: DemoConfig, stage: str, run: Path) -> dict[str, Any]:
    """The preset's settings of a stage, with the demo's seed for model, data and sampling and a folder of its own."""
    settings = getattr(config, stage).model_dump(mode="json") | {"run": str(run), "seed": config.seed}
    settings["data"] = settings["data"] | {"seed": config.seed}
    return settings


class Board:
    """The live view: which stage each model is in, and its reward as it trains."""

    def __init__(self, config: DemoConfig) -> None:
        self.config = config
        self._followed: dict[str, OurRun] = {}

    def render(self, progress: Progress | None) -> Any:
        """Return the table for one moment."""
        from rich.table import Table

        table = Table(title=f"presat demo, seed {self.config.seed}", title_justify="left", box=None, pad_edge=False)
        for heading in ("model", "pre-training", "CPT", "SFT", "RL", "train reward"):
            table.add_column(heading, no_wrap=True)
        for branch, (origin, _) in BRANCHES.items():
            name = slug(branch)
            cpt = self._cell("cpt", progress) if origin == "cpt" else "-"
            steps, line = self._reward(name)
            reinforced = self._cell(f"{name}-rl", progress, f" {steps}/{self.config.rl.steps}" if steps else "")
            table.add_row(
                branch, self._cell("base", progress), cpt, self._cell(f"{name}-sft", progress), reinforced, line
            )
        return table

    def _cell(self, stage: str, progress: Progress | None, detail: str = "") -> str:
        state = "waiting" if progress is None else progress.states[stage]
        if progress is None or state == "waiting":
            return "waiting"
        if state == "kept":
            return "kept"
        seconds = progress.ended.get(stage, time.time()) - progress.started[stage]
        return f"{'done' if state == 'done' else 'now'} {seconds:.0f}s{detail if state == 'running' else ''}"

    def _reward(self, name: str) -> tuple[int, str]:
        from presat.report import sparkline
        from presat.report.follow import OurRun

        followed = self._followed.setdefault(name, OurRun(self.config.out / name / "rl"))
        rewards_T = followed.refresh().train_rewards()
        if not rewards_T.size:
            return 0, ""
        return len(rewards_T), f"{sparkline(rewards_T, width=24)} {rewards_T[-5:].mean():.2f}"


def pretrain(_: dict[str, Any], config: dict[str, Any], init: str, recall: float) -> dict[str, Any]:
    """Stage: make the tiny model and pre-train it, again from another seed while it cannot recall.

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
        run_cpt(build(CptConfig, _anew(settings)))
        measured = recall_accuracy(*load_model_and_tokenizer(str(run), "float32"))
        if measured >= recall:
            return {"model": str(run), "recall": round(measured, 4), "attempts": attempt}
    raise RunError(
        f"None of {MAX_ATTEMPTS} base models learned to recall (the last: {measured:.2f}, needed: {recall}). "
        "Choose another --seed."
    )


def continue_pretraining(inputs: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Stage: CPT on the lab domain."""
    from presat.training import run_cpt

    return {"model": str(run_cpt(build(CptConfig, _anew(_on(inputs, config)))))}


def finetune(inputs: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Stage: Thinking or Non-Thinking SFT."""
    from presat.training import run_sft

    return {"model": str(run_sft(build(SftConfig, _anew(_on(inputs, config)))))}


def reinforce(inputs: dict[str, Any], config: dict[str, Any], selection: dict[str, Any]) -> dict[str, Any]:
    """Stage: choose N problems the model solves sometimes, then GRPO on them."""
    from presat.tasks import load_problems, save_problems
    from presat.tasks.subsets import near_mean, usable
    from presat.training import run_train, solve_counts

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
    shutil.rmtree(settings["run"], ignore_errors=True)
    return settings
