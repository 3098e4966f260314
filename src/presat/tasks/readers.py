"""Rows of one file (parquet, JSON lines, JSON, CSV, TSV) or of an opened data set, one after another.

Nothing is held but a few rows (and the text of a `.json` file, which is one value).

Everything that is wrong with a source is said as one `DataError` here, whatever the library below raises, and no row
leaves that a later stage could not take (`presat.tasks.cells`).
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from presat.errors import DataError, not_utf8
from presat.files import expanded
from presat.jsons import broken_line, json_lines, parse_json
from presat.tasks.cells import LONGEST, field_names, sound
from presat.tasks.rows import Row
from presat.text import brief, printable

SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".csv", ".tsv")
"""Kinds of files that a folder of rows may hold."""
KINDS = (*SUFFIXES, ".json")
"""Kinds that are read: a `.json` in a folder may be anything, and is read where it is named."""
_SEPARATORS = {",": "a comma", ";": "`;`", "\t": "a tab", "|": "`|`"}
"""What may stand between the fields of a table, and what each is called in messages."""


def kind_of(path: Path) -> str:
    """Return the ending of a file's name that says its kind, `.jsonl.gz` being one."""
    return "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix


def path_of(source: str) -> Path:
    """Return the path a source names, whether or not something is there.

    Raises:
        DataError: no file can be called so.
    """
    try:
        path = expanded(source)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            path.lstat()
    except (OSError, RuntimeError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise DataError(f"{brief(source)} can be no file or data set: {reason}.") from error
    return path


def refuse_special(path: Path) -> None:
    """Refuse what is there and is no file: reading a pipe or a device may never end.

    Raises:
        DataError: it is a pipe, a device, a folder, or a link that leads nowhere.
    """
    if (path.exists() or path.is_symlink()) and not path.is_file():
        kind = "a folder" if path.is_dir() else "a pipe, a device or a link that leads nowhere"
        raise DataError(f"{printable(str(path))} is {kind}, not a file that can be read to its end.")


def read_file(path: Path, column: str | None = None) -> Iterator[tuple[str, Row]]:
    """Yield (where, row) for every row of a file; of a parquet file only `column`, where it is given and there.

    Raises:
        DataError: of no known kind, cannot be read, or a malformed row.
    """
    readers: dict[str, Callable[[Path], Iterator[tuple[int, Row]]]] = {
        ".parquet": lambda path: enumerate(_read_parquet(path, column), start=1),
        ".jsonl": _read_jsonl, ".jsonl.gz": _read_jsonl, ".json": _read_json,
        ".csv": lambda path: _read_table(path, "CSV", ","), ".tsv": lambda path: _read_table(path, "TSV", "\t"),
    }  # fmt: skip
    name = printable(str(path))
    if kind_of(path) not in readers:
        unpack = " Unpack it first." if path.suffix in (".gz", ".zst", ".bz2", ".xz", ".zip") else ""
        raise DataError(f"{name} is of no known kind; known are {', '.join(KINDS)}.{unpack}")
    refuse_special(path)
    yield from _placed(readers[kind_of(path)](path), name)


def read_dataset(source: str, data: Any) -> Iterator[tuple[str, Row]]:
    """Yield (where, row) for every row of an opened dataset, whose texts stay on the disk.

    Raises:
        DataError: it cannot be read, or a malformed row.
    """
    yield from _placed(enumerate(data, start=1), printable(source))


def _placed(rows: Iterable[tuple[int, Row]], name: str) -> Iterator[tuple[str, Row]]:
    """Yield (where, row). Rows are counted from 1; those of a text file by the lines they begin in."""
    number = 0
    try:
        for number, row in rows:
            where = f"{name}, row {number}"
            yield where, sound(row, where)
    except OSError as error:
        raise DataError(f"{name} cannot be read: {_first_line(error.strerror or error)}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not UTF-8 text after row {number}: {error}.") from error
    except (ValueError, OverflowError) as error:  # of libraries that make Python's values of a file's
        raise DataError(f"{name} cannot be read after row {number}: {_first_line(error)}.") from error


def _read_parquet(path: Path, column: str | None) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path.absolute())
        names = file.schema_arrow.names
        _refuse_twice(names, path)
        for batch in file.iter_batches(batch_size=1024, columns=[column] if column in names else None):
            yield from batch.to_pylist(maps_as_pydicts="strict")  # maps would be lists of pairs
    except pa.ArrowException as error:
        raise DataError(
            f"{printable(str(path))} is not a parquet file, or a damaged one: {_first_line(error)}."
        ) from error
    except KeyError as error:  # what pyarrow raises of a map that has a key twice
        raise DataError(
            f"{printable(str(path))} holds a map with a key that stands there twice: {brief(error.args[0])}"
        ) from error


