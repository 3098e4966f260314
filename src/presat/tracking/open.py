"""`open_run`: finds out what a path holds and reads it as a `Run`."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

from presat.errors import RunError
from presat.files import Faults, log_lines
from presat.text import printable
from presat.tracking.readers import dumps, table, trl, verl
from presat.tracking.readers.ours import read_presat
from presat.tracking.run import Run
from presat.tracking.writer import METRICS, PROVENANCE

_TABLES = (".csv", ".tsv")
_LOGS = (".log", ".txt", ".out")
_FOLDERS = (
    f"our `{METRICS}`; TRL's `{trl.STATE}`, in the folder or a `checkpoint-N`; verl's responses (`N.jsonl`), file log "
    f"(`*.jsonl`) or console log ({', '.join('*' + ending for ending in _LOGS)})"
)
_FILES = (
    f"a table ({', '.join(_TABLES)}); TRL's `{trl.STATE}`; verl's file log or responses (`.jsonl`); flat JSON lines "
    "with a `step`; lines of verl's console log (`step:1 - name:value`)"
)


def open_run(path: Path | str, growing: bool = False) -> Run:
    """Open a saved run, whoever wrote it.

    Args:
        path: a run directory of ours; a TRL output folder or its `trainer_state.json`; a verl console log, file log or
            folder of dumped responses, or a folder with these in it; a CSV with a `step` and a `reward` column.
        growing: it may be written to right now: a last line without its end is left to the next look, silently.

    Raises:
        RunError: nothing is there, or nothing that presat reads; the message lists what was looked for.
    """
    path = Path(path)
    try:
        run = _open_folder(path) if path.is_dir() else _open_file(path) if path.is_file() else None
    except PermissionError as error:
        raise RunError(f"Cannot read {error.filename}: {error.strerror}.") from error
    if run is None:
        if not path.exists():
            raise RunError(f"There is no run at {path}. Check the path.")
        looked_for = _FOLDERS if path.is_dir() else _FILES
        raise RunError(f"{path} holds no run that presat reads. Looked for: {looked_for}.")
    if not growing:
        run.notes.extend(run.torn)
    run.notes = [printable(note) for note in (*run.notes, *_reward_notes(run))]
    return run


def _open_folder(path: Path) -> Run | None:
    if (path / PROVENANCE).is_file() or _json_kind(path / METRICS) == "flat":
        return read_presat(path)
    state = trl.find_state(path)
    if state is not None:
        return trl.read_trl(path, state)
    if dumps.dump_files(path):
        return dumps.read_dumps(path)
    return _open_verl_folder(path)


def _open_file(path: Path) -> Run | None:
    if path.name == METRICS and (path.parent / PROVENANCE).is_file():
        return read_presat(path.parent)
    if trl.find_state(path):
        return trl.read_trl(path.parent, path)
    if path.suffix in _TABLES:
        return table.read_csv(path)
    kind = _json_kind(path)
    if kind == "verl":
        return verl.read_file_log(path)
    if kind == "dump":
        return dumps.read_dumps(path)
    return table.read_json_lines(path) if kind == "flat" else verl.read_console(path)


def _open_verl_folder(path: Path) -> Run | None:
    """Put together what one verl run left in a folder: one log, and any dumps of responses one folder down."""
    logs = [verl.read_file_log(file) for file in sorted(path.glob("*.jsonl")) if _json_kind(file) == "verl"]
    if not logs:
        texts = sorted(file for file in path.iterdir() if file.suffix in _LOGS and file.is_file())
        logs = [run for run in map(verl.read_console, texts) if run is not None]
    if len(logs) > 1:
        names = ", ".join(log.path.name for log in logs)
        raise RunError(f"{path} holds several verl logs ({names}). Name the one to read.")
    parts = [
        dumps.read_dumps(folder) for folder in sorted(path.iterdir()) if folder.is_dir() and dumps.dump_files(folder)
    ]
    if not logs and not parts:
        return None
    merged = Run(path=path, kind="verl", values={})
    values, frames = {}, {}
    for part in [*parts, *logs]:  # a log's own numbers win over those counted from the responses
        values.update(part.values)
        frames.update(part.rollout_frames)
        merged.notes.extend(part.notes)
        merged.torn.extend(part.torn)
    merged.values, merged.rollout_frames = values, frames
    return merged


def _json_kind(path: Path) -> str:
    """What a JSON-lines file holds by its first object: `verl`, `dump`, `flat` (with a step), or an empty string."""
    if path.suffix != ".jsonl" or not path.is_file():
        return ""
    if not path.stat().st_size:
        return "flat" if path.name == METRICS else ""
    first = next((line.row for line in log_lines(path, Faults()) if line.row), {})
    if "data" in first and not isinstance(first["data"], int | float):
        return "verl"
    if all(name in first for name in dumps.NEEDED):
        return "dump"
    return "flat" if any(name in first for name in table.STEP_NAMES) else ""


def _reward_notes(run: Run) -> list[str]:
    """Say which steps have no reward, and where every k-th step was logged."""
    logged = {step: value for step, value in run.values.get("reward", {}).items() if step >= 1}
    last = max(logged, default=0)
    steps = sorted(step for step, value in logged.items() if not math.isnan(value))
    if not logged or len(steps) == last:
        return []
    gaps = {later - earlier for earlier, later in itertools.pairwise(steps)}
    if len(gaps) == 1 and len(steps) == len(logged):
        return [
            f"The reward was logged every {gaps.pop()} steps from step {steps[0]} on; t_sat can only be one of these."
        ]
    return [f"{last - len(steps)} of {last} steps have no logged reward; they count as missing, not as zero."]
