"""Rows of a log to series by name: what every reader shares, and what every reader says of that which it leaves out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from presat.errors import RunError
from presat.text import brief, listed, printable

Values = dict[str, dict[int, float]]

MOST_STEPS = 1_000_000
"""Curves hold every step from 1 on. No training has so many; a time in seconds or a count of tokens does."""
LARGEST = 1e100
"""Magnitude from which on a value cannot be averaged, and none is a measurement."""
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_KINDS = {bool: "true or false", str: "text", list: "a list", dict: "an object"}


class Rows:
    """Flat rows with a `step` become values by name and step. Null is NaN; what is no number is left out and counted.

    Attributes:
        values: the values by name, then by step.
        not_finite: steps by name at which something was logged that is infinite or not a number, and not nothing.

    Args:
        source: what the log is called.
        called: what a name is called there, where that differs.
    """

    def __init__(self, source: str, called: Mapping[str, str] | None = None) -> None:
        self.source = source
        self._called = called or {}
        self.values: Values = {}
        self.not_finite: dict[str, set[int]] = {}
        self._homeless = 0
        self._repeated: set[int] = set()
        self._left_out: dict[str, Counter[str]] = {}
        self._boundless: Counter[str] = Counter()
        self._names: dict[str, str] = {}

    def add(self, row: Mapping[str, Any], line: int | None = None) -> None:
        """Take one row.

        Args:
            row: its values by name.
            line: where it stands, for messages.

        Raises:
            RunError: its step is beyond `MOST_STEPS`.
        """
        step = whole_step(row.get("step"), self.source, line)
        if step is None:
            self._homeless += 1
            return
        for name, value in row.items():
            if name in ("step", "time"):
                continue
            number = self._number(name, value)
            if number is None:
                continue
            if value is not None and number != number:
                self.not_finite.setdefault(self._name(name), set()).add(step)
            series = self.values.setdefault(self._name(name), {})
            if _differs(series.get(step, number), number) and not name.startswith("_"):  # `_timestamp` and its like
                self._repeated.add(step)
            series[step] = number

    def notes(self) -> list[str]:
        """Say what was left out or repeated, a sentence each."""
        said = []
        if self._homeless:
            lines = "1 line" if self._homeless == 1 else f"{self._homeless} lines"
            said.append(f"{lines} of {self.source} without a whole-number step from 0 on: left out.")
        if self._left_out:
            kinds = [
                f"{name} ({', '.join(f'{kind} {_times(count)}' for kind, count in counts.items())})"
                for name, counts in self._left_out.items()
            ]
            said.append(f"What is no number in {self.source} was left out: {listed(kinds)}.")
        if self._boundless:
            names = [f"{name} ({_times(count)})" for name, count in self._boundless.items()]
            said.append(f"Infinite values in {self.source} count as missing: {listed(names)}.")
        if self._repeated:
            first, last = min(self._repeated), max(self._repeated)
            where = f"step {first}" if first == last else f"{len(self._repeated)} steps between {first} and {last}"
            said.append(f"{self.source} logs {where} more than once; the last value counts.")
        return said

    def _name(self, raw: str) -> str:
        """A name as it can be shown: a log may hold any characters, and halves of some."""
        if raw not in self._names:
            self._names[raw] = printable(raw)
        return self._names[raw]

    def _number(self, name: str, value: Any) -> float | None:
        """A value as a float, NaN where it is missing; None, and counted, where it is no number."""
        if value is None:
            return math.nan
        if isinstance(value, int | float) and not isinstance(value, bool):
            if value != value or is_finite(value):
                return float(value)
            self._boundless[self._called.get(name, name)] += 1
            return math.nan
        kind = _KINDS.get(type(value), type(value).__name__)
        self._left_out.setdefault(self._called.get(name, name), Counter())[kind] += 1
        return None


def is_finite(value: Any) -> bool:
    """Whether a value is a number that can be averaged."""
    return isinstance(value, int | float) and -LARGEST < value < LARGEST


def unquoted(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a tracker's, which writes what JSON has no number for as text (W&B, trackio)."""
    return {name: _SPECIAL.get(value, value) if isinstance(value, str) else value for name, value in row.items()}


def torn_note(name: str) -> str:
    """Say that the last line of a log was left out for want of an end: half a number looks like a whole one."""
    return (
        f"The last line of {name} has no end, so it may be cut short: it was dropped. If it is whole, end it with a "
        "newline."
    )


def whole_step(value: Any, source: str, line: int | None = None) -> int | None:
    """Return a step as a whole number from 0 on; None for anything else.

    Raises:
        RunError: it is beyond `MOST_STEPS`.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        return None
    if value > MOST_STEPS:
        where = source if line is None else f"{source}, line {line}"
        raise RunError(
            f"{where}: step {brief(value, 40)} is beyond {MOST_STEPS:,}, which no training reaches: is it a time, or a "
            "count of tokens? Put the number of the training step there."
        )
    return int(value) if value == int(value) else None


def _differs(one: float, other: float) -> bool:
    return one != other and not (math.isnan(one) and math.isnan(other))


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
