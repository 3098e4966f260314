"""Reads JSON lines of one's own: `{prompt_id, rewards}`, a group a line, or `{prompt, response, reward}`, a response.

A `step` may stand beside. Where it does not, the n-th line of a `prompt_id` is of step n, and single responses, whose
groups cannot be told apart then, are all of step 1. A reward that is null, infinite or not a number is missing and no
0. What is known of a response besides is kept under the names of our own rollouts: `extracted`, `gold`, `finished`,
`score`.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from presat.errors import RunError
from presat.jsons import Faults, log_lines
from presat.text import brief, listed
from presat.tracking.readers.rows import is_finite, whole_step
from presat.tracking.readers.shares import as_shares, two_values
from presat.tracking.responses import make_frame
from presat.tracking.run import Run

_RESPONSE = ("response", "completion", "output")
_PROMPT = ("prompt_id", "problem_id", "id", "prompt", "question", "input")


def is_group(row: Mapping[str, Any]) -> bool:
    """Whether a line is one of these."""
    if not any(name in row for name in _PROMPT):
        return False
    return isinstance(row.get("rewards"), list) or ("reward" in row and any(name in row for name in _RESPONSE))


def read_groups(path: Path) -> Run:
    """Read such a file.

    Raises:
        RunError: a line lacks its prompt or its rewards, or a reward is no number (the message names the line).
    """
    faults = Faults()
    passes: Counter[str] = Counter()
    seen: Counter[tuple[int, str]] = Counter()
    rows: list[dict[str, Any]] = []
    broken: list[int] = []
    for line in log_lines(path, faults):
        for row in _rows(line.row or {}, f"{path}, line {line.number}", line.number, passes):
            if row["reward"] is not None and not is_finite(row["reward"]):
                broken.append(row["step"])
                row["reward"] = None
            row["sample"] = seen[row["step"], row["problem_id"]]
            seen[row["step"], row["problem_id"]] += 1
            rows.append(row)
    if not rows:
        raise RunError(f"{path} holds no responses.")
    values = _values(rows)
    found = two_values(row["reward"] for row in rows if row["reward"] is not None)
    notes = [*faults.notes(path.name), *(as_shares(values, *found) if found else [])]
    names = dict.fromkeys(name for row in rows for name in row)
    if broken:
        notes.append(f"{len(broken)} of {len(rows)} rewards are infinite or not a number: they count as missing.")
    frame = make_frame({name: [row.get(name) for row in rows] for name in names}).sort("step", maintain_order=True)
    not_finite = {"reward": set(broken)} if broken else {}
    return Run(path, "rollouts", values, notes=notes, rollout_frames={"train": frame}, not_finite=not_finite)


def _rows(line: dict[str, Any], where: str, number: int, passes: Counter[str]) -> list[dict[str, Any]]:
    name = next((name for name in _PROMPT if line.get(name) is not None), None)
    listed_rewards = line.get("rewards")
    if name is None or not (isinstance(listed_rewards, list) or "reward" in line):
        raise RunError(
            f"{where}: a line needs a `prompt_id` or `prompt`, and `rewards` or `reward`; found {listed([*line])}."
        )
    prompt = str(line[name])
    passes[prompt] += 1
    otherwise = passes[prompt] if isinstance(listed_rewards, list) else 1
    step = whole_step(line["step"], where, number) if "step" in line else otherwise
    if step is None:
        raise RunError(f"{where}: `step` must be a whole number from 0 on, not {brief(line['step'])}.")
    rewards = listed_rewards if isinstance(listed_rewards, list) else [line["reward"]]
    texts = line.get("responses", [next((line[key] for key in _RESPONSE if key in line), None)])
    if not isinstance(texts, list) or len(texts) != len(rewards):
        texts = [None] * len(rewards)
    shared = {
        "step": step,
        "set": "",
        "problem_id": hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest()[:12],
        "prompt": str(line.get("prompt", prompt)),
        "gold": _text(line.get("gold", line.get("answer"))),
        "extracted": _text(line.get("extracted")),
        "finished": line["finished"] if isinstance(line.get("finished"), bool) else None,
        "score": score if is_finite(score := _number(line.get("score"), where)) else None,
    }
    return [
        {**shared, "text": _text(text), "reward": _number(reward, where)}
        for text, reward in zip(texts, rewards, strict=True)
    ]


def _number(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float):
        raise RunError(f"{where}: a reward must be a number or null, not {brief(value)}.")
    return float(value) if is_finite(value) else math.nan


def _text(value: Any) -> str | None:
    return None if value is None else str(value).encode("utf-8", "replace").decode("utf-8")


def _values(rows: list[dict[str, Any]]) -> dict[str, dict[int, float]]:
    """The mean reward of every step."""
    by_step: dict[int, list[float]] = {}
    for row in rows:
        by_step.setdefault(row["step"], []).extend([] if row["reward"] is None else [row["reward"]])
    return {"reward": {step: sum(found) / len(found) if found else math.nan for step, found in by_step.items()}}
