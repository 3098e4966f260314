"""How JSON is read and logs of JSON lines grow: strictly, and by whole lines.

A last line that is cut short was torn by a kill: who reads a log drops it and says so, who reads data refuses it.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, overload

from presat.errors import RunError, not_utf8
from presat.files import atomically
from presat.text import brief

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")


@overload
def read_json(path: Path) -> dict[str, Any]: ...
@overload
def read_json(path: Path, shape: type[T]) -> T: ...
def read_json(path: Path, shape: type[Any] = dict) -> Any:
    """Return what the JSON file `path` says; where there is no such file, what an empty object would say.

    Args:
        path: the file.
        shape: what it is to hold, as pydantic checks it, strictly: a model, or a type such as `dict[str, list[str]]`.

    Raises:
        RunError: the file is there but cannot be read, or holds something else (the message says where).
    """
    try:
        with open_regular(path) as file:
            data = parse_json(file.read().decode("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        data = {}
    except (ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(
            f"{path} cannot be read as JSON ({reason}). Restore it, or delete it if you can do without."
        ) from error
    if not isinstance(data, dict):
        raise RunError(f"{path} should hold a JSON object; it holds {type(data).__name__}.")
    return as_shape(path, data, shape)


def as_shape(path: Path, data: dict[str, Any], shape: type[Any]) -> Any:
    """Return what the JSON file `path` says, `data`, as `shape` has it.

    Raises:
        RunError: it holds something else.
    """
    from pydantic import ValidationError

    try:
        return _checked(shape).validate_python(data, strict=True)
    except ValidationError as error:
        raise RunError(
            f"{path} is damaged: {_misfit(error)}. Restore it, or delete it if you can do without."
        ) from error


def _misfit(error: ValidationError) -> str:
    """Where JSON is not what was expected, and how: the first place, in words."""
    found = error.errors(include_url=False)[0]
    place = brief(".".join(map(str, found["loc"])))
    if found["type"] == "missing":
        return f"{place} is missing"
    wanted = "should be a JSON object" if found["type"] in ("model_type", "dict_type") else found["msg"]
    return f"{place} {wanted.removeprefix('Input ')}, not {brief(found['input'])}"


@functools.cache
def _checked(shape: type[Any]) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(shape)


def parse_json(text: str) -> Any:
    """Parse JSON, in which a key that stands twice in one object is a fault: all but one of its values would be lost.

    Raises:
        ValueError: it is no JSON, or none that Python can hold (nested too deeply, a number of thousands of digits).
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError as error:
        if "int_max_str_digits" in str(error):
            raise ValueError("it holds a number of thousands of digits") from None
        raise


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the key {brief(name)} stands twice in one object")
    return found


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading bytes. A pipe or a device, which may never come to an end, is refused.

    Raises:
        OSError: it is one, or it cannot be opened.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
    return path.open("rb")


def broken_line(path: Path) -> int:
    """Return the number of the first line of a text file that is no UTF-8, as an editor counts; 0 where there is none.

    Raises:
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 0


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file of JSON lines.

    Attributes:
        number: counted from 1.
        row: its object; None where it holds none.
        fault: what is wrong with it; empty where nothing is.
        torn: whether it is cut short: no object, and no end of line.
    """

    number: int
    row: dict[str, Any] | None
    fault: str = ""
    torn: bool = False


@dataclass(slots=True)
class Faults:
    """The lines of a log that had to be left out."""

    count: int = 0
    first: Line | None = None
    torn: bool = False

    def add(self, line: Line) -> None:
        """Count a line without an object."""
        if line.torn:
            self.torn = True
            return
        self.count += 1
        self.first = self.first or line

    def notes(self, name: str) -> list[str]:
        """Say what was left out of the log `name`, and why."""
        said = []
        if self.first is not None:
            one = f"Line {self.first.number} of {name} was left out: "
            several = f"{self.count} lines of {name} were left out; the first, line {self.first.number}: "
            said.append(f"{one if self.count == 1 else several}{self.first.fault}.")
        if self.torn:
            said.append(f"The last line of {name} is torn (the run was killed while writing it) and was dropped.")
        return said


def json_lines(lines: Iterable[bytes], first: int = 1) -> Iterator[Line]:
    """Parse lines of JSON objects one by one; blank ones are left out. Whether a fault is an error, the caller says.

    Args:
        lines: the lines with their ends, as a file opened for reading bytes gives them.
        first: the number of the first one.
    """
    for number, line in enumerate(lines, start=first):
        if line.strip():
            yield _parsed(number, line)


def log_lines(path: Path, faults: Faults) -> Iterator[Line]:
    """Read a log of JSON lines: those that hold an object, each whole even where a kill left out its end.

    Args:
        path: the log.
        faults: takes the others.

    Raises:
        RunError: the file cannot be read.
    """
    try:
        with open_regular(path) as file:
            for line in json_lines(file):
                if line.row is None:
                    faults.add(line)
                else:
                    yield line
    except OSError as error:
        raise RunError(f"Cannot read {path}: {error.strerror}.") from error


def read_lines(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Read a log of JSON lines; return its objects and notes on the lines that had to be left out.

    Raises:
        RunError: the file cannot be read.
    """
    faults = Faults()
    rows = [line.row for line in log_lines(path, faults) if line.row is not None]
    return rows, faults.notes(path.name)


def mend_last_line(path: Path) -> bool:
    """Make a log of JSON lines end in a whole line: finish a complete one, cut a torn one off.

    Returns:
        Whether a torn line was cut off.
    """
    raw = path.read_bytes() if path.is_file() else b""
    if not raw or raw.endswith(b"\n"):
        return False
    start = raw.rfind(b"\n") + 1
    torn = _parsed(0, raw[start:]).row is None
    with path.open("r+b") as file:
        if torn:
            file.truncate(start)
        else:
            file.seek(0, os.SEEK_END)
            file.write(b"\n")
    return torn


def keep_lines(path: Path, wanted: Callable[[dict[str, Any]], bool]) -> int:
    """Cut a log of JSON lines down to some of them, which stay as they are, byte by byte.

    Lines that hold no object stay too, where they stand before a line that is kept: nobody knows what they were.

    Args:
        path: the log.
        wanted: whether to keep the line of an object.

    Returns:
        How many lines that hold no object were kept.

    Raises:
        OSError: it cannot be read or written.
    """
    kept: list[bytes] = []
    unread, waiting = 0, []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            row = _parsed(number, line).row
            if row is None:
                waiting.append(line)
            elif wanted(row):
                unread += sum(bool(item.strip()) for item in waiting)
                kept += [*waiting, line]
                waiting = []
    with atomically(path) as draft:
        draft.write_bytes(b"".join(kept))
    return unread


def _parsed(number: int, line: bytes) -> Line:
    torn = not line.endswith(b"\n")
    try:
        row = parse_json(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        return Line(number, None, not_utf8(error), torn)
    except ValueError as error:
        return Line(number, None, f"not JSON ({error})", torn)
    if not isinstance(row, dict):
        return Line(number, None, f"should be a JSON object; it is {type(row).__name__}", torn)
    return Line(number, row)
