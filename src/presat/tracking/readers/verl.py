"""Reads what verl leaves: its console log, its file log, and the folders it dumps responses into.

- Console: `step:12 - critic/score/mean:0.41 - val-core/math/acc/mean@16:0.5`, behind whatever Ray puts before it
  (`(TaskRunner pid=1234)`, with or without colours). Values may be numpy's (`np.float64(0.41)`).
- File log (`VERL_FILE_LOGGER_PATH`): one `{"step": 12, "data": {...}}` a line.
- Responses (`rollout_data_dir`, `validation_data_dir`): see `dumps.py`.

verl trains from step 1 on and validates at step 0; early versions trained from step 0 on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from presat.errors import RunError
from presat.jsons import Faults, log_lines
from presat.tracking.readers.build import Log
from presat.tracking.readers.rows import torn_note

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_STEP = re.compile(r"(?:^|\s)step:(\d+) - (.*)")
_NUMPY = re.compile(r"np\.\w+\((.*)\)")


def read_console(path: Path) -> Log | None:
    """Read a console log; None when it has no line of verl's.

    Raises:
        RunError: the file cannot be read.
    """
    torn: list[str] = []
    rows = [(None, row) for row in _console_rows(path, torn)]
    return Log(path, "verl", rows, torn=torn) if rows or torn else None


def read_file_log(path: Path) -> Log:
    """Read a log of verl's file logger.

    Raises:
        RunError: the file cannot be read.
    """
    rows, faults, bare = [], Faults(), 0
    for line in log_lines(path, faults):
        row = line.row or {}
        data = row.get("data")
        if isinstance(data, dict):
            rows.append((line.number, {**data, "step": row.get("step")}))
        else:
            bare += 1
    notes = faults.notes(path.name)
    if bare:
        notes.append(f"{'1 line' if bare == 1 else f'{bare} lines'} of {path.name} without an object `data`: left out.")
    return Log(path, "verl", rows, notes=notes)


def _console_rows(path: Path, torn: list[str]) -> Iterator[dict[str, Any]]:
    """The steps of a console log. A last one without its end may lack half of a number: `torn` says so instead."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:  # a progress bar's carriage returns end lines too
                if "step:" not in line:
                    continue
                match = _STEP.search(_COLOUR.sub("", line))
                if match and not line.endswith("\n"):
                    torn.append(torn_note(path.name))
                elif match:
                    yield {**_pairs(match.group(2)), "step": float(match.group(1))}
    except OSError as error:
        raise RunError(f"Cannot read {path}: {error.strerror}.") from error


def _pairs(text: str) -> dict[str, float | str]:
    """The values of `name:value - name:value`; what is not a number stays text."""
    found: dict[str, float | str] = {}
    for pair in text.strip().split(" - "):
        name, _, raw = pair.strip().rpartition(":")
        numpy_value = _NUMPY.fullmatch(raw)
        if not name:
            continue
        try:
            found[name] = float(numpy_value.group(1) if numpy_value else raw)
        except ValueError:
            found[name] = raw
    return found
