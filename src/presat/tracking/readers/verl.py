"""Reads what verl leaves: its console log, its file log, and the folders it dumps responses into.

- Console: `step:12 - critic/score/mean:0.41 - val-core/math/acc/mean@16:0.5`, behind whatever Ray puts before it
  (`(TaskRunner pid=1234)`, with or without colours). Values may be numpy's (`np.float64(0.41)`).
- File log (`VERL_FILE_LOGGER_PATH`): one `{"step": 12, "data": {...}}` a line.
- Responses (`rollout_data_dir`, `validation_data_dir`): see `dumps.py`.

verl trains from step 1 on and validates at step 0; early versions trained from step 0 on, which is shifted here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from presat.errors import RunError
from presat.files import read_lines
from presat.tracking.readers.names import rename
from presat.tracking.readers.rows import Values, collect_rows
from presat.tracking.run import Run

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_STEP = re.compile(r"(?:^|\s)step:(\d+) - (.*)")
_NUMPY = re.compile(r"np\.\w+\((.*)\)")


def read_console(path: Path) -> Run | None:
    """Read a console log; None when it has no line of verl's.

    Raises:
        RunError: the file cannot be read.
    """
    values, notes = collect_rows(_console_rows(path), path.name)
    return _verl_run(path, values, notes) if values else None


def read_file_log(path: Path) -> Run:
    """Read a log of verl's file logger.

    Raises:
        RunError: the file cannot be read.
    """
    rows, notes = read_lines(path)
    flat = [{"step": row.get("step"), **row["data"]} for row in rows if isinstance(row.get("data"), dict)]
    values, more = collect_rows(flat, path.name)
    return _verl_run(path, values, notes + more)


def _verl_run(path: Path, values: Values, notes: list[str]) -> Run:
    values = rename(values)
    if 0 in values.get("reward", {}):
        notes.append("This log counts training steps from 0; they are shifted by one so that the first is step 1.")
        for name, series in values.items():
            if not name.startswith("eval/"):
                values[name] = {step + 1: value for step, value in series.items()}
    if any("/best@" in name for name in values):
        notes.append("best@k is verl's bootstrap with replacement, which is lower than the unbiased pass@k.")
    return Run(path=path, kind="verl", values=values, notes=notes)


def _console_rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:  # a progress bar's carriage returns end lines too
                if "step:" not in line:
                    continue
                match = _STEP.search(_COLOUR.sub("", line))
                if match:
                    yield {"step": int(match.group(1)), **_pairs(match.group(2))}
    except OSError as error:
        raise RunError(f"Cannot read {path}: {error.strerror}.") from error


def _pairs(text: str) -> dict[str, float]:
    """The numbers of `name:value - name:value`; what is not a number is left out."""
    found: dict[str, float] = {}
    for pair in text.strip().split(" - "):
        name, _, raw = pair.strip().rpartition(":")
        numpy_value = _NUMPY.fullmatch(raw)
        try:
            found[name] = float(numpy_value.group(1) if numpy_value else raw)
        except ValueError:
            continue
    return found
