"""`open_run`: finds out what a path holds and reads it as a `Run`."""

from __future__ import annotations

from pathlib import Path

from presat.errors import RunError
from presat.tracking.readers import read_presat
from presat.tracking.run import Run
from presat.tracking.writer import METRICS


def open_run(path: Path | str) -> Run:
    """Open a saved run.

    Args:
        path: a run directory of ours.

    Raises:
        RunError: nothing is there, or it is in no format that presat reads; the message lists what was looked for.
    """
    path = Path(path)
    if not path.exists():
        raise RunError(f"There is no run at {path}. Check the path.")
    if (path / METRICS).is_file():
        return read_presat(path)
    raise RunError(f"{path} holds no run that presat can read: looked for {METRICS}.")
