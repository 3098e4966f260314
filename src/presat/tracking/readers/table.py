"""Reads a table with one row a step: CSV (comma, semicolon or tab) or JSON lines.

Columns are `step`, `reward` and anything else: known training metrics by their names, all others as evaluations
(`SET/METRIC`, or a bare name as a set with one score). An empty cell was not measured. Weights & Biases exports are
read too: `RUN - METRIC` is METRIC, and their `__MIN` and `__MAX` columns are left out.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from presat.errors import RunError
from presat.files import read_lines
from presat.tracking.readers.names import column_name, rename
from presat.tracking.readers.rows import collect_rows
from presat.tracking.run import Run

STEP_NAMES = ("step", "global_step", "_step", "training/global_step")
_EXTREMES = ("__MIN", "__MAX")


def read_csv(path: Path) -> Run:
    """Read a CSV.

    Raises:
        RunError: no step column, two columns of one metric, or a cell that is not a number (row and column named).
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            file.seek(0)
            delimiter = max(",;\t", key=header.count)
            reader = csv.DictReader(file, delimiter=delimiter)
            columns = _columns(path, [name for name in reader.fieldnames or [] if name])
            rows = [
                _cells(path, number, row, columns) for number, row in enumerate(reader, start=2) if any(row.values())
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"Cannot read {path} as CSV: {error}.") from error
    return _table_run(path, rows, [])


def read_json_lines(path: Path) -> Run:
    """Read JSON lines of flat objects with a step.

    Raises:
        RunError: the file cannot be read, or no line has a step.
    """
    lines, notes = read_lines(path)
    columns = _columns(path, sorted({name for line in lines for name in line}))
    rows = [{columns[name]: value for name, value in line.items() if name in columns} for line in lines]
    return _table_run(path, rows, notes)


def _table_run(path: Path, rows: list[dict[str, Any]], notes: list[str]) -> Run:
    values, more = collect_rows(rows, path.name)
    return Run(path=path, kind="csv", values=rename(values), notes=notes + more)


def _columns(path: Path, names: list[str]) -> dict[str, str]:
    """Our name of every column that is read."""
    found: dict[str, str] = {}
    for name in names:
        if name.endswith(_EXTREMES):
            continue
        metric = name.rsplit(" - ", 1)[-1].strip()
        ours = "step" if metric.lower() in STEP_NAMES else column_name(metric)
        if ours in found.values():
            if ours == "step":
                continue
            raise RunError(f"{path} has several columns of '{ours}'. Keep one run a file.")
        found[name] = ours
    if "step" not in found.values():
        raise RunError(f"{path} has no `step` column. Its columns: {', '.join(names) or 'none'}.")
    return found


def _cells(path: Path, number: int, row: dict[str, str | None], columns: dict[str, str]) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for name, ours in columns.items():
        raw = (row.get(name) or "").strip()
        if not raw:
            continue
        try:
            value = float(raw)
        except ValueError:
            raise RunError(f"{path}, row {number}, column `{name}`: '{raw}' is not a number.") from None
        if ours == "step":
            if not value.is_integer():
                raise RunError(f"{path}, row {number}, column `{name}`: a step must be a whole number, not {raw}.")
            cells[ours] = int(value)
        else:
            cells[ours] = value
    return cells
