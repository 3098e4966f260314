r"""What rows and problems made in Python may hold: what no later stage could take is refused here.

Half of a character (a lone surrogate, which JSON can write as `\ud83d`) is text to Python and to nothing else: no
tokenizer, file or terminal takes it. Control characters are text and stay. Values within values and single texts have
a limit each, far above what a problem needs, where readers of JSON and CSV have one of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from presat.errors import DataError
from presat.text import brief, printable
from presat.types import Problem

LONGEST = 2**27
"""Most characters of one text (Python's own limit for CSV, 2**17, is less than some traces and documents)."""
DEEPEST = 100
"""Most lists and mappings around a value."""
MOST_NAMED = 20
"""Most fields a message names: a table may have thousands."""

_Path = tuple[Any, ...]


def sound(row: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Return a row whose values every later stage can take.

    Args:
        row: the row, or a mapping within one.
        where: names the row in errors.

    Raises:
        DataError: a text that holds half of a character or more than `LONGEST` characters, or values within more than
            `DEEPEST` others; the message names the field.
    """
    waiting: list[tuple[_Path, Any]] = [((), row)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, str):
            if fault := _fault(value):
                raise DataError(f"{where}: field '{_name(path)}' {fault}.")
            continue
        if len(path) > DEEPEST:
            raise DataError(f"{where}: field '{_name(path[:1])}' holds values within more than {DEEPEST} others.")
        if isinstance(value, Mapping):
            for key in value:
                if isinstance(key, str) and (fault := _fault(key)):
                    raise DataError(f"{where}: the name of a field, {brief(key, 40)}, {fault}.")
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        waiting += [((*path, key), item) for key, item in items if isinstance(item, str | Mapping | list | tuple)]
    return row


def sound_problems(problems: Iterable[Problem]) -> None:
    """Refuse problems with a text that no later stage could take.

    Raises:
        DataError: as `sound`; the message names the problem.
    """
    for number, problem in enumerate(problems, start=1):
        where = f"problem {number} ({brief(problem.id, 60)})"
        sound({item.name: getattr(problem, item.name) for item in fields(problem)}, where)


def field_names(row: Mapping[str, Any]) -> str:
    """Return the names of a row's fields as a message lists them."""
    names = [printable(str(name))[:60] for name in list(row)[:MOST_NAMED]]
    more = f" and {len(row) - MOST_NAMED} more" if len(row) > MOST_NAMED else ""
    return ", ".join(names) + more


def _fault(text: str) -> str:
    """What is wrong with a text; empty where nothing is."""
    if len(text) > LONGEST:
        return f"has {len(text):,} characters, more than the {LONGEST:,} that are read"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = brief(text[error.start], 20).strip("'")
        return f"holds half of a character ({half}, a lone surrogate), which is no text: it was cut within one"
    return ""


def _name(path: _Path) -> str:
    return printable("".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip("."))[:100]
