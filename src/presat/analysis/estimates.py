"""Changes between two evaluations, with the sampling error of the problems.

A held-out set is a sample of problems, and every problem has several responses that rise and fall together. So the
interval of a change is one over problems (a problem brings all its samples), paired: the same problem before and after.
It needs the saved responses. Greedy responses are not saved, and a majority is one answer a problem, so these two take
the evaluations as independent samples of problems (Agresti and Caffo's interval), which is wider than a paired one. A
problem with too few judged responses for a metric is left out of it, of the number and of its interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from presat.metrics import (
    Interval,
    change_interval,
    is_share,
    mean_interval,
    pass_at_k,
    proportion_change_interval,
    proportion_interval,
    share_interval,
)
from presat.metrics.intervals import MIN_UNITS

if TYPE_CHECKING:
    import polars as pl

LEVEL = 0.95
MEANS = ("avg", "score", "accuracy", "acc")
"""Scores that are the mean over a problem's samples, averaged over problems."""
MIN_CHANGE = 0.02
"""Smallest change that counts as a rise or a fall, where an interval says that it is one."""
MIN_CHANGE_BARE = 0.05
"""The same where there is no interval."""


@dataclass(frozen=True, slots=True)
class Change:
    """A number before and after training.

    Attributes:
        before: at the first evaluation.
        after: at the last evaluation.
        interval: `LEVEL` interval of after - before; None where the data do not give one.
        before_interval: of `before` alone; likewise.
        after_interval: of `after` alone.
        problems: how many problems both evaluations have a value of.
    """

    before: float
    after: float
    interval: Interval | None = None
    before_interval: Interval | None = None
    after_interval: Interval | None = None
    problems: int | None = None

    @property
    def difference(self) -> float:
        """After minus before."""
        return self.after - self.before

    def direction(self, least: float) -> int:
        """1 rose, -1 fell, 0 neither: by at least `least`, and with an interval (if any) that leaves out 0."""
        if abs(self.difference) < least:
            return 0
        if self.interval is not None and self.interval.low <= 0.0 <= self.interval.high:
            return 0
        return 1 if self.difference > 0 else -1


def avg_of(scores: list[float]) -> float:
    """Mean score of one problem's samples."""
    return math.fsum(scores) / len(scores)


def pass_of(k: int) -> Callable[[list[float]], float | None]:
    """pass@k of one problem's samples; None when it has fewer than k."""
    return lambda scores: pass_at_k(len(scores), round(math.fsum(scores)), k)


def by_problem(frame: pl.DataFrame, column: str = "score") -> dict[str, list[float]]:
    """One problem's known values of `column` by problem id; problems with none are left out."""
    import polars as pl

    rows = (
        frame.filter(pl.col(column).is_not_null())
        .group_by("problem_id", maintain_order=True)
        .agg(pl.col(column).cast(pl.Float64))
    )
    return dict(zip(rows["problem_id"].to_list(), rows[column].to_list(), strict=True))


def paired_change(
    before: float,
    after: float,
    rows_before: dict[str, list[float]],
    rows_after: dict[str, list[float]],
    of_problem: Callable[[list[float]], float | None],
    level: float = LEVEL,
) -> Change:
    """A change with its intervals over problems, those that the logged numbers are means of.

    Args:
        before: the logged value before.
        after: the logged value after.
        rows_before: values of each problem's samples before, by problem id.
        rows_after: the same after.
        of_problem: the metric of one problem; None where it has too few values.
        level: coverage of the intervals.
    """
    a, b = (
        {problem: value for problem, values in rows.items() if (value := of_problem(values)) is not None}
        for rows in (rows_before, rows_after)
    )
    both = a.keys() & b.keys()
    if not both:
        return Change(before, after)
    shares = is_share([*a.values(), *b.values()])
    of_mean, of_change = (share_interval, change_interval) if shares else (mean_interval, mean_interval)
    return Change(
        before,
        after,
        interval=of_change(_moves(a, b), level) if len(both) >= MIN_UNITS else None,
        before_interval=of_mean(list(a.values()), level),
        after_interval=of_mean(list(b.values()), level),
        problems=len(both),
    )


def _moves(a: dict[str, float], b: dict[str, float]) -> list[float]:
    """What each problem adds to the change of the mean: after minus before, where it was judged both times.

    One that was judged only once moves the mean by being there, so it counts by how far it lies from the mean of its
    evaluation. The mean over all problems is the difference of the two means.
    """
    if a.keys() == b.keys():
        return [b[problem] - a[problem] for problem in a]
    problems = list(dict.fromkeys([*a, *b]))

    def off_mean(values: dict[str, float]) -> list[float]:
        mean, weight = avg_of(list(values.values())), len(problems) / len(values)
        return [(values.get(problem, mean) - mean) * weight for problem in problems]

    change = avg_of(list(b.values())) - avg_of(list(a.values()))
    return [change + after - before for before, after in zip(off_mean(a), off_mean(b), strict=True)]


def proportion_change(before: float, after: float, problems: int | None) -> Change:
    """A change between two shares of right problems, one answer a problem (greedy, majority).

    Its interval takes the two evaluations as independent.
    """
    if not problems:
        return Change(before, after)
    return Change(
        before,
        after,
        interval=proportion_change_interval(before, after, problems, LEVEL),
        before_interval=proportion_interval(before, problems, LEVEL),
        after_interval=proportion_interval(after, problems, LEVEL),
        problems=problems,
    )


def direction(change: Change) -> int:
    """1 rose, -1 fell, 0 neither: by `MIN_CHANGE`, or without an interval by `MIN_CHANGE_BARE`, at least."""
    return change.direction(MIN_CHANGE if change.interval is not None else MIN_CHANGE_BARE)


def moved(change: Change) -> str:
    """By how much, as a sentence has it in brackets, with the interval where there is one."""
    text = signed(change.difference)
    if change.interval is None:
        return f"{text}, no interval"
    return f"{text}, 95% interval {signed(change.interval.low)} to {signed(change.interval.high)}"


def signed(value: float) -> str:
    """Two decimals with a sign; what rounds to nothing is `+0.00`."""
    return f"{round(value, 2) + 0.0:+.2f}"
