"""What was evaluated in a run directory, and how: `evaluated.json`, by set and step; of `presat eval` and of training.

A directory has one line of metrics and one file of responses for a set at a step, so it has room for one model there,
drawn from in one way. The same evaluation may be repeated; another is refused, since it would pass for the first. A
training run that is resumed may be evaluated otherwise from there on; its scores are compared with their like.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import StringConstraints

from presat.files import write_atomically
from presat.jsons import read_json, read_lines
from presat.tracking.identity import NAME, differences, refuse_other

if TYPE_CHECKING:
    from presat.tracking.run import Run

EVALUATED = "evaluated.json"
METRICS = "metrics.jsonl"
EVAL_PREFIX = "eval/"
_Step = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,15}$")]
Evaluations = dict[str, dict[_Step, dict[str, Any]]]
"""By set and step: what decided the results."""


def read_recorded(run: Path) -> Evaluations:
    """Return what is recorded in a run directory, by set and step.

    Raises:
        RunError: it cannot be read, or is no such record.
    """
    return read_json(run / EVALUATED, Evaluations)


class Comparable(NamedTuple):
    """The scores of a run that were measured as they would be now.

    Attributes:
        scores: step and score.
        otherwise: the last step that was evaluated otherwise; None when there is none.
        how: what differs there, in words.
    """

    scores: list[tuple[int, float]]
    otherwise: int | None
    how: str


def comparable_scores(run: Run, metric: str | None, now: Mapping[str, Any], until: int) -> Comparable:
    """Tell the scores of a training run that compare with those to come from the others.

    Args:
        run: the run.
        metric: the score, `eval/SET/METRIC`; None when none is measured any more.
        now: what decides the set's results now (`presat.tracking.identity`), as far as it is known.
        until: the last step to look at.

    Raises:
        RunError: the record cannot be read.
    """
    label = (metric or "").removeprefix(EVAL_PREFIX).rpartition("/")[0]
    noted = read_recorded(run.path).get(label, {})
    values = run.values.get(metric or "", {})
    evaluated = {step for name, series in run.values.items() if name.startswith(EVAL_PREFIX) for step in series}
    scores, otherwise, how = [], None, ""
    for step in sorted(step for step in evaluated if step <= until):
        differing = differences(noted.get(str(step), {}), now)
        if step in values and not differing:
            scores.append((step, values[step]))
        else:
            otherwise, how = step, "; ".join(differing) or f"without {metric}" * bool(metric) or "now no set at all"
    return Comparable(scores, otherwise, how)


def scores_like_the_last(run: Run) -> Comparable | None:
    """Of the held-out scores of a training run those that compare with its last one; None where nothing is recorded.

    Raises:
        RunError: the record cannot be read.
    """
    found = run.held_out()
    own = read_recorded(run.path).get(found[0], {}) if found and run.path.is_dir() else {}
    steps = [step for step in map(int, own) if any(step in series for series in run.values.values())]
    if found is None or not steps:
        return None
    last = own[str(max(steps))]
    now = {key: value for key, value in last.items() if key != "model"}
    return comparable_scores(run, f"{EVAL_PREFIX}{found[0]}/avg@{last.get('samples')}", now, max(steps))


def known_results(run: Path, step: int, label: str, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the line that an evaluation has left in the log; None where this very one is not there whole.

    Args:
        run: the run directory, which may not be there yet.
        step: where it would be logged.
        label: the set.
        identity: what decides the results; a record that says less of it is not taken for the same.

    Raises:
        RunError: the record or the log cannot be read.
    """
    before = read_recorded(run).get(label, {}).get(str(step))
    if before is None or not identity.keys() <= before.keys() or differences(before, identity):
        return None
    rows = read_lines(run / METRICS)[0] if (run / METRICS).is_file() else []
    of_set = f"{EVAL_PREFIX}{label}"
    found = [row for row in rows if row.get("step") == step and any(n.rpartition("/")[0] == of_set for n in row)]
    return found[-1] if found else None


def forget_after(run: Path, step: int) -> None:
    """Forget the evaluations after `step`, as a resumed run does.

    Raises:
        RunError: the record cannot be read or written.
    """
    known = read_recorded(run)
    kept = {label: {at: item for at, item in own.items() if int(at) <= step} for label, own in known.items()}
    if kept != known:
        write_atomically(run / EVALUATED, json.dumps(kept, indent=2))


def changes(run: Path) -> list[str]:
    """Say of each set where the way it was evaluated changed between two steps; the model is another at each."""
    said = []
    for label, own in read_recorded(run).items():
        steps = sorted(own, key=int)
        for earlier, later in itertools.pairwise(steps):
            before = {key: value for key, value in own[earlier].items() if key != "model"}
            if found := differences(before, own[later]):
                said.append(
                    f"From step {later} on {label} was evaluated otherwise than before ({'; '.join(found)}): scores "
                    "before and after do not compare."
                )
    return said


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
    before = read_recorded(run).get(label, {}).get(str(step))
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
    note_trained(run, step, label, {**identity, NAME: model})


def note_trained(run: Path, step: int, label: str, identity: Mapping[str, Any]) -> None:
    """Record an evaluation of the model in training, in place of one that a resumed run has forgotten.

    Args:
        run: the run directory.
        step: the step it is logged at.
        label: the set.
        identity: what decides the results; the model in it is the one the run started from.

    Raises:
        RunError: the record cannot be written.
    """
    known = read_recorded(run)
    known.setdefault(label, {})[str(step)] = dict(identity)
    write_atomically(run / EVALUATED, json.dumps(known, indent=2))
