"""How files are written so that a kill at any moment leaves the old one or the new one.

Whole files and folders are written under another name beside their place and renamed into it (`atomically`). The other
name says which process writes there, so that what a killed one left can be told and removed.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import socket
import stat
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from presat.errors import RunError

_DRAFT = re.compile(r"\..+\.(?P<machine>[0-9a-f]{8})-(?P<process>\d+)\.part")
_ABANDONED_S = 24 * 3600.0
"""A draft of another machine, whose processes cannot be seen, is left behind when nothing touched it for so long."""

_ONE_AT_A_TIME = threading.Lock()


@contextmanager
def atomically(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write a file or a folder to; leaving the block gives it the name `path`.

    An error within the block leaves `path` as it was. What killed writers of `path` left is removed first. The folder
    must be there; a folder can take the place of nothing or of an empty folder only. Files get the mode that the umask
    gives, whoever wrote them.

    Raises:
        OSError: whatever goes wrong, for the caller to say what could not be written.
    """
    remove_leftovers(path.parent, path.name)
    draft = path.with_name(f".{path.name}.{_machine()}-{os.getpid()}.part")
    _delete(draft)  # of an earlier process with this number
    try:
        yield draft
        usual_modes(draft)
        for file in draft.rglob("*") if draft.is_dir() else (draft,):
            if file.is_file():
                with file.open("r+b") as written:
                    os.fsync(written.fileno())
        draft.replace(path)
    except BaseException:
        _delete(draft)
        raise


def write_atomically(path: Path, text: str) -> None:
    """Write `text` to `path`; readers see the old file or the new one.

    Raises:
        RunError: the folder cannot be written to.
    """
    try:
        with atomically(path) as draft:
            draft.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunError(f"Cannot write {path}: {error.strerror}. Check the disk and your rights there.") from error


def usual_modes(path: Path) -> None:
    """Give a file, or all below a folder, the mode that the umask gives: safetensors writes for the owner alone.

    Raises:
        OSError: a mode cannot be changed.
    """
    mode = 0o666 & ~_umask()
    for file in path.rglob("*") if path.is_dir() else (path,):
        if file.is_file() and not file.is_symlink() and stat.S_IMODE(file.stat().st_mode) != mode:
            file.chmod(mode)


def _umask() -> int:
    """The umask, which can only be read by setting it; a file that another thread makes meanwhile is the owner's."""
    with _ONE_AT_A_TIME:
        mask = os.umask(0o077)
        os.umask(mask)
    return mask


def expanded(path: str | Path) -> Path:
    """Return the path a person wrote: what is there by this very name, else with `~` or `~user` as a home folder."""
    path = Path(path)
    if path.parts[:1] and path.parts[0].startswith("~") and not path.exists():
        with suppress(RuntimeError):  # no such user
            return path.expanduser()
    return path


def remove_leftovers(folder: Path, name: str = "") -> None:
    """Remove what killed processes left of `atomically` in a folder: drafts of `name`, or all of them.

    Raises:
        OSError: one cannot be removed.
    """
    for path in folder.glob(f".{glob.escape(name) or '*'}.*.part"):
        if _is_left(path):
            _delete(path)


def _is_left(draft: Path) -> bool:
    """Whether the process that wrote a draft is gone, as far as can be told from here."""
    match = _DRAFT.fullmatch(draft.name)
    if match is None:  # somebody else's file
        return False
    if match["machine"] != _machine():
        try:
            return time.time() - draft.lstat().st_mtime > _ABANDONED_S
        except OSError:  # it has its name by now
            return False
    try:
        os.kill(int(match["process"]), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:  # it runs, as another user
        return False
    return False


def _machine() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there; of a link, the link.

    Raises:
        RunError: it cannot be removed.
    """
    try:
        _delete(path)
    except OSError as error:
        raise RunError(f"Cannot delete {path}: {error.strerror}.") from error


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
