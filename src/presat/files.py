"""How the files of a run directory are written and read so that a kill at any moment loses at most one line.

Whole files are written beside their place and renamed into it; `metrics.jsonl` grows by whole lines. A last line that
is cut short was torn by a kill: readers drop it and say so, a resumed run cuts it off.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from presat.errors import RunError


def write_atomically(path: Path, text: str) -> None:
    """Write `text` to `path` by way of a temporary file beside it; readers see the old file or the new one.

    Raises:
        RunError: the folder cannot be written to.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise RunError(f"Cannot write {path}: {error.strerror}. Check the disk and your rights there.") from error


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


def read_lines(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Read a JSON-lines file; return its objects and notes on the lines that had to be dropped.

    Raises:
        RunError: the file cannot be read.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise RunError(f"Cannot read {path}: {error.strerror}.") from error
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    for number, line, complete in _numbered(raw):
        row = _parse(line)
        if row is not None:
            rows.append(row)
        elif complete:
            notes.append(f"Line {number} of {path.name} is not a JSON object and was skipped.")
        else:
            notes.append(f"The last line of {path.name} is torn (the run was killed while writing it) and was dropped.")
    return rows, notes


def mend_last_line(path: Path) -> None:
    """Make a JSON-lines file end in a whole line: finish a complete one, cut a torn one off."""
    raw = path.read_bytes() if path.is_file() else b""
    if not raw or raw.endswith(b"\n"):
        return
    start = raw.rfind(b"\n") + 1
    with path.open("r+b") as file:
        if _parse(raw[start:]) is None:
            file.truncate(start)
        else:
            file.seek(0, os.SEEK_END)
            file.write(b"\n")


def _numbered(raw: bytes) -> Iterator[tuple[int, bytes, bool]]:
    """Yield line number, line and whether it ends in a newline, blank lines left out."""
    lines = raw.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, line, number < len(lines)


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None
