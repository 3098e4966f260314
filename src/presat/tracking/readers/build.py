"""Rows of any log to a `Run`: names, steps, and what has to be said of its rewards. Every reader of logs ends here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from presat.metrics import is_score
from presat.tracking.readers.aliases import EXTREMES, PROXIES, WORDS, is_known
from presat.tracking.readers.columns import Columns, columns_of, names_in, unknown_note
from presat.tracking.readers.percents import read_percents
from presat.tracking.readers.rows import Rows, Values
from presat.tracking.readers.shares import as_shares, two_values
from presat.tracking.readers.sums import read_sums
from presat.tracking.run import Kind, Run

SHIFTED = "This log counts training steps from 0; they are shifted by one so that the first is step 1."
BEFORE = "The reward of step 0 is left out of the curve: training steps count from 1, and step 0 is before training."
BOOTSTRAP = "best@k is verl's bootstrap with replacement, which is lower than the unbiased pass@k."


@dataclass
class Log:
    """What a reader found: rows as they were written.

    Attributes:
        path: where.
        kind: whose format it is.
        rows: number of the line, where there are lines, and the row.
        called: the run's name, where the log says it.
        notes: what the reader has to say.
        torn: what is to be said of a last line without its end.
        columns: what its columns are, where the reader knows already.
    """

    path: Path
    kind: Kind
    rows: Sequence[tuple[int | None, Mapping[str, Any]]]
    called: str = ""
    notes: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    columns: Columns | None = None


def run_of(log: Log, chosen: Mapping[str, str] | None = None) -> Run:
    """Make a run of a log.

    Args:
        log: its rows.
        chosen: which columns are what, as `columns_of` takes it.

    Raises:
        RunError: as `columns_of`; a step is beyond what a training reaches.
    """
    columns = log.columns or columns_of(log.path, names_in(row for _, row in log.rows), chosen, strict=False)
    ignored = {name for name in columns.ours if name.lower() in WORDS}
    found = Rows(log.path.name, {ours: name for name, ours in columns.ours.items()})
    for number, row in log.rows:
        found.add(columns.row({name: value for name, value in row.items() if name not in ignored}), number)
    values, broken = found.values, found.not_finite
    unknown = [name for name in columns.unknown if columns.ours[name] in values]
    notes = [*log.notes, *columns.notes, *unknown_note(log.path, unknown), *found.notes()]
    notes += _from_one(values, broken, columns, log.kind)
    notes += _shares(values, columns.reward)
    notes += read_percents(values)
    notes += read_sums(values)
    notes += without_proxies(values)
    if log.kind == "verl" and any("/best@" in name for name in values):
        notes.append(BOOTSTRAP)
    return Run(log.path, log.kind, values, notes=notes, torn=log.torn, called=log.called, not_finite=broken)


def _from_one(values: Values, broken: dict[str, set[int]], columns: Columns, kind: Kind) -> list[str]:
    """Shift a log whose first training step is 0. slime calls evaluation k the one behind step k, but the first.

    A table of one's own may hold a reward of before training in row 0.
    """
    if 0 not in values.get("reward", {}):
        return []
    if kind == "csv" and columns.reward.lower() == "reward":
        return [BEFORE]
    for name, series in values.items():
        if not name.startswith("eval/"):
            values[name] = {step + 1: value for step, value in series.items()}
            if name in broken:
                broken[name] = {step + 1 for step in broken[name]}
        elif columns.slime:
            values[name] = {step + (step > 0): value for step, value in series.items()}
    return [SHIFTED]


def _shares(values: Values, reward: str) -> list[str]:
    """Read a two-valued reward as a share, where the least and the highest of every step show that it is one."""
    ends = EXTREMES.get(reward.lower().removeprefix("train/"), ())
    seen = {name.lower(): series for name, series in values.items()}
    if not ends or any(end not in seen for end in ends):
        return []
    found = two_values(value for end in ends for value in seen[end].values())
    return [] if found is None else as_shares(values, *found)


def without_proxies(values: Values) -> list[str]:
    """Take from held-out scores the mean of a reward that is known to be no accuracy; say where a reward is all."""
    notes = []
    for name in [name for name in values if name.startswith("eval/") and name.endswith("/reward")]:
        prefix = name.removesuffix("reward")
        set_name = prefix.split("/", 1)[1].rstrip("/")
        beside = [other.removeprefix(prefix) for other in values if other.startswith(prefix)]
        proxies = [other for other in beside if other.split("/")[0] in PROXIES]
        if any(other != "reward" and is_score(other) for other in beside):
            continue
        if proxies:
            values[f"{prefix}proxy_reward"] = values.pop(name)
            notes.append(
                f"On {set_name} only a proxy was logged ({', '.join(sorted(proxies))}), which is no held-out score. "
                "With an answer column in the evaluation set true accuracy is logged beside it."
            )
        else:
            parts = [other for other in beside if other != "reward" and "/" not in other and not is_known(other)]
            one = (
                f" Is one of its parts true accuracy ({', '.join(parts)})? Say so: --columns SET COLUMN."
                if parts
                else ""
            )
            notes.append(
                f"The held-out score of {set_name} is its mean reward, for nothing says which responses were right: "
                f"where that reward is a proxy, so is the score.{one}"
            )
    return notes
