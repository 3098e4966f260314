"""Reasoning and diversity along a run, as figures: the paper's Figures 4, 5 and 7, from saved responses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from presat.analysis.numbers import RunSummary
from presat.diagnosis import make_judge
from presat.diagnosis.judges import Judge
from presat.diagnosis.moments import Moment, moments
from presat.report.beside import shared
from presat.report.figures import Panel, Series, lines_svg
from presat.tracking import Run

MOST_RUNS = 8
"""Runs of a page whose responses are judged along the way: each takes seconds."""
LEAST_MOMENTS, LEAST_JUDGED = 3, 0.5
"""Fewer steps make no curve; where the judge abstains of most, a rate says little."""

Read = Callable[[Moment], float | None]


def reasoning_panels(runs: Sequence[Run], summaries: Sequence[RunSummary]) -> list[Panel]:
    """Two panels for each run with saved responses: how many are aligned, and how diverse they are.

    Of the main evaluation set where it was sampled often enough, else of the training prompts.

    Raises:
        RunError: saved responses cannot be read.
    """
    asked = [(run, s.main_set.name if s.main_set else None) for run, s in zip(runs, summaries, strict=True)][:MOST_RUNS]
    found = shared(_reasoning, asked)
    return [
        panel
        for summary, (of, curves) in zip(summaries, found, strict=False)
        if curves
        for panel in _panels(f"{summary.name}, {of}", curves)
    ]


def _reasoning(item: tuple[Run, str | None]) -> tuple[str, list[Moment]]:
    return reasoning_of(*item)


def reasoning_of(run: Run, main_set: str | None, judge: Judge | None = None) -> tuple[str, list[Moment]]:
    """What a run's saved responses say of its reasoning, and of which they are; nothing where too few can be judged.

    Args:
        run: the run.
        main_set: its main evaluation set, which is taken where it was sampled often enough; else the training prompts.
        judge: one that was asked for, whose every word is then of interest; the symbolic one when None.

    Raises:
        RunError: saved responses cannot be read.
        JudgeError: the judge failed.
    """
    who, least = judge or make_judge("symbolic"), 1 if judge else LEAST_MOMENTS
    found = _readable(moments(run, who, "eval", main_set), least) if main_set else []
    return (str(main_set), found) if found else ("training prompts", _readable(moments(run, who), least))


def _readable(found: list[Moment], least: int) -> list[Moment]:
    judged = [moment for moment in found if moment.judged >= LEAST_JUDGED]
    return judged if len(judged) >= least else []


def _panels(name: str, found: Sequence[Moment]) -> list[Panel]:
    aligned = [
        _series(found, "held", "right", lambda moment: moment.faithfulness.right.aligned, "dot"),
        _series(found, "other", "wrong", lambda moment: moment.faithfulness.wrong.aligned, "square"),
        _series(found, "gold", "all", lambda moment: moment.faithfulness.all.aligned),
    ]
    spread = [
        _series(found, "held", "faithful", lambda moment: moment.faithful_diversity, "dot"),
        _series(found, "other", "right", lambda moment: moment.right_diversity, "square"),
        _series(found, "gold", "all", lambda moment: moment.diversity),
    ]
    titles = (("Aligned reasoning", aligned), ("Diversity of strategies", spread))
    known = [(title, [line for line in lines if line is not None]) for title, lines in titles]
    return [Panel(f"{title}: {name}", lines_svg(f"{title} of {name}", lines)) for title, lines in known if lines]


def _series(found: Sequence[Moment], kind: str, label: str, read: Read, marker: str = "") -> Series | None:
    values = [math.nan if (value := read(moment)) is None else value for moment in found]
    if not any(map(math.isfinite, values)):
        return None
    return Series(kind, label, [moment.step for moment in found], values, marker)
