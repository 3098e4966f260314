"""Means over repeats: runs of one group, usually seeds of one setting, with Student's interval over the runs.

Runs without a quantity (a t_sat, for one) take no part in its mean, so every mean says how many it is of.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from presat.errors import ConfigError
from presat.metrics import Interval, is_share, mean_interval

if TYPE_CHECKING:
    from presat.analysis.summary import RunSummary

CHANGE = (-1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Mean:
    """A quantity over the runs of a group that have it.

    Attributes:
        values: its value in each of these runs.
        interval: 95% interval of the mean; None for fewer than three runs, or where all values are equal: then the
            values are what there is to show.
    """

    values: tuple[float, ...]
    interval: Interval | None

    @property
    def runs(self) -> int:
        """How many runs it is a mean of."""
        return len(self.values)

    @property
    def estimate(self) -> float:
        """The mean."""
        return math.fsum(self.values) / len(self.values)


@dataclass(frozen=True, slots=True)
class Repeat:
    """One group of runs.

    Attributes:
        name: the group.
        runs: how many runs it has.
        verdicts: how many runs got each verdict.
        means: by quantity: its mean over the runs that have it.
    """

    name: str
    runs: int
    verdicts: dict[str, int]
    means: dict[str, Mean]


def repeats(summaries: Sequence[RunSummary], groups: Sequence[str] | None) -> list[Repeat]:
    """Group the runs; empty without groups, or when every group is a single run.

    Raises:
        ConfigError: there are groups, but not one for each run.
    """
    if not groups:
        return []
    if len(groups) != len(summaries):
        raise ConfigError(f"There are {len(summaries)} runs but {len(groups)} groups. Give one for each run, or none.")
    members: dict[str, list[RunSummary]] = {}
    for group, summary in zip(groups, summaries, strict=True):
        members.setdefault(group, []).append(summary)
    if all(len(found) < 2 for found in members.values()):
        return []
    return [_repeat(name, found) for name, found in members.items()]


def _repeat(name: str, summaries: Sequence[RunSummary]) -> Repeat:
    verdicts: dict[str, int] = {}
    values: dict[str, list[float]] = {}
    bounds: dict[str, tuple[float, float] | None] = {}
    for summary in summaries:
        verdicts[summary.verdict.label] = verdicts.get(summary.verdict.label, 0) + 1
        for quantity, (value, within) in _quantities(summary).items():
            if value is not None:
                values.setdefault(quantity, []).append(value)
                bounds[quantity] = within if bounds.get(quantity, within) == within else None
    means = {
        quantity: Mean(tuple(found), mean_interval(found, within=bounds[quantity]))
        for quantity, found in values.items()
    }
    return Repeat(name, len(summaries), verdicts, means)


def _quantities(summary: RunSummary) -> dict[str, tuple[float | None, tuple[float, float] | None]]:
    """What is averaged, and what it lies in where that is known: changes of shares lie within -1 and 1."""
    of_rewards = CHANGE if summary.reward_is_share else None
    found: dict[str, tuple[float | None, tuple[float, float] | None]] = {
        "reward, first to last": (summary.reward.difference if summary.reward else None, of_rewards),
        "t_sat": (float(summary.t_sat) if summary.t_sat is not None else None, None),
    }
    for item in summary.sets:
        within = CHANGE if is_share(item.scores) else None
        if item.first_step != item.last_step:
            found[f"{item.name} {item.metric}, first to last"] = item.headline.difference, within
            found[f"{item.name} transfer"] = summary.transfer(item), None
        found[f"{item.name} D_sat"] = item.gains.pre_saturation_gain, within
        found[f"{item.name} D_post"] = item.gains.post_saturation_residual, within
    return found
