"""Run directories: written by one writer, read whoever wrote them. See docs/reports.md."""

from __future__ import annotations

from presat.models.hashes import RESUME_STATE, hash_path
from presat.tracking.open import open_run, open_runs
from presat.tracking.provenance import hash_problems, model_identity
from presat.tracking.responses import RolloutStore
from presat.tracking.run import Run
from presat.tracking.state import Status
from presat.tracking.writer import RunWriter

__all__ = [
    "RESUME_STATE",
    "RolloutStore",
    "Run",
    "RunWriter",
    "Status",
    "hash_path",
    "hash_problems",
    "model_identity",
    "open_run",
    "open_runs",
]
