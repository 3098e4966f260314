"""Reads a table with one row a step: CSV (comma, semicolon or tab) or JSON lines.

What each column is, `columns.py` finds out; an empty cell was not measured. Exports of Weights & Biases are read too:
`RUN - METRIC` is METRIC of RUN, several runs are several, and their `__MIN` and `__MAX` columns are left out.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from presat.errors import RunError, not_utf8
from presat.jsons import Faults, broken_line, log_lines
from presat.text import brief, listed
from presat.tracking.readers.build import Log
from presat.tracking.readers.columns import Columns, columns_of, names_in
from presat.tracking.readers.rows import torn_note
from presat.tracking.readers.trl import name_sets

_EXTREMES = ("__MIN", "__MAX")
_OF = " - "
_Cells = list[tuple[int, list[str]]]


def read_csv(path: Path, chosen: Mapping[str, str] | None = None) -> list[Log]:
    """Read a CSV: one log for each run in it.

    Args:
        path: the file.
        chosen: which columns are what, as `columns_of` takes it.

    Raises:
        RunError: no step column, two columns of one metric, a row with more cells than the header, or a cell of a known
            column that is not a number (row and column named).
    """
    torn: list[str] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            delimiter = max(",;\t", key=file.readline().count)
            file.seek(0)
            reader = csv.reader(_whole_lines(file, path.name, torn), delimiter=delimiter, strict=True)
            header = next(reader, [])
            logs, notes = _split(path, header, chosen, torn)
            cells = [(number, row) for number, row in _numbered(path, reader) if any(cell.strip() for cell in row)]
    except UnicodeDecodeError as error:
        raise RunError(f"{path}, line {broken_line(path)}: {not_utf8(error)}.") from error
    except (OSError, csv.Error) as error:
        raise RunError(f"Cannot read {path} as CSV: {error}.") from error
    for number, row in cells:
        if any(cell.strip() for cell in row[len(header) :]):
            raise RunError(
                f"{path}, row {number}, has {len(row)} cells, and the header {len(header)}: is a comma in one of them "
                "a decimal comma, or part of a text?"
            )
    short = sum(len(row) < len(header) for _, row in cells)
    if short:
        lines = "1 row has" if short == 1 else f"{short} rows have"
        notes.append(f"{lines} fewer cells than the header of {path.name}: those that lack count as not measured.")
    for log in logs:
        _fill(log, header, cells)
        log.notes[:0] = notes
        log.torn = torn
    return logs


def read_json_lines(path: Path, chosen: Mapping[str, str] | None = None) -> Log:
    """Read JSON lines of flat objects with a step.

    Raises:
        RunError: the file cannot be read, or no line has a step.
    """
    faults = Faults()
    rows = [(line.number, name_sets(line.row or {})) for line in log_lines(path, faults)]
    names = names_in(row for _, row in rows)
    columns = columns_of(path, names, chosen)
    _need_steps(path, columns, names)
    return Log(path, "csv", rows, notes=faults.notes(path.name), columns=columns)


def _split(
    path: Path, header: list[str], chosen: Mapping[str, str] | None, torn: list[str]
) -> tuple[list[Log], list[str]]:
    """A log, still without rows, for each run that the columns belong to; and notes on columns that are not read."""
    names = [name for name in header if name and not name.endswith(_EXTREMES)]
    of = {name: name.rpartition(_OF)[0].strip() for name in names}
    called = [run for run in dict.fromkeys(of.values()) if run]
    logs = []
    for run in called or [""]:
        mine = [name for name in names if of[name] in ("", run)]
        columns = columns_of(path, mine, chosen, metric_of=_metric)
        _need_steps(path, columns, names, torn)
        logs.append(Log(path, "csv", [], run if len(called) > 1 else "", columns=columns))
    nameless = sum(not name for name in header)
    notes = [f"{nameless} column{'s' * (nameless > 1)} of {path.name} without a name: left out."] if nameless else []
    return logs, notes


def _metric(name: str) -> str:
    return name.rpartition(_OF)[2].strip()


def _need_steps(path: Path, columns: Columns, names: Iterable[str], torn: Iterable[str] = ()) -> None:
    if not columns.steps:
        shown = listed([*names]) or "none"
        advice = "Name the one that counts steps: --columns step COLUMN."
        raise RunError(" ".join([f"{path} has no `step` column. Its columns: {shown}. {advice}", *torn]))


def _fill(log: Log, header: list[str], cells: _Cells) -> None:
    """Put the numbers of a table into a log; columns of text that nobody asked for are left out."""
    columns = log.columns or Columns()
    texts = [
        name
        for name in columns.unknown
        if any(_is_text(row[i]) for i in _places(header, name) for _, row in cells if i < len(row))
    ]
    if texts:
        log.notes.append(f"Columns of {log.path.name} that hold text are left out: {listed(texts, 6)}.")
    read = [name for name in (*columns.steps, *columns.ours) if name not in texts]
    places = {name: header.index(name) for name in read}
    log.rows = [
        (
            number,
            {
                name: _cell(log.path, number, name, row[at], columns)
                for name, at in places.items()
                if at < len(row) and row[at].strip()
            },
        )
        for number, row in cells
    ]


def _places(header: list[str], name: str) -> list[int]:
    return [place for place, other in enumerate(header) if other == name]


def _is_text(cell: str) -> bool:
    try:
        float(cell.strip() or 0)
    except ValueError:
        return True
    return False


def _cell(path: Path, number: int, name: str, cell: str, columns: Columns) -> float | str:
    where, raw = f"{path}, row {number}, column `{listed([name])}`", cell.strip()
    try:
        value = float(raw)
    except ValueError:
        raise RunError(f"{where}: {brief(raw)} is not a number.") from None
    if name in columns.steps and not (value.is_integer() and value >= 0):
        raise RunError(f"{where}: a step must be a whole number from 0 on, not {brief(raw)}.")
    return value


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
