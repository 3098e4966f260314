"""`open_run`: finds out what a path holds and reads it as a `Run`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from pathlib import Path

from presat.errors import RunError, nearest
from presat.jsons import Faults, log_lines
from presat.text import listed, printable
from presat.tracking.readers import completions, console, dumps, groups, stores, table, tfevents, trl, verl, wandb
from presat.tracking.readers.aliases import step_rank
from presat.tracking.readers.build import Log, run_of
from presat.tracking.readers.ours import read_presat
from presat.tracking.readers.shares import as_shares, two_values, unknown_range
from presat.tracking.run import Run
from presat.tracking.writer import METRICS, PROVENANCE

_TABLES = (".csv", ".tsv")
_LOGS = (".log", ".txt", ".out")
_FOLDERS = (
    f"our `{METRICS}`; TRL's `{trl.STATE}`, in the folder or a `checkpoint-N`, or its `completions`; verl's responses "
    f"(`N.jsonl`), file log (`*.jsonl`) or console log ({', '.join('*' + ending for ending in _LOGS)}); "
    "ms-swift's `logging.jsonl`; W&B's `run-*.wandb`; TensorBoard's `events.out.tfevents.*`; MLflow's runs; trackio's "
    "`*.db`"
)
_FILES = (
    f"a table ({', '.join(_TABLES)}); TRL's `{trl.STATE}`; verl's file log or responses (`.jsonl`); flat JSON lines "
    "with a `step`; lines of `{prompt_id, rewards}` or `{prompt, response, reward}`; "
    "lines of verl's console log (`step:1 - name:value`) or of another's (`{'reward': 0.5, ...}`); "
    "W&B's `.wandb`; TensorBoard's `events.out.tfevents.*`; a database of trackio's or MLflow's"
)
_SWIFT = "logging.jsonl"


def open_run(
    path: Path | str,
    growing: bool = False,
    run: str = "",
    columns: Mapping[str, str] | None = None,
    reward_values: tuple[float, float] | None = None,
) -> Run:
    """Open a saved run, whoever wrote it.

    Args:
        path: a run directory of ours, or what another trainer or a tracker left: docs/reports.md lists all.
        growing: it may be written to right now: a last line without its end is left to the next look, silently.
        run: which one, where there are several (an export of several runs, a tracker's store).
        columns: which columns of a log are what, by our name: `step`, `reward`, `labels/gold_accuracy`, or the name of
            an evaluation set (`SET/METRIC`, or `SET`) whose score it is.
        reward_values: the two values that a reward takes, which is then read as a share.

    Raises:
        RunError: nothing is there, or nothing that presat reads; the message lists what was looked for. There are
            several runs, and `run` names none of them.
    """
    runs = open_runs(path, growing, columns, reward_values)
    names = [found.name for found in runs]
    if run:
        if run not in names:
            raise RunError(f"{path} has no run '{run}'.{nearest(run, names)} Its runs: {listed(names)}.")
        return runs[names.index(run)]
    if len(runs) > 1:
        raise RunError(
            f"{path} holds several runs: {listed(names)}. `presat report` reads all of them; "
            "`presat watch --only NAME` and `open_run(path, run=NAME)` read one."
        )
    return runs[0]


def open_runs(
    path: Path | str,
    growing: bool = False,
    columns: Mapping[str, str] | None = None,
    reward_values: tuple[float, float] | None = None,
) -> list[Run]:
    """Open every run that is at a path: one, but for exports of several and trackers' stores.

    Args:
        path: as `open_run`.
        growing: likewise.
        columns: likewise.
        reward_values: likewise.

    Raises:
        RunError: as `open_run`.
    """
    path = Path(path)
    try:
        runs = _open_folder(path, columns) if path.is_dir() else _open_file(path, columns) if path.is_file() else []
    except PermissionError as error:
        raise RunError(f"Cannot read {error.filename}: {error.strerror}.") from error
    if not runs:
        if not path.exists():
            raise RunError(f"There is no run at {path}. Check the path.")
        looked_for = _FOLDERS if path.is_dir() else _FILES
        raise RunError(f"{path} holds no run that presat reads. Looked for: {looked_for}.")
    for run in runs:
        run.called = printable(run.called if len(runs) > 1 or run.kind in ("wandb", "trackio", "mlflow") else "")
        if not growing:
            run.notes.extend(run.torn)
        if run.kind != "presat":
            values = {name: dict(series) for name, series in run.values.items()}
            run.notes += as_shares(values, *reward_values) if reward_values else unknown_range(values)
            run.values = values
        run.notes = [printable(note) for note in (*_number_notes(run), *run.notes, *_reward_notes(run))]
    return runs


def _open_folder(path: Path, columns: Mapping[str, str] | None) -> list[Run]:
    if (path / PROVENANCE).is_file() or _json_kind(path / METRICS) == "flat":
        return [read_presat(path)]
    state = trl.find_state(path)
    if state is not None:
        return [trl.read_trl(path, state, columns)]
    if _json_kind(path / _SWIFT) == "flat":
        return [run_of(table.read_json_lines(path / _SWIFT, columns), columns)]
    if dumps.dump_files(path):
        return [dumps.read_dumps(path)]
    put_together = _open_verl_folder(path, columns)
    if put_together is not None:
        return [put_together]
    return _open_trackers(path, columns) or _open_completions(path)


def _open_trackers(path: Path, columns: Mapping[str, str] | None) -> list[Run]:
    """The runs of a tracker's folder."""
    logs = [wandb.read_wandb(file) for file in wandb.wandb_files(path)]
    logs = logs or [log for folder in stores.mlflow_runs(path) if (log := stores.read_mlflow(folder))]
    logs = logs or [log for file in sorted(path.glob("*.db")) for log in _database(file)]
    logs = logs or [log for file in stores.trackio_tables(path) for log in stores.read_trackio_table(file)]
    folders = [] if logs else tfevents.event_folders(path)
    logs = logs or [tfevents.read_events(folder, folder.name) for folder in folders]
    return [run_of(log, columns) for log in logs]


def _open_completions(path: Path) -> list[Run]:
    """TRL's completions alone: the mean reward is that of the responses."""
    if not completions.completion_files(path):
        return []
    frames, notes = completions.read_completions(path)
    values = {"reward": completions.mean_rewards(frames)}
    found = two_values(frames["train"]["reward"].drop_nulls().to_list())
    notes += as_shares(values, *found) if found else []
    broken = completions.infinite_steps(frames)
    not_finite = {"reward": broken} if broken else {}
    return [Run(path, "completions", values, notes=notes, rollout_frames=frames, not_finite=not_finite)]


def _database(path: Path) -> list[Log]:
    return stores.read_database(path) if stores.is_database(path) else []


def _open_file(path: Path, columns: Mapping[str, str] | None) -> list[Run]:
    if path.name == METRICS and (path.parent / PROVENANCE).is_file():
        return [read_presat(path.parent)]
    if trl.find_state(path):
        return [trl.read_trl(path.parent, path, columns)]
    if _json_kind(path) == "dump":
        return [dumps.read_dumps(path)]
    if _json_kind(path) == "groups":
        return [groups.read_groups(path)]
    return [run_of(log, columns) for log in _logs_of(path, columns)]


def _logs_of(path: Path, columns: Mapping[str, str] | None) -> list[Log]:
    """What a file logs, of one run or of several."""
    if path.suffix.lower() in _TABLES:
        return table.read_csv(path, columns)
    kind = _json_kind(path)
    if kind:
        return [verl.read_file_log(path) if kind == "verl" else table.read_json_lines(path, columns)]
    if path.suffix == ".wandb":
        return [wandb.read_wandb(path)]
    if path.name.startswith("events.out.tfevents."):
        return [tfevents.read_events(path)]
    if stores.is_database(path):
        return stores.read_database(path)
    if path.suffix == ".parquet":
        return [log for file in stores.trackio_tables(path) for log in stores.read_trackio_table(file)]
    log = verl.read_console(path) or console.read_dictionaries(path)
    return [log] if log else []


def _open_verl_folder(path: Path, columns: Mapping[str, str] | None) -> Run | None:
    """Put together what one run left in a folder: one log, and any dumps of responses one folder down."""
    logs = [verl.read_file_log(file) for file in sorted(path.glob("*.jsonl")) if _json_kind(file) == "verl"]
    if not logs:
        texts = sorted(file for file in path.iterdir() if file.suffix in _LOGS and file.is_file())
        found = (verl.read_console(file) or console.read_dictionaries(file) for file in texts)
        logs = [log for log in found if log is not None]
    if len(logs) > 1:
        names = ", ".join(log.path.name for log in logs)
        whose = "verl logs" if {log.kind for log in logs} == {"verl"} else "logs"
        raise RunError(f"{path} holds several {whose} ({names}). Name the one to read.")
    parts = [
        dumps.read_dumps(folder) for folder in sorted(path.iterdir()) if folder.is_dir() and dumps.dump_files(folder)
    ]
    if not logs and not parts:
        return None
    merged = Run(path=path, kind=logs[0].kind if logs else "verl", values={})
    values, frames, not_finite = {}, {}, {}
    for part in [*parts, *(run_of(log, columns) for log in logs)]:  # a log's own numbers win over those of responses
        values.update(part.values)
        frames.update(part.rollout_frames)
        not_finite.update(part.not_finite)
        merged.notes.extend(part.notes)
        merged.torn.extend(part.torn)
    merged.values, merged.rollout_frames, merged.not_finite = values, frames, not_finite
    return merged


def _json_kind(path: Path) -> str:
    """What a JSON-lines file holds by its first object: `verl`, `dump`, `groups`, `flat` (with a step), or nothing."""
    if path.suffix != ".jsonl" or not path.is_file():
        return ""
    if not path.stat().st_size:
        return "flat" if path.name == METRICS else ""
    first = next((line.row for line in log_lines(path, Faults()) if line.row), {})
    if "data" in first and not isinstance(first["data"], int | float):
        return "verl"
    if all(name in first for name in dumps.NEEDED):
        return "dump"
    if groups.is_group(first):
        return "groups"
    return "flat" if any(step_rank(name) is not None for name in first) else ""


def _number_notes(run: Run) -> list[str]:
    """Say from which step on what shows a broken run is logged, but no number."""
    broken = [(name, run.not_a_number_from(name)) for name in ("reward", "loss", "grad_norm")]
    return [
        f"The {name} is not a number (NaN) from step {step} on: the run is broken from there. Whatever is said of it, "
        "t_sat too, rests on the steps before."
        for name, step in broken
        if step is not None
    ]


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
