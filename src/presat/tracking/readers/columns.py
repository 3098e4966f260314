"""Which of a log's columns is what: the step, the reward, the scores, and what is only kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from presat.errors import RunError, nearest
from presat.metrics import GOLD_ACCURACY, is_score
from presat.text import brief, listed
from presat.tracking.readers.aliases import is_counter, is_known, our_name, reward_rank, step_rank

MOST_NAMED = 6
"""Unknown columns that a note names; there may be hundreds."""
_OF_PLANNED = re.compile(r"(\d+)/\d+")


@dataclass
class Columns:
    """What the columns of a log are.

    Attributes:
        steps: those that count steps, the one to be believed first.
        ours: our name of every other column that is read.
        reward: what the column with the train reward is called, without its run; empty without one.
        unknown: columns that are kept and never judged.
        notes: what there is to say of them.
        slime: whether the log is slime's.
    """

    steps: list[str] = field(default_factory=list)
    ours: dict[str, str] = field(default_factory=dict)
    reward: str = ""
    unknown: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    slime: bool = False

    def row(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """A row by our names, with its step where it has one."""
        found = {ours: raw[name] for name, ours in self.ours.items() if name in raw}
        steps = (raw[name] for name in self.steps if raw.get(name) is not None)
        return {**found, "step": _step(next(steps, None))}


def columns_of(
    path: Path,
    names: Sequence[str],
    chosen: Mapping[str, str] | None = None,
    strict: bool = True,
    metric_of: Callable[[str], str] = str.strip,
) -> Columns:
    """Find out what the columns of a log are.

    Args:
        path: the log, for messages.
        names: its columns, in their order.
        chosen: what a person says they are: our name (`step`, `reward`, `labels/gold_accuracy`, `SET/METRIC` or `SET`)
            to theirs.
        strict: two columns of one metric are refused; else the second keeps its name.
        metric_of: what a column is called without the run it belongs to.

    Raises:
        RunError: two columns are one metric, or one that was chosen is not there.
    """
    found = Columns()
    metrics = {name: metric_of(name) for name in names}
    named = _chosen(path, metrics, chosen or {})
    found.slime = any(metric.lower().startswith("rollout/raw_reward") for metric in metrics.values())
    steps = _steps(path, names, metrics, named)
    found.steps, dropped = steps
    reward = _reward(metrics, named)
    found.reward = metrics.get(reward, "")
    if strict and dropped:
        found.notes.append(f"Several columns of {path.name} count steps; left out: {listed(dropped)}.")
    taken: set[str] = set()
    seen: set[str] = set()
    for name in names:
        if name in (*found.steps, *dropped):
            continue
        ours = named.get(name) or ("reward" if name == reward else _name(metrics[name], found.slime))
        if strict and (ours in taken or name in seen):
            raise RunError(f"{path} has several columns of {brief(ours)}. Keep one run a file, and each column once.")
        ours = metrics[name] if ours in taken else ours
        seen.add(name)
        taken.add(ours)
        found.ours[name] = ours
        if name not in named and not is_known(metrics[name], found.slime):
            found.unknown.append(name)
    return found


def unknown_note(path: Path, unknown: Sequence[str], metric_of: Callable[[str], str] = str.strip) -> list[str]:
    """Say once which columns are kept and never judged, and how to say that one is a score."""
    if not unknown:
        return []
    names = listed([metric_of(name) for name in unknown], MOST_NAMED)
    count = "1 column" if len(unknown) == 1 else f"{len(unknown)} columns"
    said = f"{count} of {path.name} that presat does not know, kept and never judged: {names}."
    return [f"{said} Is one a held-out score or the reward? Say so: --columns SET COLUMN, --columns reward COLUMN."]


def _chosen(path: Path, metrics: Mapping[str, str], chosen: Mapping[str, str]) -> dict[str, str]:
    """Our name of every column that was chosen."""
    found: dict[str, str] = {}
    for ours, theirs in chosen.items():
        columns = [name for name, metric in metrics.items() if theirs.lower() in (name.lower(), metric.lower())]
        if not columns:
            known = dict.fromkeys(metrics.values())
            raise RunError(
                f"{path} has no column {brief(theirs)}.{nearest(theirs, known)} Its columns: {listed([*known])}."
            )
        found |= dict.fromkeys(columns, _chosen_name(ours))
    return found


def _chosen_name(ours: str) -> str:
    if ours in ("step", "reward", GOLD_ACCURACY):
        return ours
    name = ours.removeprefix("eval/")
    return f"eval/{name}" if "/" in name and is_score(name.rpartition("/")[2]) else f"eval/{name}/score"


def _steps(
    path: Path, names: Sequence[str], metrics: Mapping[str, str], named: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """The columns that count steps, the one to be believed first; and those that are not looked at."""
    ranked = sorted(
        (name for name in dict.fromkeys(names) if step_rank(metrics[name]) is not None),
        key=lambda name: step_rank(metrics[name]) or 0,
    )
    twice = [name for name in ranked if list(names).count(name) > 1]
    if twice:
        raise RunError(f"{path} has several columns of 'step'. Keep one run a file, and each column once.")
    chosen = [name for name, ours in named.items() if ours == "step"]
    if chosen:
        return chosen, ranked if chosen != ranked else []
    true = [name for name in ranked if not is_counter(metrics[name])] or ranked
    return true, [name for name in ranked if name not in true[:1]]


def _reward(metrics: Mapping[str, str], named: Mapping[str, str]) -> str:
    chosen = [name for name, ours in named.items() if ours == "reward"]
    if chosen:
        return chosen[0]
    candidates = [(rank, name) for name, metric in metrics.items() if (rank := reward_rank(metric)) is not None]
    return min(candidates, key=lambda item: item[0])[1] if candidates else ""


def _name(metric: str, slime: bool) -> str:
    """Our name of a column that is not the reward's: `reward` itself is then taken."""
    ours = our_name(metric, slime)
    return metric if ours == "reward" and metric.lower() != "reward" else ours


def _step(value: Any) -> Any:
    """A step; ms-swift writes `1/609`."""
    match = _OF_PLANNED.fullmatch(value) if isinstance(value, str) else None
    return int(match.group(1)) if match else value


def names_in(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The names that rows hold, in the order of their first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row))
