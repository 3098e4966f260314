"""Reads a run directory of ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from presat.jsons import Faults, log_lines
from presat.tracking.evaluated import changes
from presat.tracking.provenance import read_provenance
from presat.tracking.questions import shared_notes
from presat.tracking.readers.rows import Rows
from presat.tracking.run import Run
from presat.tracking.settings import resumed_notes, saved_settings
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
        not_finite=rows.not_finite,
        config=saved_settings(path / CONFIG),
        provenance=provenance,
        status=state.status,
        status_reason=state.reason,
        notes=[*faults.notes(METRICS), *rows.notes(), *_notes(provenance), *resumed_notes(provenance), *changes(path)],
    )


def _notes(provenance: Mapping[str, Any]) -> list[str]:
    """What is to be said beside any score of the run: 4-bit weights of its model, a setting that costs accuracy."""
    note = (provenance.get("model") or {}).get("note")
    said = provenance.get("reward_note")
    own = [*([note] if note else []), *(provenance.get("notes") or []), *([said] if said else [])]
    return [*own, *shared_notes(provenance)]
