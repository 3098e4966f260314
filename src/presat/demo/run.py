"""The demo from its first stage to its last line: section 4's 2 x 2, in minutes.

One base model is pre-trained from scratch; one copy is continually pre-trained on the lab domain (CPT). Both get
Thinking and Non-Thinking SFT from the same prompts, and each of the four is RL-trained on N = 8 prompts of its own
level. Every stage is the verb a user would call, with the settings of the `demo` preset, and nothing is computed in
advance; what is not the paper's is the scale.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from presat.config.schema import DemoConfig
from presat.demo.arithmetic import same_everywhere
from presat.demo.board import Board
from presat.demo.folder import claim
from presat.demo.stages import SOLVE_SAMPLES, continue_pretraining, finetune, pretrain, reinforce
from presat.files import remove
from presat.study import Stage, run_graph

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

BRANCHES = {
    "CPT + Thinking": ("cpt", "thinking"),
    "Base + Thinking": ("base", "thinking"),
    "CPT + Non-Thinking": ("cpt", "non_thinking"),
    "Base + Non-Thinking": ("base", "non_thinking"),
}
"""What each model was pre-trained on, and what SFT showed it."""
FORMATS = ("html", "csv", "latex")
TITLE = "Which of these models learned to reason, which memorised, and how can you see it?"
INTRO = (
    "Four copies of one model of 0.1M parameters, made and trained in this run. Base: pre-trained from scratch on "
    "recall, copying and a little unreliable arithmetic. CPT: then continually pre-trained on text of the domain, "
    "worked chains of additions. Thinking and Non-Thinking: fine-tuned on the same prompts, with the reasoning written "
    "out or with the answer alone. Each was then trained with GRPO on 8 problems it solves sometimes "
    "(arXiv:2604.18574, section 4)."
)
CAUTION = (
    "One seed shows one outcome. docs/lab-log.md has the same recipe over several seeds, with the spread, and where "
    "the tiny models do not behave as the paper's do."
)


def run_demo(config: DemoConfig, out: Console) -> dict[str, Any]:
    """Run (or finish) the demo, print its one screen and write `report.html`; return the numbers.

    Raises:
        RunError: a stage failed (the message names it; finished stages are kept for the next call), the folder is not
            the demo's, or another demo runs there.
    """
    from rich.live import Live

    from presat.analysis import summarise
    from presat.console import make_console
    from presat.report import build_report, summary_table
    from presat.report.html import report_files
    from presat.report.terminal import say
    from presat.tracking import open_run

    began = time.monotonic()
    made = made_in(config.out)
    claim(config.out, [path.name for path in made])
    page = config.out / "report.html"
    report_files([], page, FORMATS)  # quick to refuse

    def start_over() -> None:
        for path in made:
            remove(path)

    folders = {branch: config.out / slug(branch) for branch in BRANCHES}
    board = Board(config, {branch: (slug(branch), origin) for branch, (origin, _) in BRANCHES.items()})
    terminal = make_console(stderr=True)
    with Live(board.render(None), console=terminal, refresh_per_second=4, transient=True) as live:
        results = run_graph(
            graph(config),
            config.out,
            config.workers,
            lambda progress: live.update(board.render(progress)),
            environment=same_everywhere(),
            prepare=start_over if config.fresh else None,
        )
    runs = [open_run(folder / "rl") for folder in folders.values()]
    summaries = [summarise(run, name=branch) for run, branch in zip(runs, folders, strict=True)]
    notes = observations(config, results)
    build_report(runs, page, TITLE, "\n\n".join([INTRO, *notes]), summaries=summaries, formats=FORMATS)
    minutes = (time.monotonic() - began) / 60
    out.print(summary_table(summaries))
    for note in notes:
        say(out, f"\n{note}")
    say(out, f"\nThe report: {page}  ({minutes:.1f} minutes)")
    return {
        "report": str(page),
        "minutes": round(minutes, 2),
        "seed": config.seed,
        "stages": results,
        "runs": [summary.to_json() for summary in summaries],
    }


def made_in(out: Path) -> list[Path]:
    """Return all that a demo makes in its folder, the records of finished stages first: they name the others."""
    reports = [f"report.{ending}" for ending in ("html", "csv", "tex")]
    return [out / name for name in ("stages", "logs", "init", "base", "cpt", *map(slug, BRANCHES), *reports)]


def graph(config: DemoConfig) -> list[Stage]:
    """Return the stages, the longest branch first so that two workers end together."""
    init = str(config.out / "init")
    selection = {
        "candidates": config.candidates.model_dump(mode="json") | {"seed": config.seed},
        "n": config.train_problems,
        "mean": config.train_mean,
    }
    check = {
        "short": config.short.model_dump(mode="json") | {"seed": config.seed},
        "sampling": {
            "temperature": config.rl.temperature,
            "max_new_tokens": config.rl.max_new_tokens,
            "max_prompt_tokens": config.rl.max_prompt_tokens,
        },
        "enough": config.min_valid,
        "most": config.max_epochs,
    }
    base = _settings(config, "base", config.out / "base")
    stages = [
        Stage("base", pretrain, {"config": base, "init": init, "recall": config.min_recall}),
        Stage("cpt", continue_pretraining, {"config": _settings(config, "cpt", config.out / "cpt")}, ("base",)),
    ]
    for branch, (origin, style) in BRANCHES.items():
        name, folder, thinking = slug(branch), config.out / slug(branch), style == "thinking"
        sft, rl = _settings(config, style, folder / "sft"), _settings(config, "rl", folder / "rl")
        if thinking:
            rl["reward"] = rl["reward"] | {"gate": config.thinking_gate}
        stages += [
            Stage(f"{name}-sft", finetune, {"config": sft, "check": check if thinking else None}, (origin,)),
            Stage(f"{name}-rl", reinforce, {"config": rl, "selection": selection}, (f"{name}-sft",)),
        ]
    return stages


def observations(config: DemoConfig, results: dict[str, Any]) -> list[str]:
    """What the reader must know about this run beside its numbers."""
    base = results["base"]
    made = f"Seed {config.seed}. The base model recalls {base['recall']:.0%} of what it has read"
    made += "." if base["attempts"] == 1 else f" (attempt {base['attempts']}: earlier ones stayed below the minimum)."
    for branch, (_, style) in BRANCHES.items():
        sft, rl = results[f"{slug(branch)}-sft"], results[f"{slug(branch)}-rl"]
        start = sum(rl["solve_counts"]) / (SOLVE_SAMPLES * len(rl["solve_counts"]))
        valid = f", {sft['valid_short']:.0%} valid traces on short chains" if style == "thinking" else ""
        made += (
            f" {branch}: {sft['epochs']} epochs of SFT{valid}; {rl['usable']} of {rl['candidates']} candidates are "
            f"solved sometimes but not always, the 8 chosen {start:.0%} of the time."
        )
    return [made, CAUTION]


def slug(branch: str) -> str:
    """The branch's folder name."""
    return branch.lower().replace(" + ", "_").replace("-", "_")


def _settings(config: DemoConfig, stage: str, run: Path) -> dict[str, Any]:
    """The preset's settings of a stage, with the demo's seed for model, data and sampling and a folder of its own."""
    settings = getattr(config, stage).model_dump(mode="json") | {"run": str(run), "seed": config.seed}
    settings["data"] = settings["data"] | {"seed": config.seed}
    return settings
