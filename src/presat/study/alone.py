"""One driver at a time works in a study's folder, and its processes have a moment to end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from presat.errors import RunError
from presat.tracking.lock import RunLock

GRACE_S = 5.0
"""Seconds that processes with a cell nobody will use have to record how it ended, before they are killed."""


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Make a folder, and keep every other driver out of it within the block.

    Raises:
        RunError: it cannot be made, or another one is in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"Cannot make the folder {folder}: {error.strerror}. Choose another.") from error
    lock = RunLock(folder)
    try:
        yield
    finally:
        lock.release()
