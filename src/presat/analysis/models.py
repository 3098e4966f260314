"""Which models an evaluation is of, where its steps are no curve: base, SFT and RL side by side in one `eval` run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from presat.tracking.evaluated import read_recorded
from presat.tracking.identity import NAME

if TYPE_CHECKING:
    from presat.tracking import Run

_FOLDER = "checkpoints"
"""Folder of a run's checkpoints; what is before it in a model's name is the run."""


def models_of(run: Run, set_name: str, steps: Sequence[int]) -> list[str]:
    """What the model at each step is called; empty where all are checkpoints of one run, or what it began from.

    Raises:
        RunError: the record of what was evaluated cannot be read.
    """
    if run.kind != "presat":
        return []
    noted = read_recorded(run.path).get(set_name, {})
    names = [str(noted.get(str(step), {}).get(NAME) or "") for step in steps]
    paths = [name.replace("\\", "/").rstrip("/").split("/") for name in names]
    owners = {tuple(path[: path.index(_FOLDER)] if _FOLDER in path else path) for path in paths}
    began = {tuple(path) for step, path in zip(steps, paths, strict=True) if step == 0}
    if not all(names) or len(owners - began) < 2:
        return []
    return _told_apart([[part for part in path if part != _FOLDER] for path in paths])


def _told_apart(paths: Sequence[list[str]]) -> list[str]:
    """The last parts of each name, as few as tell all apart; a checkpoint's run is always among them."""
    names: list[str] = []
    for depth in range(1, max(map(len, paths)) + 1):
        names = ["/".join(path[-max(depth, 1 + path[-1].startswith("step_")) :]) for path in paths]
        if len(set(names)) == len(names):
            break
    return names
