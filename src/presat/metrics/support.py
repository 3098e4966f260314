"""What a model can do, beyond its mean: pass@k as a curve with one band, and problems gained and lost.

Shapes: P problems, G responses each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from presat.errors import DataError
from presat.metrics.accuracy import Scores, mean_pass_at_k
from presat.metrics.intervals import Interval, share_interval

PassCurve = Mapping[int, Interval]
"""pass@k with its band, by k."""


class SupportChange(NamedTuple):
    """Problems by whether any of their samples was right, before and after.

    Attributes:
        kept: solved before and after.
        found: solved after alone.
        lost: solved before alone.
        never: solved neither time.
    """

    kept: int
    found: int
    lost: int
    never: int


def support_change(before: Mapping[str, Sequence[float]], after: Mapping[str, Sequence[float]]) -> SupportChange:
    """Compare which problems are solved at all; as many samples of a problem are looked at before as after.

    A problem that is rarely solved comes and goes by chance alone: many found *and* many lost say nothing.

    Args:
        before: judged scores of each problem's samples, 1 or 0, by the problem's id.
        after: the same of the other evaluation; problems of only one of the two are left out.
    """
    counts = [0, 0, 0, 0]
    for problem in before.keys() & after.keys():
        samples = min(len(before[problem]), len(after[problem]))
        solved = [any(score == 1.0 for score in rows[problem][:samples]) for rows in (before, after)]
        counts[(1 - solved[0]) + 2 * (1 - solved[1])] += 1
    kept, found, lost, never = counts
    return SupportChange(kept, found, lost, never)


def pass_curve(scores_PG: Scores, ks: Sequence[int], level: float = 0.95) -> PassCurve:
    """pass@k with a band that holds for all k at once.

    Every k has the interval of a mean of shares over problems (`share_interval`) at the level 1 - (1 - level) / m, for
    m of them together (Bonferroni). Curves of neighbouring k move together, so it holds more often than it says.

    Args:
        scores_PG: 1 right, 0 wrong, None missing.
        ks: the k wanted; those that fewer than three problems have samples for are left out.
        level: how often the whole curve lies within the band.

    Raises:
        DataError: no k, one below 1, or a score is not 0, 1 or missing.
    """
    wanted = sorted(set(ks))
    if not wanted or wanted[0] < 1:
        raise DataError(f"A curve of pass@k needs one k or more, each at least 1; got {list(ks)}.")
    each = 1.0 - (1.0 - level) / len(wanted)
    found: dict[int, Interval] = {}
    for k in wanted:
        values = [value for row in scores_PG if (value := mean_pass_at_k([row], k)) is not None]
        interval = share_interval(values, each) if values else None
        if interval is not None:
            found[k] = interval
    return found
