"""Reads folders of responses as verl dumps them: `12.jsonl`, one `{input, output, gts, score, step}` a line.

The mean score of a step is its reward. A folder with a step 0, or with `val` in its name, was written by validation and
is an evaluation set named after the folder: avg@n where it is known which responses are right, else the mean score.
A response is known to be right by its `acc`; in validation also by a score that is 0 or 1, or -1 or 1, throughout. A
training score of 0 or 1 may be a proxy (a majority vote looks the same), so it is a reward and no verdict. A response
without a score (null, infinite, not a number) is missing and no 0. Training scores of two values are read as shares
(`shares.py`).
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from presat.errors import RunError
from presat.jsons import Faults, log_lines
from presat.metrics import GOLD_ACCURACY
from presat.text import brief, listed, printable
from presat.tracking.readers.rows import is_finite, whole_step
from presat.tracking.readers.shares import as_shares, two_values
from presat.tracking.responses import make_frame
from presat.tracking.run import Run

if TYPE_CHECKING:
    import polars as pl

NEEDED = ("input", "output", "score")


def dump_files(folder: Path) -> list[Path]:
    """The files of a dump folder in step order; empty when it is none."""
    found = (file for file in folder.glob("*.jsonl") if file.stem.isdecimal() and file.is_file())
    return sorted(found, key=lambda file: int(file.stem))


def read_dumps(path: Path) -> Run:
    """Read a dump folder, or one file of it.

    Raises:
        RunError: a line lacks a field (the message names file, line and field), or nothing is there.
    """
    files = dump_files(path) if path.is_dir() else [path]
    folder = path if path.is_dir() else path.parent
    rows, notes = [], []
    broken: set[int] = set()
    for file in files:
        faults = Faults()
        rows += [_row(line.row or {}, file, line.number, broken) for line in log_lines(file, faults)]
        notes += faults.notes(file.name)
    if not rows:
        raise RunError(f"{path} holds no responses.")
    validation = any(row["step"] == 0 for row in rows) or "val" in folder.name.lower()
    set_name = printable(folder.name) if validation else ""
    for row in rows:
        row["set"] = set_name
    _number_samples(rows)
    scores = {row["score"] for row in rows if row["score"] is not None}
    judged = next((low for low in (0.0, -1.0) if validation and scores <= {low, 1.0}), None)
    unread = sum(row.get("acc") is not None and _number(row["acc"]) is None for row in rows)
    if unread:
        notes.append(f"{unread} of {len(rows)} responses have an `acc` that is no number: it says nothing of them.")
    unscored = sum(row["score"] is None for row in rows)
    if unscored:
        notes.append(f"{unscored} of {len(rows)} responses have no finite score: they count as missing, not as 0.")
    if judged is None and not any("acc" in row for row in rows):
        notes.append("No `acc` says which responses are right, so the scores count as rewards only.")
    split = "eval" if validation else "train"
    values = _values(rows, set_name, judged)
    found = None if validation else two_values(row["score"] for row in rows if row["score"] is not None)
    notes += as_shares(values, *found) if found else []
    return Run(
        path=path,
        kind="rollouts",
        values=values,
        notes=notes,
        rollout_frames={split: _frame(rows, judged)},
        not_finite={"reward": broken} if broken and not validation else {},
    )


def _row(line: dict[str, Any], file: Path, number: int, broken: set[int]) -> dict[str, Any]:
    for name in NEEDED:
        if name not in line:
            raise RunError(f"{file}, line {number}: a response needs the field `{name}`; found {listed(list(line))}.")
    given = line.get("step", int(file.stem) if file.stem.isdecimal() else None)
    step, score = whole_step(given, str(file), number), _number(line["score"])
    if step is None or not (line["score"] is None or isinstance(line["score"], int | float)):
        what, value = ("`step` must be a whole number from 0 on", given)
        if step is not None:
            what, value = (f"the `score` of step {step} must be a number or null", line["score"])
        raise RunError(f"{file}, line {number}: {what}, not {brief(value)}.")
    if score is None and line["score"] is not None:
        broken.add(step)
    return {**line, "step": step, "score": score}


def _number(value: Any) -> float | None:
    """A score as a float; None where it is no number that can be averaged."""
    return float(value) if is_finite(value) else None


def _number_samples(rows: list[dict[str, Any]]) -> None:
    """Give every response its problem (by the prompt) and its number among that problem's responses of the step."""
    seen: Counter[tuple[int, str]] = Counter()
    for row in rows:
        row["problem_id"] = hashlib.sha256(_whole(str(row["input"])).encode()).hexdigest()[:12]
        row["sample"] = seen[row["step"], row["problem_id"]]
        seen[row["step"], row["problem_id"]] += 1


def _values(rows: list[dict[str, Any]], set_name: str, judged: float | None) -> dict[str, dict[int, float]]:
    by_step: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        by_step.setdefault(row["step"], []).append(row)
    values: dict[str, dict[int, float]] = {}
    for step, group in by_step.items():
        per_problem = len(group) // len({row["problem_id"] for row in group})
        verdicts = [verdict for row in group if (verdict := _verdict(row, judged)) is not None]
        names = (f"eval/{set_name}/score", f"eval/{set_name}/avg@{per_problem}")
        reward, accuracy = names if set_name else ("reward", GOLD_ACCURACY)
        scores = [row["score"] for row in group if row["score"] is not None]
        values.setdefault(reward, {})[step] = sum(scores) / len(scores) if scores else math.nan
        if verdicts:
            values.setdefault(accuracy, {})[step] = sum(verdicts) / len(verdicts)
    return values


def _verdict(row: dict[str, Any], judged: float | None) -> float | None:
    """Whether a response is right: its `acc`, or its score where `judged` (or 1) makes it a verdict; else not known."""
    accuracy = _number(row.get("acc"))
    if accuracy is not None or judged is None or row["score"] is None:
        return accuracy
    return (row["score"] - judged) / (1.0 - judged)


def _whole(text: str) -> str:
    """Text without halves of characters, which JSON may hold (a response cut within an emoji) and UTF-8 may not."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _frame(rows: list[dict[str, Any]], judged: float | None) -> pl.DataFrame:
    """The responses in the columns of our own rollouts, as far as verl saves them."""

    def text(value: Any) -> str | None:
        return None if value is None else _whole(str(value))

    columns = {
        "step": [row["step"] for row in rows],
        "set": [row["set"] for row in rows],
        "problem_id": [row["problem_id"] for row in rows],
        "sample": [row["sample"] for row in rows],
        "prompt": [text(row["input"]) for row in rows],
        "text": [text(row["output"]) for row in rows],
        "gold": [text(row.get("gts")) for row in rows],
        "extracted": [text(row.get("pred")) for row in rows],
        "score": [_verdict(row, judged) for row in rows],
        "reward": [row["score"] for row in rows],
    }
    return make_frame(columns).sort("step", maintain_order=True)
