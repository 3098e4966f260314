"""Reading and writing files of problems: parquet, JSONL, CSV, folders of them, and Hugging Face datasets."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from presat.errors import DataError, nearest
from presat.tasks.rows import Row, is_verl, problem_of_plain, problem_of_verl, row_of
from presat.types import Problem

SUFFIXES = (".parquet", ".jsonl", ".csv")


def load_file_problems(
    source: str,
    split: str = "train",
    columns: Mapping[str, str] | None = None,
    domain: str = "",
    system: str | None = None,
    unique: bool | None = None,
) -> list[Problem]:
    """Load problems from a file, a folder or a Hugging Face dataset.

    Args:
        source: a path, or a dataset id.
        split: split of a Hugging Face dataset.
        columns: for question / answer tables, which column is which (see `problem_of_plain`).
        domain: domain of rows that do not say.
        system: system message for bare questions.
        unique: True keeps one problem for rows with the same turns and gold, and notes how often it stood there in
            `metadata["repeats"]`; False keeps every row, `ID#2` being the second of its kind; None folds only where
            every problem stands there equally often, as in the published N = 8 files, whose 64 rows are 8 prompts.

    Raises:
        DataError: the source cannot be read, or a row is malformed.
    """
    problems = []
    for where, row in read_rows(source, split):
        if is_verl(row):
            problems.append(problem_of_verl(row, where, domain))
        else:
            problems.append(problem_of_plain(row, where, columns or {}, domain, system))
    return _identified(problems, unique)


def save_problems(problems: Sequence[Problem], path: str | Path) -> Path:
    """Write problems as parquet in the verl record format, so that loading gives the same problems back.

    Columns they were loaded with are kept; what the format has no place for goes into one more column, `presat`. A
    problem that stood several times in its source (`repeats`) is written as often.

    Raises:
        DataError: nothing to write, metadata that cannot be stored, or no write access.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not problems:
        raise DataError(f"There are no problems to write to {path}.")
    rows = [row_of(problem) for problem in problems]
    repeats = [int(problem.metadata.get("repeats", 1)) for problem in problems]
    ordered = [row for turn in range(max(repeats)) for row, n in zip(rows, repeats, strict=True) if turn < n]
    names = dict.fromkeys(name for row in ordered for name in row)
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        table = pa.table({name: pa.array([row.get(name) for row in ordered]) for name in names})
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, partial)
        partial.replace(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}.") from error
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"These problems do not fit one table, their metadata differs in kind: {error}") from error
    return path


def read_rows(source: str, split: str = "train") -> Iterator[tuple[str, Row]]:
    """Yield (where, row) for every row of a source; rows are counted from 1.

    Raises:
        DataError: see `load_file_problems`.
    """
    path = Path(source).expanduser()
    if path.is_file():
        yield from _read_file(path)
    elif path.is_dir():
        yield from _read_folder(path, split)
    elif path.suffix in SUFFIXES or source.startswith((".", "/", "~")):
        beside = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"There is no file {source}.{nearest(path.name, beside) if beside else ''}")
    else:
        yield from _read_dataset(source, split)


def _read_file(path: Path) -> Iterator[tuple[str, Row]]:
    readers = {".parquet": _read_parquet, ".jsonl": _read_jsonl, ".csv": _read_csv}
    if path.suffix not in readers:
        raise DataError(f"{path} is of no known kind; known are {', '.join(SUFFIXES)}.")
    try:
        for number, row in enumerate(readers[path.suffix](path), start=1):
            yield f"{path}, row {number}", row
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}.") from error


def _read_parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, pa.ArrowException) as error:
        raise DataError(f"{path} is not a parquet file: {error}") from error
    for batch in file.iter_batches(batch_size=1024):
        yield from batch.to_pylist()


def _read_jsonl(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise DataError(f"{path}, line {number}: not JSON ({error}).") from error
            if not isinstance(row, dict):
                raise DataError(f"{path}, line {number}: should be a JSON object; it is {type(row).__name__}.")
            yield row


def _read_csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        for number, row in enumerate(reader, start=1):
            if None in row or None in row.values():
                raise DataError(
                    f"{path}, row {number}: has not the {len(reader.fieldnames or ())} fields of the header."
                )
            yield row


def _read_folder(path: Path, split: str) -> Iterator[tuple[str, Row]]:
    if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
        yield from _read_dataset(str(path), split, saved=True)
        return
    files = sorted(item for item in path.iterdir() if item.suffix in SUFFIXES)
    if files:
        for file in files:
            yield from _read_file(file)
    elif any(path.iterdir()):
        yield from _read_dataset(str(path), split)
    else:
        raise DataError(f"The folder {path} is empty; it should hold {', '.join(SUFFIXES)} files or a saved dataset.")


def _read_dataset(source: str, split: str, saved: bool = False) -> Iterator[tuple[str, Row]]:
    """Rows of a Hugging Face dataset: a hub id, or a folder written by `save_to_disk`."""
    import datasets

    try:
        data: Any = datasets.load_from_disk(source) if saved else datasets.load_dataset(source, split=split)
        if isinstance(data, datasets.DatasetDict):
            if split not in data:
                raise DataError(f"{source} has no split '{split}'.{nearest(split, map(str, data))}")
            data = data[split]
    except (OSError, ValueError, RuntimeError) as error:  # the library's own errors derive from these
        raise DataError(
            f"{source} is no file here, and could not be loaded as a Hugging Face dataset either: {error}"
        ) from error
    for number, row in enumerate(data, start=1):
        yield f"{source}, row {number}", row


def _identified(problems: Sequence[Problem], unique: bool | None) -> list[Problem]:
    """Fold rows that are the same problem as `unique` says, and give every problem an id of its own."""
    keys = [(tuple((turn["role"], turn["content"]) for turn in problem.messages), problem.gold) for problem in problems]
    times = Counter(keys)
    if unique is None:
        unique = len(set(times.values())) == 1
    seen: set[Any] = set()
    taken: Counter[str] = Counter()
    kept: list[Problem] = []
    for problem, key in zip(problems, keys, strict=True):
        if unique and key in seen:
            continue
        seen.add(key)
        taken[problem.id] += 1
        metadata = {**problem.metadata, "repeats": times[key]} if unique and times[key] > 1 else problem.metadata
        name = problem.id if taken[problem.id] == 1 else f"{problem.id}#{taken[problem.id]}"
        kept.append(replace(problem, id=name, metadata=metadata))
    return kept
