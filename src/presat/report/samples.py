"""Sample responses for the page, picked by rule and not by eye.

The problem: the first of the main set (in the set's order) that had both right and wrong responses before training;
where there is none, the first. Of it, before and after: the first right and the first wrong response.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from presat.analysis.summary import evaluation

if TYPE_CHECKING:
    import polars as pl

    from presat.analysis.numbers import RunSummary
    from presat.tracking import Run

LIMIT = 1500
"""Characters of a text that are shown."""


@dataclass(frozen=True, slots=True)
class Response:
    """One response as shown: cut to `LIMIT` characters."""

    text: str
    right: bool
    extracted: str | None
    valid_trace: bool | None


@dataclass(frozen=True, slots=True)
class Moment:
    """The responses to the problem at one evaluation.

    Attributes:
        title: `before training`, `after training`.
        step: of the evaluation.
        right: how many were right.
        judged: of how many.
        responses: those shown.
    """

    title: str
    step: int
    right: int
    judged: int
    responses: list[Response]


@dataclass(frozen=True, slots=True)
class Sample:
    """One problem of a run with its responses before and after."""

    run: str
    set_name: str
    prompt: str
    gold: str | None
    moments: list[Moment]


def pick_sample(run: Run, summary: RunSummary) -> Sample | None:
    """The sample of a run; None where its first evaluation saved no judged responses."""
    item = summary.main_set
    first = evaluation(run, item.name, item.first_step) if item is not None else None
    if item is None or first is None or not first["score"].count():
        return None
    problem = _pick_problem(first)
    titles = ("before training" if item.first_step == 0 else "first evaluation", "after training")
    steps = dict.fromkeys((item.first_step, item.last_step))
    frames = {step: _responses(run, item.name, step, problem) for step in steps}
    before = frames[item.first_step]
    if before is None or not before["text"].count():
        return None
    moments = [
        _moment(title, step, frame)
        for title, (step, frame) in zip(titles, frames.items(), strict=False)
        if frame is not None
    ]
    row = before.row(0, named=True)
    return Sample(summary.name, item.name, _cut(row["prompt"] or ""), row["gold"], moments)


def _responses(run: Run, set_name: str, step: int, problem: str) -> pl.DataFrame | None:
    """The responses to one problem; texts of others are not kept."""
    import polars as pl

    columns = ("prompt", "gold", "text", "extracted", "score", "valid_trace")
    return run.rollouts("eval", [step], set_name=set_name, columns=columns, where=pl.col("problem_id") == problem)


def _pick_problem(frame: pl.DataFrame) -> str:
    import polars as pl

    means = frame.group_by("problem_id", maintain_order=True).agg(pl.col("score").mean())
    mixed = means.filter((pl.col("score") > 0) & (pl.col("score") < 1))
    return (mixed if mixed.height else means)["problem_id"][0]


def _moment(title: str, step: int, frame: pl.DataFrame) -> Moment:
    rows = [row for row in frame.iter_rows(named=True) if row["score"] is not None]
    right = [row for row in rows if row["score"] == 1.0]
    wrong = [row for row in rows if row["score"] != 1.0]
    shown = [
        Response(_cut(row["text"] or ""), row["score"] == 1.0, row["extracted"], row["valid_trace"])
        for row in (*right[:1], *wrong[:1])
    ]
    return Moment(title, step, len(right), len(rows), shown)


def _cut(text: str) -> str:
    return text if len(text) <= LIMIT else f"{text[:LIMIT]} … ({len(text) - LIMIT} more characters)"
