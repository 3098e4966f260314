"""The demo from its first stage to its last line: section 4's 2 x 2, in minutes.

One base model is pre-trained from scratch; one copy is continually pre-trained on the lab domain (CPT). Both get
Thinking and Non-Thinking SFT from the same prompts, and each of the four is RL-trained on N = 8 prompts of its own
level. It is a study (`grid.py`): every stage is the verb a user would call, with the settings of the `demo` preset, and
nothing is computed in advance; what is not the paper's is the scale.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from presat.config.schema import DemoConfig
from presat.console import make_console
from presat.demo.arithmetic import same_everywhere
from presat.demo.board import Board
from presat.demo.folder import OF_EARLIER_VERSIONS, begin, claim
from presat.demo.grid import BRANCHES, SOLVE_SAMPLES, slug, study_of
from presat.demo.measure import MEASURED, Measurer, results_of
from presat.errors import RunError, UnfinishedError
from presat.study import Folder, run_study
from presat.study.local import LocalWorkers
from presat.study.standing import Known

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

ALONE = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "THP_MEM_ALLOC_ENABLE": "0", "CUDA_VISIBLE_DEVICES": ""}
"""One thread, on the CPU, and no large pages (see `presat.cli.before_torch`)."""
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
    from presat.analysis import summarise
    from presat.report import build_report, summary_table
    from presat.report.html import report_files
    from presat.report.terminal import say
    from presat.tracking import open_run

    began = time.monotonic()
    made = made_in(config.out)
    claim(config.out, made, config.fresh)
    page = config.out / "report.html"
    report_files([], page, FORMATS)  # quick to refuse
    begin(config.out, made if config.fresh else ())
    measurer = Measurer(config)
    _run(config, measurer)
    results = results_of(config, measurer.measured)
    folders = {branch: config.out / slug(branch) for branch in BRANCHES}
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
    """Return all that a demo makes in its folder; what says how far it is comes first, for it names the others."""
    study = ("study.json", "cells", MEASURED, "study.yaml", "hashes.json", "configs", "logs", "runs", "data")
    reports = [f"report.{ending}" for ending in ("html", "csv", "tex")]
    return [out / name for name in (*study, *OF_EARLIER_VERSIONS, "base", "cpt", *map(slug, BRANCHES), *reports)]


def _run(config: DemoConfig, measurer: Measurer) -> None:
    """Run the study to its end.

    Raises:
        RunError: a cell is not done.
    """
    from rich.live import Live

    os.environ.update(same_everywhere())  # also for what is measured here
    workers = LocalWorkers(config.workers, same_everywhere() | ALONE)
    workers.threads = 1
    board = Board(config)
    with Live(board.render(), console=make_console(stderr=True), refresh_per_second=4, transient=True) as live:

        def tick(known: Known) -> None:
            board.look(known)
            live.update(board.render())

        known = run_study(study_of(config, {}), True, tick, workers=workers, grow=measurer.grow)
    for name, (state, reason) in known.items():
        if state in ("failed", "interrupted"):
            log = Folder(config.out).log(name)
            kind = UnfinishedError if state == "interrupted" else RunError
            raise kind(f"Stage '{name}' failed: {reason.rstrip('.')}. Its log is {log}.")


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
