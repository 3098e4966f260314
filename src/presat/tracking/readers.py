"""Finds out what a path holds and reads it as a `Run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from presat.errors import RunError
from presat.tracking.files import read_json, read_lines
from presat.tracking.lock import is_locked
from presat.tracking.run import Run
from presat.tracking.writer import CONFIG, METRICS, PROVENANCE, STATUS


def read_presat(path: Path) -> Run:
    """Read a run directory of ours; steps logged twice keep the last value.

    Raises:
        RunError: one of its files is damaged beyond a torn last line.
    """
    rows, notes = read_lines(path / METRICS)
    values, more = collect_rows(rows, METRICS)
    status = read_json(path / STATUS)
    state, reason = status.get("status", "unknown"), status.get("reason", "")
    if state == "running" and not is_locked(path):
        state, reason = "interrupted", "the process that ran it is gone"
    return Run(
        path=path,
        kind="presat",
        values=values,
        config=_read_config(path / CONFIG),
        provenance=read_json(path / PROVENANCE),
        status=state,
        status_reason=reason,
        notes=notes + more,
    )


def collect_rows(rows: list[dict[str, Any]], source: str) -> tuple[dict[str, dict[int, float]], list[str]]:
    """Turn flat rows with a `step` into values by name and step; null is NaN, text is left out.

    Returns:
        The values, and a note on what was left out or repeated.
    """
    values: dict[str, dict[int, float]] = {}
    notes: list[str] = []
    homeless, repeated = 0, set()
    for row in rows:
        step = row.get("step")
        if not isinstance(step, int) or isinstance(step, bool):
            homeless += 1
            continue
        for name, value in row.items():
            if name in ("step", "time") or not (value is None or isinstance(value, int | float)):
                continue
            series = values.setdefault(name, {})
            if step in series:
                repeated.add(step)
            series[step] = float("nan") if value is None else float(value)
    if homeless:
        notes.append(f"{homeless} lines of {source} have no whole-number step and were left out.")
    if repeated:
        first, last = min(repeated), max(repeated)
        where = f"step {first}" if first == last else f"{len(repeated)} steps between {first} and {last}"
        notes.append(f"{source} logs {where} more than once; the last value counts.")
    return values, notes


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise RunError(f"{path} is not valid YAML: {error}") from error
    return data if isinstance(data, dict) else {}
