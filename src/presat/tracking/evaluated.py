"""What was evaluated in a run directory, and how: `evaluated.json`, by set and step.

A directory has one line of metrics and one file of responses for a set at a step, so it has room for one model there,
drawn from in one way. The same evaluation may be repeated; another is refused, since it would pass for the first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from presat.errors import RunError
from presat.files import read_json, write_atomically

EVALUATED = "evaluated.json"
_NAME = "name"
"""Key of what the model was called, which decides nothing."""
_SHOWN = 24
"""Characters of a value (a hash, mostly) that a message shows."""


def refuse_another(run: Path, step: int, label: str, model: str, identity: Mapping[str, Any]) -> None:
    """Refuse an evaluation of a set at a step where there is another one.

    Args:
        run: the run directory, which may not be there yet.
        step: where it would be logged.
        label: the set.
        model: what the model is called.
        identity: what decides the results, as JSON-able values by name.

    Raises:
        RunError: what differs, and what to do; or the record cannot be read.
    """
    before = read_json(run / EVALUATED).get(label, {}).get(str(step))
    if before is None:
        return
    earlier = before.pop(_NAME, "another model")
    differences = [
        f"{key} {_short(before.get(key))}, now {_short(identity.get(key))}"
        for key in {**before, **identity}
        if before.get(key) != identity.get(key)
    ]
    if differences:
        raise RunError(
            f"{run} holds the evaluation of {earlier} on {label} at step {step}, which this one of {model} would "
            f"overwrite ({'; '.join(differences)}). Choose another run directory: --run."
        )


def note_evaluated(run: Path, step: int, label: str, model: str, identity: Mapping[str, Any]) -> None:
    """Record an evaluation, just before its results are written. Arguments are those of `refuse_another`.

    Raises:
        RunError: there is another one, or the record cannot be written.
    """
    refuse_another(run, step, label, model, identity)
    known = read_json(run / EVALUATED)
    known.setdefault(label, {})[str(step)] = {_NAME: model, **identity}
    write_atomically(run / EVALUATED, json.dumps(known, indent=2))


def _short(value: Any) -> str:
    return str(value)[:_SHOWN] if value not in (None, "") else "none"
