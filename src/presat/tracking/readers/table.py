"""Reads a table with one row a step: CSV (comma, semicolon or tab) or JSON lines.

Columns are `step`, `reward` and anything else: known training metrics by their names, all others as evaluations
(`SET/METRIC`, or a bare name as a set with one score). An empty cell was not measured. Weights & Biases exports are
read too: `RUN - METRIC` is METRIC, and their `__MIN` and `__MAX` columns are left out.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from presat.errors import RunError, not_utf8
from presat.files import Faults, broken_line, log_lines
from presat.text import brief, listed
from presat.tracking.readers.names import column_name, rename
from presat.tracking.readers.rows import Rows, torn_note
from presat.tracking.run import Run

STEP_NAMES = ("step", "global_step", "_step", "training/global_step")
_EXTREMES = ("__MIN", "__MAX")


def read_csv(path: Path) -> Run:
    """Read a CSV.

    Raises:
        RunError: no step column, two columns of one metric, a row with more cells than the header, or a cell that is
            not a number (row and column named).
    """
    torn: list[str] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            delimiter = max(",;\t", key=file.readline().count)
            file.seek(0)
            reader = csv.reader(_whole_lines(file, path.name, torn), delimiter=delimiter, strict=True)
            header = next(reader, [])
            columns, notes = _columns(path, header, torn)
            rows, short = Rows(path.name, {ours: name for name, ours in columns.items()}), 0
            for number, cells in _numbered(path, reader):
                if any(cell.strip() for cell in cells):
                    short += len(cells) < len(header)
                    rows.add(_row(path, number, header, cells, columns), number)
    except UnicodeDecodeError as error:
        raise RunError(f"{path}, line {broken_line(path)}: {not_utf8(error)}.") from error
    except (OSError, csv.Error) as error:
        raise RunError(f"Cannot read {path} as CSV: {error}.") from error
    if short:
        lines = "1 row has" if short == 1 else f"{short} rows have"
        notes.append(f"{lines} fewer cells than the header of {path.name}: those that lack count as not measured.")
    return Run(path=path, kind="csv", values=rename(rows.values), notes=[*notes, *rows.notes()], torn=torn)


def read_json_lines(path: Path) -> Run:
    """Read JSON lines of flat objects with a step.

    Raises:
        RunError: the file cannot be read, or no line has a step.
    """
    faults = Faults()
    lines = list(log_lines(path, faults))
    columns, notes = _columns(path, sorted({name for line in lines for name in line.row or ()}))
    rows = Rows(path.name, {ours: name for name, ours in columns.items()})
    for line in lines:
        rows.add({columns[name]: value for name, value in (line.row or {}).items() if name in columns}, line.number)
    notes = [*faults.notes(path.name), *notes, *rows.notes()]
    return Run(path=path, kind="csv", values=rename(rows.values), notes=notes)


def _numbered(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """The rows that the `csv` module reads, each with the number of the line it begins in; the header is row 1."""
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise RunError(f"{path}, row {number}, cannot be read as CSV: {error}.") from error
        if cells is None:
            return
        yield number, cells


def _whole_lines(file: Iterable[str], name: str, torn: list[str]) -> Iterator[str]:
    """The lines of a table; a last one without its end may lack half of a number, so `torn` says of it instead."""
    for line in file:
        if line.endswith(("\n", "\r")):
            yield line
        else:
            torn.append(torn_note(name))


def _columns(path: Path, names: Sequence[str], torn: Sequence[str] = ()) -> tuple[dict[str, str], list[str]]:
    """Our name of every column that is read, and notes on columns that are not."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    unread = []
    for name in filter(None, names):
        if name.endswith(_EXTREMES):
            continue
        metric = name.rsplit(" - ", 1)[-1].strip()
        ours = "step" if metric.lower() in STEP_NAMES else column_name(metric)
        if ours in taken and (ours != "step" or name in found):
            raise RunError(f"{path} has several columns of {brief(ours)}. Keep one run a file, and each column once.")
        if ours in taken:
            unread.append(name)
            continue
        found[name] = ours
        taken.add(ours)
    if "step" not in taken:
        columns = listed([*filter(None, names)]) or "none"
        raise RunError(" ".join([f"{path} has no `step` column. Its columns: {columns}.", *torn]))
    notes = [f"Several columns of {path.name} count steps; left out: {listed(unread)}."] if unread else []
    nameless = sum(not name for name in names)
    if nameless:
        notes.append(f"{nameless} column{'s' * (nameless > 1)} of {path.name} without a name: left out.")
    return found, notes


def _row(path: Path, number: int, header: list[str], cells: list[str], columns: dict[str, str]) -> dict[str, Any]:
    """The numbers of one row by our names; `number` is that of its line."""
    if any(cell.strip() for cell in cells[len(header) :]):
        raise RunError(
            f"{path}, row {number}, has {len(cells)} cells, and the header {len(header)}: is a comma in one of them a "
            "decimal comma, or part of a text?"
        )
    row: dict[str, Any] = {}
    for name, cell in zip(header, cells, strict=False):
        ours, raw = columns.get(name), cell.strip()
        if not raw or ours is None:
            continue
        where = f"{path}, row {number}, column `{listed([name])}`"
        try:
            value = float(raw)
        except ValueError:
            raise RunError(f"{where}: {brief(raw)} is not a number.") from None
        if math.isinf(value):
            raise RunError(f"{where}: {brief(raw)} is infinite. Leave the cell empty where nothing was measured.")
        if ours == "step" and not (value.is_integer() and value >= 0):
            raise RunError(f"{where}: a step must be a whole number from 0 on, not {brief(raw)}.")
        row[ours] = value
    return row
