"""Reads console logs that print dictionaries: TRL's, ms-swift's, OpenRLHF's, slime's.

- TRL (any Hugging Face trainer): `{'loss': 0.1, 'reward': 0.5, 'epoch': 0.01}`, since transformers 5 with numbers as
  text (`'0.1'`), between the parts of a progress bar. Such a line names no step: it is that of the bar (`3/100 [`) that
  is drawn anew directly behind it, else of the one before. Where the bars do not order the lines, and where there are
  none, the lines are counted, and it is said.
- ms-swift: the same with `'global_step/max_steps': '3/100'`.
- OpenRLHF: `Global step 3: {...}`. slime: `rollout 3: {...}`, `step 3: {...}`, `eval 3: {...}`, from 0 on.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from presat.errors import RunError
from presat.tracking.readers.aliases import step_rank
from presat.tracking.readers.build import Log
from presat.tracking.readers.rows import torn_note
from presat.tracking.readers.trl import name_sets

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_BAR = re.compile(r"\b(\d{1,7})/(\d{1,7}) \[")
_DICTIONARY = re.compile(r"(?:\b(?:global step|rollout|step|eval|perf) (\d{1,9}): )?(\{'.*\})\s*$", re.IGNORECASE)
_PAIR = re.compile(r"'([^']+)': (?:'([^']*)'|\"([^\"]*)\"|(?:np\.\w+|tensor)\(([^,)]*)[^)]*\)|([^,{}\[\]]+))")
_TELLING = ("loss", "reward")


@dataclass
class _Line:
    """A printed dictionary: its values, the step it names, and the progress bars before and behind it."""

    row: dict[str, Any]
    step: int | None
    before: tuple[int, int] | None
    after: tuple[int, int] | None = None

    @property
    def trains(self) -> bool:
        """Whether it is of training steps, not of an evaluation or the end."""
        return not any(name.startswith("eval") or name == "train_runtime" for name in self.row)


def read_dictionaries(path: Path) -> Log | None:
    """Read a console log; None where no line of it is a dictionary of metrics.

    Raises:
        RunError: the file cannot be read.
    """
    torn: list[str] = []
    lines = _lines(path, torn)
    if not lines:
        return None
    notes = _place(lines, path.name)
    rows = [(None, name_sets({**line.row, "step": line.step})) for line in lines if "train_runtime" not in line.row]
    return Log(path, "log", rows, notes=notes, torn=torn)


def _lines(path: Path, torn: list[str]) -> list[_Line]:
    found: list[_Line] = []
    bar: tuple[int, int] | None = None
    behind = False  # whether the last piece was a dictionary
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for raw in file:  # a progress bar's carriage returns end lines too
                text = _COLOUR.sub("", raw)
                if not text.strip():
                    continue
                for match in _BAR.finditer(text):
                    bar = int(match.group(1)), int(match.group(2))
                    if behind:
                        found[-1].after, behind = bar, False
                behind = False
                if "{'" not in text:
                    continue
                match = _DICTIONARY.search(text)
                if match is None and not raw.endswith("\n"):
                    torn.append(torn_note(path.name))
                row = {} if match is None else _values(match.group(2))
                if match and (match.group(1) or _tells(row)) and row:
                    found.append(_Line(row, _named(match.group(1), row), bar))
                    behind = True
    except OSError as error:
        raise RunError(f"Cannot read {path}: {error.strerror}.") from error
    return found


def _tells(row: dict[str, Any]) -> bool:
    """Whether a dictionary is a line of metrics: other programs print others."""
    return any(name in ("train_runtime", *_TELLING) or name.startswith(("eval_", "rollout/")) for name in row)


def _named(before: str | None, row: dict[str, Any]) -> int | None:
    """The step that a line names itself, before the dictionary or in it."""
    for name in sorted((name for name in row if step_rank(name) is not None), key=lambda name: step_rank(name) or 0):
        value = str(row.pop(name)).split("/")[0].removesuffix(".0")
        if value.isdecimal() and before is None:
            before = value
    return None if before is None else int(before)


def _values(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, *spellings in _PAIR.findall(text):
        raw = next((value for value in spellings if value), "").strip()
        try:
            found[name] = float(raw)
        except ValueError:
            found[name] = None if raw == "None" else raw
    return found


def _place(lines: list[_Line], source: str) -> list[str]:
    """Give steps to the lines that name none."""
    lines = [line for line in lines if line.step is None]
    training = [line for line in lines if line.trains]
    if not lines:
        return []
    total = _total(line.before or line.after for line in training)
    steps, last = [], 0
    for line in training:
        seen = [bar[0] for bar in (line.after, line.before) if bar and bar[1] == total]
        last = next((step for step in seen if step > last), 0)
        steps.append(last)
        if not last:
            break
    every = 1
    if len(steps) == len(training) and all(steps):
        notes = []
    else:
        ended = any("train_runtime" in line.row for line in lines)
        every = total // len(training) if ended and training and total and total % len(training) == 0 else 1
        steps = [every * count for count in range(1, len(training) + 1)]
        notes = [
            f"The lines of {source} name no steps and no progress bar was redrawn after them: they count as every step"
            + (f" that is a multiple of {every}." if every > 1 else ".")
        ]
    at = 0
    for line in lines:
        if line.trains:
            at = steps.pop(0)
        line.step = at
    return notes


def _total(bars: Iterable[tuple[int, int] | None]) -> int:
    """How many steps the training has: an evaluation has a bar of its own, with another end."""
    ends = Counter(bar[1] for bar in bars if bar)
    return ends.most_common(1)[0][0] if ends else 0
