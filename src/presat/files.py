"""How files are written so that a kill at any moment leaves the old one or the new one, and how JSON is read.

Whole files and folders are written under another name beside their place and renamed into it (`atomically`). The other
name says which process writes there, so that what a killed one left can be told and removed. Logs of JSON lines grow by
whole lines. A last line that is cut short was torn by a kill: who reads a log drops it and says so, who reads data
refuses it.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import socket
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from presat.errors import RunError

_DRAFT = re.compile(r"\..+\.(?P<machine>[0-9a-f]{8})-(?P<process>\d+)\.part")
_ABANDONED_S = 24 * 3600.0
"""A draft of another machine, whose processes cannot be seen, is left behind when nothing touched it for so long."""


@contextmanager
def atomically(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write a file or a folder to; leaving the block gives it the name `path`.

    An error within the block leaves `path` as it was. What killed writers of `path` left is removed first. The folder
    must be there; a folder can take the place of nothing or of an empty folder only.

    Raises:
        OSError: whatever goes wrong, for the caller to say what could not be written.
    """
    remove_leftovers(path.parent, path.name)
    draft = path.with_name(f".{path.name}.{_machine()}-{os.getpid()}.part")
    _delete(draft)  # of an earlier process with this number
    try:
        yield draft
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


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in `path`, or an empty one where there is no such file.

    Raises:
        RunError: the file is there but holds no JSON object.
    """
    if not path.is_file():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise RunError(
            f"{path} cannot be read as JSON ({error}). Restore it, or delete it if you can do without."
        ) from error
    if not isinstance(data, dict):
        raise RunError(f"{path} should hold a JSON object; it holds {type(data).__name__}.")
    return data


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file of JSON lines.

    Attributes:
        number: counted from 1.
        row: its object; None where it holds none.
        fault: what is wrong with it; empty where nothing is.
        torn: whether it is cut short: no object, and no end of line.
    """

    number: int
    row: dict[str, Any] | None
    fault: str = ""
    torn: bool = False

    def note(self, name: str) -> str:
        """Say that the line of the log `name` was left out, and why."""
        if self.torn:
            return f"The last line of {name} is torn (the run was killed while writing it) and was dropped."
        return f"Line {self.number} of {name} is not a JSON object and was skipped."


def json_lines(lines: Iterable[bytes], first: int = 1) -> Iterator[Line]:
    """Parse lines of JSON objects one by one; blank ones are left out. Whether a fault is an error, the caller says.

    Args:
        lines: the lines with their ends, as a file opened for reading bytes gives them.
        first: the number of the first one.
    """
    for number, line in enumerate(lines, start=first):
        if line.strip():
            yield _parsed(number, line)


def read_lines(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Read a log of JSON lines; return its objects and notes on the lines that had to be dropped.

    Raises:
        RunError: the file cannot be read.
    """
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    try:
        with path.open("rb") as file:
            for line in json_lines(file):
                if line.row is None:
                    notes.append(line.note(path.name))
                else:
                    rows.append(line.row)
    except OSError as error:
        raise RunError(f"Cannot read {path}: {error.strerror}.") from error
    return rows, notes


def mend_last_line(path: Path) -> bool:
    """Make a log of JSON lines end in a whole line: finish a complete one, cut a torn one off.

    Returns:
        Whether a torn line was cut off.
    """
    raw = path.read_bytes() if path.is_file() else b""
    if not raw or raw.endswith(b"\n"):
        return False
    start = raw.rfind(b"\n") + 1
    torn = _parsed(0, raw[start:]).row is None
    with path.open("r+b") as file:
        if torn:
            file.truncate(start)
        else:
            file.seek(0, os.SEEK_END)
            file.write(b"\n")
    return torn


def keep_lines(path: Path, wanted: Callable[[dict[str, Any]], bool]) -> int:
    """Cut a log of JSON lines down to some of them, which stay as they are, byte by byte.

    Lines that hold no object stay too, where they stand before a line that is kept: nobody knows what they were.

    Args:
        path: the log.
        wanted: whether to keep the line of an object.

    Returns:
        How many lines that hold no object were kept.

    Raises:
        OSError: it cannot be read or written.
    """
    kept: list[bytes] = []
    unread, waiting = 0, []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            row = _parsed(number, line).row
            if row is None:
                waiting.append(line)
            elif wanted(row):
                unread += sum(bool(item.strip()) for item in waiting)
                kept += [*waiting, line]
                waiting = []
    with atomically(path) as draft:
        draft.write_bytes(b"".join(kept))
    return unread


def _parsed(number: int, line: bytes) -> Line:
    torn = not line.endswith(b"\n")
    try:
        row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        return Line(number, None, f"not UTF-8 text ({error})", torn)
    except (ValueError, RecursionError) as error:
        return Line(number, None, f"not JSON ({error})", torn)
    if not isinstance(row, dict):
        return Line(number, None, f"should be a JSON object; it is {type(row).__name__}", torn)
    return Line(number, row)
