"""Checkpoints of a run: `checkpoints/step_N`, complete or not there at all.

TRL writes `checkpoint-N`; once everything is in it, it is renamed to `step_N`. A run killed in between leaves a
`checkpoint-N`, which is never resumed from and is removed by the next run.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from presat.errors import RunError

_COMPLETE = re.compile(r"step_(\d+)")
_PARTIAL = "checkpoint-*"


def checkpoint_step(folder: Path) -> int | None:
    """Return the step a checkpoint folder's name states, or None when it is not a checkpoint's name."""
    match = _COMPLETE.fullmatch(folder.name)
    return int(match[1]) if match else None


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the complete checkpoints in `folder`, oldest first."""
    found = [path for path in folder.glob("step_*") if checkpoint_step(path) is not None]
    return sorted(found, key=lambda path: checkpoint_step(path) or 0)


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint, or None."""
    found = list_checkpoints(folder)
    return found[-1] if found else None


def complete_checkpoint(folder: Path, step: int, keep: int) -> Path:
    """Give TRL's finished `checkpoint-STEP` its final name, and drop all but the `keep` newest (0 keeps all).

    Raises:
        RunError: the folder cannot be renamed.
    """
    target = folder / f"step_{step}"
    try:
        _drop(target)
        (folder / f"checkpoint-{step}").rename(target)
        for old in list_checkpoints(folder)[:-keep] if keep else []:
            _drop(old)
    except OSError as error:
        raise RunError(f"Cannot finish checkpoint {target}: {error.strerror}. Check space and rights.") from error
    return target


def discard_partial(folder: Path) -> None:
    """Remove what a killed run left half-written.

    Raises:
        RunError: it cannot be removed.
    """
    for path in folder.glob(_PARTIAL):
        try:
            shutil.rmtree(path)
        except OSError as error:
            raise RunError(f"Cannot remove the half-written {path}: {error.strerror}. Check your rights.") from error


def _drop(checkpoint: Path) -> None:
    """Delete a checkpoint under a partial one's name, so that a kill leaves no half of it under a whole one's."""
    if checkpoint.exists():
        doomed = checkpoint.with_name(_PARTIAL.replace("*", f"dropped-{checkpoint.name}"))
        checkpoint.rename(doomed)
        shutil.rmtree(doomed)
