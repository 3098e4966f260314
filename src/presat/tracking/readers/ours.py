"""Reads a run directory of ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from presat.errors import RunError
from presat.files import read_json, read_lines
from presat.tracking.evaluated import changes
from presat.tracking.readers.rows import collect_rows
from presat.tracking.run import Run
from presat.tracking.settings import resumed_notes
from presat.tracking.state import run_state
from presat.tracking.writer import CONFIG, METRICS, PROVENANCE


def read_presat(path: Path) -> Run:
    """Read a run directory of ours; steps logged twice keep the last value.

    Raises:
        RunError: one of its files is damaged beyond a torn last line.
    """
    rows, notes = read_lines(path / METRICS) if (path / METRICS).is_file() else ([], [])
    values, more = collect_rows(rows, METRICS)
    state, provenance = run_state(path), read_json(path / PROVENANCE)
    return Run(
        path=path,
        kind="presat",
        values=values,
        config=_read_config(path / CONFIG),
        provenance=provenance,
        status=state.status,
        status_reason=state.reason,
        notes=notes + more + _notes(provenance) + list(resumed_notes(provenance)) + changes(path),
    )


def _notes(provenance: Mapping[str, Any]) -> list[str]:
    """What is to be said beside any score of the run: 4-bit weights of its model, a setting that costs accuracy."""
    model, own = provenance.get("model"), provenance.get("notes")
    note = model.get("note") if isinstance(model, Mapping) else None
    said = [note, *own] if isinstance(own, list) else [note]
    return [item for item in said if isinstance(item, str)]


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise RunError(f"{path} is not valid YAML: {error}") from error
    return data if isinstance(data, dict) else {}
