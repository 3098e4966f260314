"""One writer per run directory.

The lock is the operating system's (`filelock`), so it is gone the moment its holder is, however that ended. Who holds
it is written beside it for the error message.
"""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

from filelock import FileLock, Timeout

from presat.errors import RunError
from presat.files import write_atomically
from presat.jsons import read_json

LOCK_NAME = ".lock"
HOLDER_NAME = ".lock.json"


class RunLock:
    """Exclusive right to write to a run directory; taken at construction.

    Raises:
        RunError: someone else holds it (the message names who), or the folder cannot be written to.
    """

    def __init__(self, folder: Path, wait_s: float = 1.0) -> None:
        self._lock = FileLock(folder / LOCK_NAME)
        try:
            self._lock.acquire(timeout=wait_s, poll_interval=0.05)  # waits out a reader's momentary look
        except Timeout:
            raise RunError(
                f"{folder} is being written by {_holder(folder)}. Wait for it, end it, or choose another run directory."
            ) from None
        except OSError as error:
            raise RunError(
                f"Cannot write to {folder}: {error.strerror}. Choose a run directory you may write to."
            ) from error
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
        write_atomically(folder / HOLDER_NAME, json.dumps(holder))

    def release(self) -> None:
        """Let the next writer in."""
        self._lock.release()


def is_locked(folder: Path) -> bool | None:
    """Whether a writer holds the run directory now. Only looks; None where that cannot be told."""
    try:
        import fcntl
    except ImportError:  # not a Unix
        return None
    try:
        with (folder / LOCK_NAME).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    except OSError:  # a lock file that may not be read, a file system without such locks
        return None
    return False


def _holder(folder: Path) -> str:
    try:
        holder = read_json(folder / HOLDER_NAME)
    except RunError:  # whoever holds it, the folder is held
        holder = {}
    if not holder:
        return "another process"
    return f"process {holder.get('pid')} on {holder.get('host')} (since {holder.get('since')})"
