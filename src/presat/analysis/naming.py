"""What runs are called where several stand side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from presat.errors import ConfigError

if TYPE_CHECKING:
    from presat.tracking import Run


def run_names(runs: Sequence[Run], labels: Sequence[str] | None = None) -> list[str]:
    """A name for each run: the labels given, or as few folders of its path as tell the runs apart.

    Folders that all runs end in are left out: `demo/cpt/rl` and `demo/base/rl` are `cpt` and `base`. A run given twice
    gets a number.

    Raises:
        ConfigError: there are labels, but not one for each run.
    """
    if labels:
        if len(labels) != len(runs):
            raise ConfigError(f"There are {len(runs)} runs but {len(labels)} labels. Give one for each run, or none.")
        return _numbered([str(label) for label in labels])
    if len(runs) < 2 or len({run.name for run in runs}) == len(runs):
        return _numbered([run.name for run in runs])
    parts = [(*Path(run.path).resolve().parent.parts, run.name) for run in runs]
    while all(len(part) > 1 for part in parts) and len({part[-1] for part in parts}) == 1:
        parts = [part[:-1] for part in parts]
    longest = max(len(part) for part in parts)
    for depth in range(1, longest + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return _numbered([run.name for run in runs])


def _numbered(names: list[str]) -> list[str]:
    """Tell equal names apart by a number."""
    found: list[str] = []
    for name in names:
        count, candidate = 2, name
        while candidate in found:
            candidate, count = f"{name} ({count})", count + 1
        found.append(candidate)
    return found