def _read_jsonl(path: Path) -> Iterator[tuple[int, Row]]:
    packed = path.suffix == ".gz"
    try:
        with gzip.open(path, "rb") if packed else path.open("rb") as lines:
            for line in json_lines(lines):
                if line.row is None:
                    ending = " The file ends within this line: is it whole?" if line.torn else ""
                    raise DataError(f"{printable(str(path))}, line {line.number}: {line.fault}.{ending}")
                yield line.number, line.row
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{printable(str(path))} is no gzip file, or a damaged one: {_first_line(error)}.") from error


def _read_json(path: Path) -> Iterator[tuple[int, Row]]:
    """The objects of a list, of the one list that an object holds, or of lines: all three are called `.json`."""
    text = path.read_text(encoding="utf-8-sig")
    try:
        value = parse_json(text)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise
        yield from _read_jsonl(path)
        return
    lists = [item for item in value.values() if isinstance(item, list)] if isinstance(value, dict) else [value]
    if not lists:
        lists = [[value]]  # one row alone
    rows = lists[0] if len(lists) == 1 else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{printable(str(path))} should hold a list of JSON objects, or one object a line.")
    yield from enumerate(rows, start=1)


def _read_table(path: Path, kind: str, delimiter: str) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(LONGEST)
    name = printable(str(path))
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(
            lines, delimiter=delimiter, strict=True
        )  # an open quotation mark would take all rows after it
        number = 1
        try:
            header = next(filter(None, reader), [])
            _refuse_twice(header, path)
            _refuse_other_separator(header, delimiter, kind, f"{name}, row {number}")
            number = reader.line_num + 1
            for cells in reader:
                if cells and len(cells) != len(header):
                    raise DataError(f"{name}, row {number}: has not the {len(header)} fields of the header.")
                if cells:
                    yield number, dict(zip(header, cells, strict=True))
                number = reader.line_num + 1
        except UnicodeDecodeError as error:  # of a piece of the file, which holds many lines
            raise DataError(f"{name}, row {broken_line(path)}: {not_utf8(error)}.") from error
        except csv.Error as error:
            hint = " A quotation mark may not be closed." if "end of data" in str(error) else ""
            raise DataError(f"{name}, row {number}: is not {kind} ({error}).{hint}") from error


def _refuse_other_separator(header: Sequence[str], delimiter: str, kind: str, where: str) -> None:
    """Refuse a header of one field that holds what separates fields elsewhere: `Frage;Antwort`."""
    other = next((sign for sign in _SEPARATORS if sign != delimiter and len(header) == 1 and sign in header[0]), None)
    if other:
        raise DataError(
            f"{where}: the header is one field, {brief(header[0], 60)}; its separator seems to be {_SEPARATORS[other]}"
            f", and that of {kind} files is {_SEPARATORS[delimiter]}. Write the file anew with that."
        )


def _refuse_twice(names: Iterable[str], path: Path) -> None:
    """Refuse columns of one name, of which only the last would be read."""
    twice = {name: count for name, count in Counter(names).items() if count > 1}
    if twice:
        raise DataError(
            f"{printable(str(path))} has several columns of one name ({field_names(twice)}), of which one alone would "
            "be read. Rename or remove the others."
        )


def _first_line(error: object) -> str:
    """What a library says, without its further lines and full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return printable(lines[0])[:300].rstrip(". ")
