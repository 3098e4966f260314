"""Reads the stores that trackers keep on this machine, of which one may hold many runs: trackio's, MLflow's.

- trackio 0.43: `PROJECT.db` (SQLite), a row of JSON a call of `log`; in `~/.cache/huggingface/trackio`. On the Hub it
  is `PROJECT.parquet`, a column a metric.
- MLflow 3: a folder `mlruns/EXPERIMENT/RUN/metrics/NAME`, lines `time value step`; or `mlflow.db` (SQLite).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from presat.errors import RunError
from presat.jsons import parse_json
from presat.text import brief
from presat.tracking.readers.build import Log
from presat.tracking.readers.rows import unquoted
from presat.tracking.responses import read_table, scan_table
from presat.tracking.run import Kind

_TRACKIOS_OWN = frozenset(("id", "run_id", "timestamp", "run_name", "step", "log_id", "space_id"))
_SQLITE = b"SQLite format 3\x00"
_META = "meta.yaml"
_NAME = re.compile(r"^run_name:\s*(.+?)\s*$", re.MULTILINE)
_DELETED = re.compile(r"^lifecycle_stage:\s*deleted\s*$", re.MULTILINE)
_TRACKIO = "SELECT run_name, step, metrics FROM metrics ORDER BY id"
_MLFLOW = (
    "SELECT coalesce(runs.name, runs.run_uuid), metrics.step, metrics.key, metrics.value, metrics.is_nan FROM metrics "
    "JOIN runs ON runs.run_uuid = metrics.run_uuid WHERE runs.lifecycle_stage = 'active' ORDER BY metrics.timestamp"
)


def is_database(path: Path) -> bool:
    """Whether a file is SQLite's."""
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def read_database(path: Path) -> list[Log]:
    """Read the runs of trackio's or MLflow's database; none where it is neither's.

    Raises:
        RunError: it cannot be read.
    """
    try:
        with sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True) as database:
            columns = {row[1] for row in database.execute("PRAGMA table_info(metrics)")}
            if {"run_name", "step", "metrics"} <= columns:
                return _trackio(path, database.execute(_TRACKIO))
            return _mlflow(path, database.execute(_MLFLOW)) if {"key", "run_uuid", "is_nan"} <= columns else []
    except (sqlite3.Error, ValueError) as error:
        raise RunError(f"Cannot read the database {path}: {error}.") from error


def mlflow_runs(path: Path) -> list[Path]:
    """The folders of MLflow's runs: this one, or those in it (an experiment), or in those (`mlruns`)."""
    found = [path, *path.glob("*"), *path.glob("*/*")]
    return sorted(folder for folder in found if (folder / "metrics").is_dir() and (folder / _META).is_file())


def read_mlflow(folder: Path) -> Log | None:
    """Read one run's folder; None where the run was deleted.

    Raises:
        RunError: a line is none of MLflow's, or cannot be read.
    """
    try:
        meta = (folder / _META).read_text(encoding="utf-8", errors="replace")
        if _DELETED.search(meta):
            return None
        by_step: dict[int, dict[str, Any]] = {}
        for file in sorted((folder / "metrics").rglob("*")):
            if file.is_file():
                name = file.relative_to(folder / "metrics").as_posix()
                for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
                    step, value = _measured(file, number, line)
                    by_step.setdefault(step, {})[name] = value
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"Cannot read the metrics in {folder}: {error}.") from error
    name = _NAME.search(meta)
    return _log(folder, "mlflow", name.group(1).strip("'\"") if name else folder.name, by_step)


def _measured(file: Path, number: int, line: str) -> tuple[int, float]:
    """Step and value of a line `time value step`."""
    try:
        _, value, step, *_ = line.split()
        return int(step), float(value)
    except ValueError:
        raise RunError(f"{file}, line {number}: should be `time value step`, not {brief(line)}.") from None


def _trackio(path: Path, rows: Iterable[tuple[str, int, bytes | str]]) -> list[Log]:
    found: dict[str, list[tuple[int | None, dict[str, Any]]]] = {}
    for name, count, raw in rows:
        row = parse_json(raw.decode() if isinstance(raw, bytes) else str(raw))
        if not isinstance(row, dict):
            raise RunError(f"{path}: the metrics of a row should be a JSON object, not {brief(row, 40)}.")
        found.setdefault(str(name), []).append((None, {"_step": count, **unquoted(row)}))
    return [Log(path, "trackio", items, name) for name, items in found.items()]


def trackio_tables(path: Path) -> list[Path]:
    """The tables that trackio makes of a database for the Hub: this file, or those in a folder."""
    files = [path] if path.suffix == ".parquet" and path.is_file() else sorted(path.glob("*.parquet"))
    return [file for file in files if _of_metrics(scan_table(file).collect_schema().names())]


def read_trackio_table(path: Path) -> list[Log]:
    """Read the runs of one of them.

    Raises:
        RunError: it cannot be read.
    """
    table = read_table(path)
    columns = [name for name in table.columns if name not in _TRACKIOS_OWN]
    found: dict[str, list[tuple[int | None, dict[str, Any]]]] = {}
    for row in table.to_dicts():
        measured = {name: row[name] for name in columns if row[name] is not None}
        found.setdefault(str(row["run_name"]), []).append((None, {"_step": row["step"], **unquoted(measured)}))
    return [Log(path, "trackio", items, name) for name, items in found.items()]


def _of_metrics(columns: Sequence[str]) -> bool:
    return {"run_name", "step", "timestamp"} <= set(columns) and "messages" not in columns


def _mlflow(path: Path, rows: Iterable[tuple[str, int, str, float, int]]) -> list[Log]:
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for name, step, metric, value, missing in rows:
        if not isinstance(step, int):
            raise RunError(f"{path}: a step should be a whole number, not {brief(step, 40)}.")
        found.setdefault(str(name), {}).setdefault(step, {})[str(metric)] = None if missing else value
    return [_log(path, "mlflow", name, by_step) for name, by_step in found.items()]


def _log(path: Path, kind: Kind, name: str, by_step: dict[int, dict[str, Any]]) -> Log:
    return Log(path, kind, [(None, {"step": step, **row}) for step, row in sorted(by_step.items())], name)


def _quoted(path: Path) -> str:
    """A path as it may stand in an address of SQLite's."""
    return re.sub(r"[%?#]", lambda match: f"%{ord(match[0]):02X}", str(path.absolute()))
