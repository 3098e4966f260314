"""Plain text to pre-train on, read as a stream: .txt, .jsonl, .parquet and .csv files, folders of them, data sets.

A corpus is a list of parts, one for every file. A part says what it is (so that what was made of it can be kept until
it changes), about how much text it holds (so that progress can be shown), and gives its documents one after another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from presat.errors import ConfigError, DataError, not_utf8
from presat.jsons import broken_line
from presat.tasks.cells import field_names, sound
from presat.tasks.files import open_dataset, refuse_parts, source_files
from presat.tasks.readers import SUFFIXES, read_dataset, read_file
from presat.tasks.rows import Row
from presat.text import brief

LAB = "lab/"
"""What the sources begin with that are made up and have no parts."""
PLAIN = ".txt"
KINDS = (PLAIN, *SUFFIXES)


@dataclass(frozen=True)
class Part:
    """A file of a corpus, or a whole data set.

    Attributes:
        name: its absolute path, or the data set's id.
        version: what changes whenever its text does: size and time of the last change (ns) of a file, the fingerprint
            of a data set.
        column: the column of the documents.
        data: the opened data set; None for a file.
    """

    name: str
    version: tuple[int | str, ...]
    column: str
    data: Any = None

    def size(self) -> int:
        """About how many bytes of text there are: a parquet file's before compression."""
        if self.data is not None:
            return int(self.data.data.nbytes)
        if not self.name.endswith(".parquet"):
            return int(self.version[0])
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_metadata(self.name)
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{self.name} is not a parquet file, or a damaged one: {error}") from error
        groups = [table.row_group(index) for index in range(table.num_row_groups)]
        columns = (group.column(index) for group in groups for index in range(group.num_columns))
        return sum(item.total_uncompressed_size for item in columns if item.path_in_schema == self.column)

    def is_current(self) -> bool:
        """Whether it is still what it was (the library datasets never changes what it has opened)."""
        return self.data is not None or _file(Path(self.name), self.column).version == self.version

    def documents(self) -> Iterator[str]:
        """Yield the documents in their order; empty ones are left out.

        Raises:
            DataError: it cannot be read, or a row has no text in the column (which row).
        """
        path = Path(self.name)
        if self.data is not None:
            yield from _column(read_dataset(self.name, self.data), self.column)
        elif path.suffix == PLAIN:
            yield from _lines(path)
        else:
            yield from _column(read_file(path, self.column), self.column)


def corpus_parts(source: str, column: str, subset: str = "") -> list[Part]:
    """Return the parts of a source, in the order they are read: files by name.

    Args:
        source: a .txt file (every line is a document), a .jsonl, .parquet or .csv file, a folder of these, a hub id.
        column: the column that holds a document.
        subset: configuration of a hub data set that has several.

    Raises:
        ConfigError: no source, or what means nothing to it: `subset` to files, `column` to .txt files alone.
        DataError: nothing is there.
    """
    files = _files(source)
    if files is not None:
        refuse_parts(source, {"data.subset": bool(subset)})
        if column != "text" and all(path.suffix == PLAIN for path in files):
            raise ConfigError(f"{source} has no columns, every line is a document: leave `data.text` out.")
        return [_file(path.resolve(), column) for path in files]
    data = open_dataset(source, subset=subset or None, suffixes=KINDS)
    if column in data.column_names:  # otherwise reading the first row says what there is
        data = data.select_columns([column])
    return [Part(source, (data._fingerprint,), column, data)]


def refuse_unknown_corpus(source: str) -> None:
    """Refuse a corpus that is not there, as far as that can be told without opening it: a hub is not asked.

    Raises:
        ConfigError: none is named, or no lab corpus is called so.
        DataError: there is no such file.
    """
    from presat.tasks.lab.corpus import refuse_unknown_lab_corpus

    if source.startswith(LAB):
        refuse_unknown_lab_corpus(source.removeprefix(LAB))
    else:
        _files(source)


def _files(source: str) -> list[Path] | None:
    if not source:
        raise ConfigError(
            "No text is given; set `data.source` to lab/cpt, to a .jsonl, .parquet or .txt file, or a folder."
        )
    return source_files(source, KINDS)


def read_parts(parts: Sequence[Part]) -> Iterator[tuple[str, int]]:
    """Yield every document, and about how many bytes of the corpus are then read."""
    before = 0
    for part in parts:
        size, seen = part.size(), 0
        for text in part.documents():
            seen += len(text)
            yield text, before + min(seen, size)
        before += size


def _file(path: Path, column: str) -> Part:
    try:
        state = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    return Part(str(path), (state.st_size, state.st_mtime_ns), column)


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    sound({"text": line}, f"{path}, line {number}")
                    yield line.rstrip("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}, line {broken_line(path)}: {not_utf8(error)}.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def _column(rows: Iterator[tuple[str, Row]], column: str) -> Iterator[str]:
    for where, row in rows:
        if column not in row:
            raise DataError(f"{where}: there is no field '{column}' (it has {field_names(row)}): set `data.text`.")
        text = row[column]
        if text is not None and not isinstance(text, str):
            raise DataError(f"{where}: field '{column}' should be text; it is {brief(text, 80)}. Set `data.text`.")
        if text:
            yield text
