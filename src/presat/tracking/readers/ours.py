"""Reads a run directory of ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from presat.errors import RunError
from presat.files import Faults, log_lines
from presat.text import brief
from presat.tracking.evaluated import changes
from presat.tracking.provenance import read_provenance
from presat.tracking.readers.rows import Rows
from presat.tracking.run import Run
from presat.tracking.state import run_state
from presat.tracking.writer import CONFIG, METRICS


def read_presat(path: Path) -> Run:
    """Read a run directory of ours; steps logged twice keep the last value.

    Raises:
        RunError: one of its files is damaged beyond a torn last line.
    """
    rows, faults = Rows(METRICS), Faults()
    if (path / METRICS).exists():
        for line in log_lines(path / METRICS, faults):
            rows.add(line.row or {}, line.number)
    state, provenance = run_state(path), read_provenance(path)
    return Run(
        path=path,
        kind="presat",
        values=rows.values,
        config=read_config(path / CONFIG),
        provenance=provenance,
        status=state.status,
        status_reason=state.reason,
        notes=[*faults.notes(METRICS), *rows.notes(), *_notes(provenance), *changes(path)],
    )


def read_config(path: Path) -> dict[str, Any]:
    """Return the settings that a run directory keeps; empty where it keeps none.

    Raises:
        RunError: the file cannot be read, or holds no settings.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise RunError(f"{path} is not valid YAML ({reason}). Restore it, or delete it to do without.") from error
    if not isinstance(data, dict | None):
        raise RunError(
            f"{path} should hold settings by name, not {brief(data)}. Restore it, or delete it to do without."
        )
    return data or {}


def _notes(provenance: Mapping[str, Any]) -> list[str]:
    """What is to be said beside any score of the run: 4-bit weights of its model, a setting that costs accuracy."""
    note = (provenance.get("model") or {}).get("note")
    return [*([note] if note else []), *(provenance.get("notes") or [])]
