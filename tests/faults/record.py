"""The record of trials that docs/reliability.md is written from: a line a trial, where PRESAT_FAULTS_RECORD says."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

VARIABLE = "PRESAT_FAULTS_RECORD"


def record(fault: str, promise: str, wrong: Sequence[str], trial: str, skipped: str = "") -> None:
    """Note a trial.

    Args:
        fault: what was done; a line of the table.
        promise: what has to come of it.
        wrong: what came of it that should not.
        trial: what tells this trial from the fault's others: a seed, a moment, an id.
        skipped: why it could not be tried.
    """
    if file := os.environ.get(VARIABLE):
        line = {"fault": fault, "promise": promise, "wrong": list(wrong), "trial": trial, "skipped": skipped}
        with Path(file).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
