"""Means over repeats: runs of one group, usually seeds of one setting, with a bootstrap over the runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from presat.errors import ConfigError
from presat.metrics import Interval, bootstrap_interval

if TYPE_CHECKING:
    from presat.analysis.summary import RunSummary


@dataclass(frozen=True, slots=True)
class Repeat:
    """One group of runs.

    Attributes:
        name: the group.
        runs: how many runs it has.
        verdicts: how many runs got each verdict.
        means: by quantity: mean over the runs that have it, with a 95% interval over runs where there are two or more.
    """

    name: str
    runs: int
    verdicts: dict[str, int]
    means: dict[str, Interval]


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
    for summary in summaries:
        verdicts[summary.verdict.label] = verdicts.get(summary.verdict.label, 0) + 1
        for quantity, value in _quantities(summary).items():
            if value is not None:
                values.setdefault(quantity, []).append(value)
    means = {
        quantity: bootstrap_interval(found) if len(found) > 1 else Interval(found[0], found[0], found[0])
        for quantity, found in values.items()
    }
    return Repeat(name, len(summaries), verdicts, means)


def _quantities(summary: RunSummary) -> dict[str, float | None]:
    found: dict[str, float | None] = {
        "reward, first to last": summary.reward.difference if summary.reward else None,
        "t_sat": float(summary.t_sat) if summary.t_sat is not None else None,
    }
    for item in summary.sets:
        if item.first_step != item.last_step:
            found[f"{item.name} {item.metric}, first to last"] = item.headline.difference
            found[f"{item.name} transfer"] = summary.transfer(item)
        found[f"{item.name} D_sat"] = item.gains.pre_saturation_gain
        found[f"{item.name} D_post"] = item.gains.post_saturation_residual
    return found
