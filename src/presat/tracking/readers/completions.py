"""Reads the responses that TRL saves with `log_completions`: `completions/completions_00012.parquet`.

A row has `step`, `prompt`, `completion`, a column for each reward function, whatever the functions log beside, and
`advantage`. The reward is the sum over the functions: their weights stand nowhere. An evaluation writes to the file of
its step, over the training responses in it, so the file of such a step is an evaluation's. Seen of TRL 1.16.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from presat.errors import RunError
from presat.tracking.readers.rows import is_finite
from presat.tracking.responses import make_frame, read_table

if TYPE_CHECKING:
    import polars as pl

FOLDER = "completions"
_OTHERS = frozenset(("step", "prompt", "completion", "advantage", "advantages"))


class Frames(Mapping[str, "pl.DataFrame"]):
    """Responses by split, read when they are first asked for: a report asks for few of them, `watch` for none."""

    def __init__(self, files: list[Path], parts: Collection[str]) -> None:
        self._files, self._parts = files, parts
        self._frame: pl.DataFrame | None = None

    def __getitem__(self, split: str) -> pl.DataFrame:
        """The responses of a split."""
        if split != "train":
            raise KeyError(split)
        if self._frame is None:
            self._frame = _frame([row for file in self._files for row in _rows(file, self._parts)])
        return self._frame

    def __iter__(self) -> Iterator[str]:
        """The splits."""
        return iter(("train",))

    def __len__(self) -> int:
        """How many splits there are."""
        return 1


def completion_files(path: Path) -> list[Path]:
    """The files of a folder of completions, or of the one in an output folder, in step order."""
    return sorted(file for pattern in ("", f"{FOLDER}/") for file in path.glob(f"{pattern}completions_*.parquet"))


def read_completions(
    path: Path, parts: Collection[str] = (), evaluated: Collection[Any] = ()
) -> tuple[Mapping[str, pl.DataFrame], list[str]]:
    """Open the responses that TRL saved; return them, and what there is to say.

    Args:
        path: the folder, or the output folder it is in.
        parts: names of the reward functions, where they are known; else every column of numbers is one.
        evaluated: steps with an evaluation.
    """
    files, left = [], 0
    for file in completion_files(path):
        digits = file.stem.rpartition("_")[2]
        if digits.isdecimal() and int(digits) in evaluated:
            left += 1
        else:
            files.append(file)
    notes = []
    if left:
        notes.append(
            f"{left} file{'s' * (left > 1)} of {FOLDER}/ left out: at a step with an evaluation TRL writes the "
            "evaluation's responses over those of training."
        )
    if len(parts) > 1:
        notes.append(
            f"The reward of a response in {FOLDER}/ is the sum of {', '.join(sorted(parts))}: weights unknown."
        )
    return (Frames(files, parts) if files else {}), notes


def mean_rewards(frames: Mapping[str, pl.DataFrame]) -> dict[int, float]:
    """The mean reward of every step; a response without one is missing."""
    found: dict[int, list[float]] = {}
    for step, reward in frames["train"].select("step", "reward").iter_rows():
        found.setdefault(step, []).extend([] if reward is None else [reward])
    return {step: sum(rewards) / len(rewards) if rewards else math.nan for step, rewards in found.items()}


def infinite_steps(frames: Mapping[str, pl.DataFrame]) -> set[int]:
    """The steps with a response that a reward function paid without bound; its reward is missing."""
    import polars as pl

    frame = frames["train"]
    parts = [pl.col(name) for name in frame.columns if name.startswith("reward/") and frame[name].dtype.is_numeric()]
    infinite = [~part.is_nan() & ~part.is_finite() for part in (part.cast(pl.Float64) for part in parts)]
    return set(frame.filter(pl.any_horizontal(infinite))["step"]) if infinite else set()


def _rows(file: Path, parts: Collection[str]) -> list[dict[str, Any]]:
    table = read_table(file)
    lacking = [name for name in ("step", "prompt", "completion") if name not in table.columns]
    if lacking:
        raise RunError(f"{file} has no column `{lacking[0]}`: it is no file of TRL's completions.")
    numbers = [n for n in table.columns if n not in _OTHERS and (n in parts if parts else table[n].dtype.is_float())]
    seen: Counter[str] = Counter()
    found = []
    for row in table.to_dicts():
        prompt = _text(row["prompt"])
        name = hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest()[:12]
        given = {part: row[part] for part in numbers}
        known = [value for value in given.values() if value is not None and not math.isnan(value)]
        found.append(
            {
                "step": row["step"],
                "set": "",
                "problem_id": name,
                "sample": seen[name],
                "prompt": prompt,
                "text": _text(row["completion"]),
                "score": None,
                "reward": sum(known) if known and all(map(is_finite, known)) else None,
                **{f"reward/{part}": value for part, value in given.items()},
                "advantage": row.get("advantage", row.get("advantages")),
            }
        )
        seen[name] += 1
    return found


def _frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    names = dict.fromkeys(name for row in rows for name in row)
    return make_frame({name: [row.get(name) for row in rows] for name in names}).sort("step", maintain_order=True)


def _text(value: Any) -> str:
    """The text of a prompt or a completion, which may be chat turns."""
    if isinstance(value, list):
        return "\n\n".join(_text(turn.get("content") if isinstance(turn, dict) else turn) for turn in value)
    return "" if value is None else str(value)
