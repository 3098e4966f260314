"""Reading files of problems: parquet, JSONL, CSV, folders of them, and Hugging Face datasets."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from presat.errors import ConfigError, DataError, nearest
from presat.files import expanded
from presat.tasks.cells import sound
from presat.tasks.choices import counted, is_choices, is_shuffled, option_number, problem_of_choices, refuse_gaps
from presat.tasks.hub import hub_error
from presat.tasks.readers import KINDS, SUFFIXES, kind_of, path_of, read_dataset, read_file, refuse_special
from presat.tasks.rows import Row, is_verl, problem_of_plain, problem_of_verl
from presat.tasks.turns import count_unshown, count_unshown_text, warn_of_left_out
from presat.tasks.unfit import refuse_unfit, unfit
from presat.text import brief, printable
from presat.types import Problem

Rows = Iterable[Row] | Mapping[str, Iterable[Row]]
"""Rows themselves: a list, an opened dataset, or one by split."""
Source = str | Rows
"""A path or id, or rows."""

_KNOWN = "a path here, lab/NAME, reasoning_gym/TASK or a Hugging Face dataset that can be loaded"
_OTHER_SUFFIXES = (".txt", ".arrow", ".gz", ".zst", ".yaml")
"""Names that end so are meant as files, not as dataset ids."""
MOST_BESIDE = 5
"""Most files or folders a message names of those that are there."""


def load_file_problems(
    source: Source,
    split: str = "train",
    subset: str | None = None,
    columns: Mapping[str, str] | None = None,
    domain: str = "",
    system: str | None = None,
    unique: bool | None = None,
    choice_seed: int = 0,
    as_shown: bool = False,
    honoured: set[str] | None = None,
) -> list[Problem]:
    """Load problems from a file, a folder, a Hugging Face dataset or rows.

    Args:
        source: a path, a dataset id, or the rows themselves: mappings, or an opened dataset.
        split: split of a Hugging Face dataset.
        subset: configuration of a Hugging Face dataset that has several (`main` of `openai/gsm8k`).
        columns: for question / answer tables, which column is which (see `problem_of_plain`).
        domain: domain of all rows; when empty, what rows in the verl format say, and `math` for others.
        system: system message for bare questions.
        unique: True keeps one problem for rows with the same turns and gold, and notes how often it stood there in
            `metadata["repeats"]`; False keeps every row, `ID#2` being the second of its kind; None folds only where
            every problem stands there equally often, as in the published N = 8 files, whose 64 rows are 8 prompts.
        choice_seed: shuffles the options of multiple-choice questions that come without an order (GPQA).
        as_shown: prompts are what a model is shown, just as they are: a last turn of the assistant stays, for the
            response to go on from, and so do marks of chat templates.
        honoured: gets `system` and `choice_seed`, where some row has a use for them.

    Raises:
        ConfigError: `columns` names what there is not, or is given for rows in the verl format; `split` or `subset` for
            files, which have none.
        DataError: the source cannot be read, holds nothing, or a row is malformed.
    """
    problems: list[Problem] = []
    used: set[str] = set() if honoured is None else honoured
    left_out: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    numbers: dict[int, int] = {}
    first = ""
    for where, row in read_rows(source, split, subset):
        if reason := unfit(row, bool((columns or {}).get("answer"))):
            first = first or where
            refused[reason] += 1
            continue
        if not columns:
            refuse_gaps(row, where)
        if is_verl(row):
            if columns:
                raise ConfigError(f"{where} is in the verl format, where `columns` means nothing: leave it out.")
            problems.append(problem_of_verl(row, where, domain, left_out, system, as_shown))
            used |= {"system"} if isinstance(row["prompt"], str) else set()
        elif not columns and is_choices(row):
            if (number := option_number(row)) is not None:
                numbers[len(problems)] = number
            problems.append(problem_of_choices(row, where, domain, system, choice_seed))
            used |= {"system", "choice_seed"} if is_shuffled(row) else {"system"}
        else:
            problems.append(problem_of_plain(row, where, columns or {}, domain, system, left_out, as_shown))
            used.add("system")
            count_unshown(row, left_out, ("options", "choices", "opa"))
        if not is_verl(row):
            count_unshown_text(row, problems[-1].messages, left_out)
        count_unshown(row, left_out, ("tools",))
        sound({"gold": problems[-1].gold}, where)  # it may have been JSON within text
    refuse_unfit(source_name(source), refused, len(problems) + refused.total(), first)
    if not problems:
        raise DataError(f"{source_name(source)} hold{'s' if isinstance(source, str) else ''} no rows.")
    warn_of_left_out(source_name(source), left_out)
    return _identified(counted(problems, numbers, source_name(source)), unique)


def source_name(source: Source) -> str:
    """Return what a source is called in messages."""
    return source if isinstance(source, str) else "the rows given"


def read_rows(source: Source, split: str = "train", subset: str | None = None) -> Iterator[tuple[str, Row]]:
    """Yield (where, row) for every row of a source; rows are counted from 1. Nothing is held but a few rows.

    Raises:
        ConfigError: `split` or `subset` is given for a file, a folder of files or rows.
        DataError: see `load_file_problems`.
    """
    if not isinstance(source, str):
        yield from _given_rows(source, split, subset)
        return
    files = source_files(source)
    if files is not None:
        refuse_parts(source, {"split": split != "train", "subset": bool(subset)})
    for file in files or ():
        yield from read_file(file)
    if files is None:
        yield from read_dataset(source, open_dataset(source, split, subset))


def _given_rows(rows: Any, split: str, subset: str | None) -> Iterator[tuple[str, Row]]:
    """The rows of a list, of an opened dataset, or of the split of a mapping of those (`datasets.DatasetDict`)."""
    name = source_name(rows)
    if isinstance(rows, Mapping):
        if split not in rows:
            raise DataError(f"{name} have no split '{split}'.{nearest(split, map(str, rows))}")
        rows = rows[split]
    else:
        refuse_parts(name, {"split": split != "train"})
    refuse_parts(name, {"subset": bool(subset)})
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            raise DataError(f"{name}, row {number}: should be a mapping of names to values; it is {brief(row, 80)}.")
        where = f"{name}, row {number}"
        yield where, sound(row, where)


def refuse_parts(source: str, asked: Mapping[str, bool]) -> None:
    """Refuse what names a part of a data set, where files are read, which are read whole.

    Raises:
        ConfigError: one is asked for.
    """
    for name in (name for name, given in asked.items() if given):
        raise ConfigError(f"{source} is read whole: `{name}` names a part of a Hugging Face dataset. Leave it out.")


def source_files(source: str, suffixes: Sequence[str] = SUFFIXES) -> list[Path] | None:
    """Return the files a source stands for: the file, or those of a folder by name; None when it is a data set.

    A data set is a hub id, a folder written by `save_to_disk`, or one that holds other kinds of files.

    Raises:
        DataError: a path to nothing, or an empty folder.
    """
    path = path_of(source)
    meant_as_path = source.startswith((".", "/", "~")) or path.suffix in (*KINDS, *_OTHER_SUFFIXES)
    if path.is_file():
        return [path]
    if path.is_dir():
        if _is_saved(path):
            return None
        files = sorted(item for item in path.iterdir() if kind_of(item) in suffixes)
        if not files and not any(path.iterdir()):
            raise DataError(
                f"The folder {path} is empty; it should hold {', '.join(suffixes)} files or a saved dataset."
            )
        for file in files:
            refuse_special(file)
        return files or None
    refuse_special(path)
    if meant_as_path or ("/" in source and path.parent.is_dir()):
        beside = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
        files = [item.name for item in beside if kind_of(item) in suffixes]
        hint = nearest(path.name, [*files, *(item.name for item in beside if item.is_dir())])
        hint = hint if hint.startswith(" Did") else nearest("", files, MOST_BESIDE)
        raise DataError(f"There is no file {printable(source)}.{printable(hint)}")
    return None


def _is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` of the library datasets wrote the folder."""
    return (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()


def open_dataset(
    source: str, split: str = "train", subset: str | None = None, suffixes: Sequence[str] = SUFFIXES
) -> Any:
    """Open a split of a Hugging Face dataset: a hub id, or a folder (written by `save_to_disk`, or of other files).

    `suffixes` are the kinds of files a folder may hold, for the message when it cannot be opened.

    Raises:
        DataError: it cannot be loaded, or has no such split.
    """
    import datasets
    from datasets.exceptions import DatasetGenerationError, DatasetsError

    folder = expanded(source)
    try:
        if folder.is_dir() and _is_saved(folder):
            data: Any = datasets.load_from_disk(str(folder))
        elif folder.is_dir():
            _refuse_pattern(folder)
            with _silent("datasets", "huggingface_hub"):  # what is wrong they print, and raise it too
                data = datasets.load_dataset(str(folder), subset, split=split)
        else:
            data = _from_hub(source, split, subset)
        if isinstance(data, datasets.DatasetDict):
            if split not in data:
                raise DataError(f"{source} has no split '{split}'.{nearest(split, map(str, data))}")
            data = data[split]
    except (
        OSError,
        ValueError,
        RuntimeError,
        TypeError,
        LookupError,
        AttributeError,
        DatasetsError,
    ) as error:  # damaged records too
        told = error.__cause__ if isinstance(error, DatasetGenerationError) else None  # it says no more than that
        if folder.is_dir():
            raise DataError(_not_loaded(folder, told or error, suffixes)) from error
        raise DataError(f"{source} is not {_KNOWN}: {told or error}") from error
    return data


def _refuse_pattern(folder: Path) -> None:
    """Refuse a folder of folders whose name the library datasets reads as a pattern, which others may fit too.

    Raises:
        DataError: the name holds signs of one.
    """
    if any(sign in str(folder.absolute()) for sign in ("*", "?", "[", "::")):
        raise DataError(
            f"{folder} cannot be loaded as a dataset: the library datasets takes `*`, `?`, `[` and `::` in the name of "
            "a folder for a pattern. Rename it, or name one of the folders in it that hold the files."
        )


def _from_hub(source: str, split: str, subset: str | None) -> Any:
    """A data set of the hub; where the hub does not answer, of the local cache alone."""
    import datasets
    from datasets import config
    from huggingface_hub import constants

    error = None if config.HF_HUB_OFFLINE else hub_error()
    if error is None:
        return datasets.load_dataset(source, subset, split=split)
    config.HF_HUB_OFFLINE = True
    try:
        return datasets.load_dataset(source, subset, split=split)
    except (OSError, ValueError):
        raise DataError(
            f"{source} is not {_KNOWN}: {constants.ENDPOINT} cannot be reached ({error}), and its local cache does not "
            "hold it. Check the spelling and the network."
        ) from error
    finally:
        config.HF_HUB_OFFLINE = False


def _not_loaded(folder: Path, error: BaseException, suffixes: Sequence[str]) -> str:
    """Say in a sentence why a folder is no data set, what it should hold, and which folders in it do."""
    from datasets.table import CastError

    first, *_ = str(error).strip().splitlines() or [type(error).__name__]
    reason = "its files have different columns" if isinstance(error, CastError) else first.rstrip(".")
    files = [*folder.glob("*/*"), *folder.glob("*/*/*")]
    inner = sorted({str(file.parent.relative_to(folder)) for file in files if kind_of(file) in suffixes})
    more = ", ..." if len(inner) > MOST_BESIDE else ""
    hint = f" These folders in it do: {', '.join(inner[:MOST_BESIDE])}{more}." if inner else ""
    return (
        f"{folder} cannot be loaded as a dataset: {reason}. A folder should hold {', '.join(suffixes)} files or a "
        f"saved dataset.{hint}"
    )


@contextlib.contextmanager
def _silent(*names: str) -> Iterator[None]:
    """Keep these libraries from logging, and from drawing progress bars."""
    import datasets

    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    bars = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            datasets.enable_progress_bars()


def _identified(problems: Sequence[Problem], unique: bool | None) -> list[Problem]:
    """Fold rows that are the same problem as `unique` says, and give every problem an id of its own."""
    keys = [(tuple((turn["role"], turn["content"]) for turn in problem.messages), problem.gold) for problem in problems]
    times = Counter(keys)
    if unique is None:
        unique = len(set(times.values())) == 1
    seen: set[Any] = set()
    taken: Counter[str] = Counter()
    names: set[str] = set()
    kept: list[Problem] = []
    for problem, key in zip(problems, keys, strict=True):
        if unique and key in seen:
            continue
        seen.add(key)
        metadata = {**problem.metadata, "repeats": times[key]} if unique and times[key] > 1 else problem.metadata
        name = problem.id
        while name in names:
            taken[problem.id] += 1
            name = f"{problem.id}#{1 + taken[problem.id]}"
        names.add(name)
        kept.append(replace(problem, id=name, metadata=metadata))
    return kept
