"""What was evaluated in a run directory, and how: `evaluated.json`, by set and step.

A directory has one line of metrics and one file of responses for a set at a step, so it has room for one model there,
drawn from in one way. The same evaluation may be repeated; another is refused, since it would pass for the first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from presat.files import read_json, write_atomically
from presat.tracking.identity import NAME, refuse_other

EVALUATED = "evaluated.json"


def refuse_another(run: Path, step: int, label: str, model: str, identity: Mapping[str, Any]) -> None:
    """Refuse an evaluation of a set at a step where there is another one.

    Args:
        run: the run directory, which may not be there yet.
        step: where it would be logged.
        label: the set.
        model: what the model is called.
        identity: what decides the results (`presat.tracking.identity`).

    Raises:
        RunError: what differs, and what to do; or the record cannot be read.
    """
    before = read_json(run / EVALUATED).get(label, {}).get(str(step))
    if before is None:
        return
    refuse_other(
        before,
        identity,
        f"{run} holds the evaluation of {before.get(NAME, 'another model')} on {label} at step {step}, which this one "
        f"of {model} would overwrite",
        "Choose another run directory: --run.",
    )


def note_evaluated(run: Path, step: int, label: str, model: str, identity: Mapping[str, Any]) -> None:
    """Record an evaluation, just before its results are written. Arguments are those of `refuse_another`.

    Raises:
        RunError: there is another one, or the record cannot be written.
    """
    refuse_another(run, step, label, model, identity)
    known = read_json(run / EVALUATED)
    known.setdefault(label, {})[str(step)] = {**identity, NAME: model}
    write_atomically(run / EVALUATED, json.dumps(known, indent=2))
