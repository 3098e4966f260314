"""Reads what TRL (any Hugging Face trainer) leaves: the `log_history` of `trainer_state.json`.

TRL averages its train metrics over `logging_steps` and prefixes everything it logs while evaluating with `eval_`,
whatever the set. With several sets, the set is told by the keys the trainer itself adds (`eval_SET_runtime`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from presat.errors import RunError
from presat.files import read_json
from presat.tracking.readers.rows import collect_rows
from presat.tracking.run import Run
from presat.tracking.state import UNKNOWN

STATE = "trainer_state.json"
_UNNAMED_SET = "eval"
_BOOKKEEPING = ("runtime", "_per_second", "num_tokens")
_PARTIAL_REWARD = re.compile(r"rewards/(.+)/mean")
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


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


def read_trl(path: Path, state_file: Path) -> Run:
    """Read a TRL run.

    Raises:
        RunError: the state is damaged or holds no log.
    """
    state = read_json(state_file, _State)
    if state.log_history is None:
        raise RunError(f"{state_file} has no `log_history`; it is not the state of a Hugging Face trainer.")
    rows = [_renamed(row) for row in state.log_history if "train_runtime" not in row]
    values, notes = collect_rows(rows, state_file.name)
    if state_file.parent != path and path.is_dir():
        notes.append(f"The newest log is {state_file.relative_to(path)}; TRL writes it when it saves a checkpoint.")
    done, planned = state.global_step, state.max_steps
    return Run(
        path=path,
        kind="trl",
        values=values,
        status="finished" if 0 < planned <= done else UNKNOWN,
        status_reason=f"step {done} of {planned}" if planned > 0 else "",
        notes=notes,
    )


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    """A row with evaluation keys as `eval/SET/METRIC`; rows of training as they are."""
    if not any(name.startswith("eval_") for name in row):
        return row
    set_name = next(
        (name[5:-8].strip("_") for name in row if name.startswith("eval_") and name.endswith("_runtime")), ""
    )
    renamed: dict[str, Any] = {"step": row.get("step")}
    for name, value in row.items():
        if not name.startswith("eval_"):
            continue
        metric = name.removeprefix("eval_").removeprefix(f"{set_name}_" if set_name else "")
        part = _PARTIAL_REWARD.fullmatch(metric)
        metric = part.group(1) if part else metric
        if "/" not in metric and not metric.endswith(_BOOKKEEPING):
            renamed[f"eval/{set_name or _UNNAMED_SET}/{metric}"] = value
    return renamed
