"""Changes between two evaluations, with the sampling error of the problems.

A held-out set is a sample of problems, and every problem has several responses that rise and fall together. So the
interval of a change is a bootstrap over problems (a cluster bootstrap: a problem brings all its samples), paired: the
same problem before and after. It needs the saved responses. Greedy responses are not saved, and a majority is one
answer a problem, so these two take the evaluations as independent samples of problems (Agresti and Caffo's interval),
which is wider than a paired one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from presat.metrics import Interval, bootstrap_interval, pass_at_k

if TYPE_CHECKING:
    import polars as pl

LEVEL = 0.95
RESAMPLES = 4000
MEANS = ("avg", "score", "accuracy", "acc")
"""Scores that are the mean over a problem's samples, averaged over problems."""
Z = 1.959964  # normal quantile of LEVEL
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
        problems: how many problems the intervals rest on.
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
    resamples: int = RESAMPLES,
) -> Change:
    """A change with its bootstrap over the problems that both evaluations have.

    Args:
        before: the logged value before.
        after: the logged value after.
        rows_before: values of each problem's samples before, by problem id.
        rows_after: the same after.
        of_problem: the metric of one problem.
        level: coverage of the intervals.
        resamples: bootstrap draws.
    """
    pairs = []
    for problem, values in rows_before.items():
        a, b = of_problem(values), of_problem(rows_after[problem]) if problem in rows_after else None
        if a is not None and b is not None:
            pairs.append((a, b))
    if len(pairs) < 2:
        return Change(before, after, problems=len(pairs) or None)
    return Change(
        before,
        after,
        interval=bootstrap_interval([b - a for a, b in pairs], level, resamples),
        before_interval=bootstrap_interval([a for a, _ in pairs], level, resamples),
        after_interval=bootstrap_interval([b for _, b in pairs], level, resamples),
        problems=len(pairs),
    )


def proportion_change(before: float, after: float, problems: int | None) -> Change:
    """A change between two shares of right problems, one answer a problem (greedy, majority).

    The interval of the difference is Agresti and Caffo's (one right and one wrong added to each), those of the shares
    are Wilson's; both take the two evaluations as independent.
    """
    if not problems:
        return Change(before, after)
    shares = [(share * problems + 1) / (problems + 2) for share in (before, after)]
    spread = Z * math.sqrt(sum(share * (1 - share) for share in shares) / (problems + 2))
    middle = shares[1] - shares[0]
    return Change(
        before,
        after,
        interval=Interval(after - before, middle - spread, middle + spread),
        before_interval=_wilson(before, problems),
        after_interval=_wilson(after, problems),
        problems=problems,
    )


def _wilson(share: float, n: int) -> Interval:
    scale = 1 + Z**2 / n
    middle = (share + Z**2 / (2 * n)) / scale
    spread = Z / scale * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return Interval(share, max(0.0, middle - spread), min(1.0, middle + spread))


def direction(change: Change) -> int:
    """1 rose, -1 fell, 0 neither: by `MIN_CHANGE`, or without an interval by `MIN_CHANGE_BARE`, at least."""
    return change.direction(MIN_CHANGE if change.interval is not None else MIN_CHANGE_BARE)
