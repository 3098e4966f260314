"""Reads what TRL (any Hugging Face trainer) leaves: the `log_history` of `trainer_state.json`, and `completions/`.

TRL averages its train metrics over `logging_steps` and prefixes everything it logs while evaluating with `eval_`,
whatever the set. With several sets, the set is told by the keys the trainer itself adds (`eval_SET_runtime`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from presat.errors import RunError
from presat.jsons import read_json
from presat.metrics import GOLD_ACCURACY
from presat.tracking.readers.build import Log, run_of
from presat.tracking.readers.completions import completion_files, read_completions
from presat.tracking.run import Run
from presat.tracking.state import UNKNOWN

STATE = "trainer_state.json"
_RUNTIME = re.compile(r"eval[_/](.+)_runtime")
_EVALUATION = re.compile(r"eval[_/](.+)")
_PARTIAL_REWARD = re.compile(r"rewards/(.+)/(mean|std)")
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_OURS = {GOLD_ACCURACY: "gold_accuracy"}


class _State(BaseModel):
    """What is read of `trainer_state.json`."""

    global_step: int = 0
    max_steps: int = 0
    log_history: list[dict[str, Any]] | None = None


def find_state(path: Path) -> Path | None:
    """The trainer state of a file, an output folder or its checkpoints: the one that is furthest on."""
    if path.is_file():
        return path if path.name == STATE else None
    found = [path / STATE, *(folder / STATE for folder in path.iterdir() if _CHECKPOINT.fullmatch(folder.name))]
    states = [file for file in found if file.is_file()]
    return max(states, key=lambda file: read_json(file, _State).global_step) if states else None


def read_trl(path: Path, state_file: Path, chosen: Mapping[str, str] | None = None) -> Run:
    """Read a TRL run.

    Raises:
        RunError: the state is damaged or holds no log.
    """
    state = read_json(state_file, _State)
    if state.log_history is None:
        raise RunError(f"{state_file} has no `log_history`; it is not the state of a Hugging Face trainer.")
    rows = [(None, name_sets(row)) for row in state.log_history if "train_runtime" not in row]
    run = run_of(Log(state_file, "trl", rows), chosen)
    run.path = path
    if state_file.parent != path and path.is_dir():
        run.notes.append(f"The newest log is {state_file.relative_to(path)}; TRL writes it when it saves a checkpoint.")
    done, planned = state.global_step, state.max_steps
    run.status = "finished" if 0 < planned <= done else UNKNOWN
    run.status_reason = f"step {done} of {planned}" if planned > 0 else ""
    if path.is_dir() and completion_files(path):
        parts = {match[1] for row in state.log_history for name in row if (match := _PARTIAL_REWARD.fullmatch(name))}
        evaluated = {row.get("step") for row in state.log_history if any(name.startswith("eval_") for name in row)}
        run.rollout_frames, notes = read_completions(path, parts, evaluated)
        run.notes += notes
    return run


def name_sets(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with the evaluation it holds under the set's name, where the row tells it; others as they are."""
    named = next((match.group(1) for name in row if (match := _RUNTIME.fullmatch(name))), "")
    if not named:
        return dict(row)
    renamed: dict[str, Any] = {}
    for name, value in row.items():
        match = _EVALUATION.fullmatch(name)
        if match is None:
            renamed[name] = value
            continue
        metric = match.group(1).removeprefix(f"{named}_")
        part = _PARTIAL_REWARD.fullmatch(metric)
        metric = part.group(1) + "_std" * (part.group(2) == "std") if part else _OURS.get(metric, metric)
        renamed[f"eval/{named}/{metric}" if "/" not in metric else name] = value
    return renamed
