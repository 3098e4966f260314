"""What a run was trained on, by its questions alone, so that an evaluation of it can tell which it has seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from presat.files import write_atomically
from presat.jsons import read_json
from presat.tasks.shared import question_of
from presat.types import Problem

QUESTIONS = "questions.json"
"""Hashes of the questions a run was trained on."""
TAINTED = 0.1
"""A set of which this share was trained on is no held-out set."""


def note_questions(run: Path, problems: Sequence[Problem]) -> None:
    """Keep what a run is trained on."""
    hashes = sorted({_hash(problem) for problem in problems})
    write_atomically(run / QUESTIONS, json.dumps({"questions": hashes}))


def seen_in_training(model: str | Path, sets: Mapping[str, Sequence[Problem]]) -> dict[str, list[int]]:
    """Count the problems of each set that a run's model was trained on: `{set: [seen, of]}`, those with any.

    Args:
        model: a model's folder; one outside a training run was trained on nobody knows what.
        sets: problems by set.

    Raises:
        RunError: the run's file cannot be read.
    """
    folder = Path(model).absolute()
    run = next((place for place in (folder, *folder.parents[:2]) if (place / QUESTIONS).is_file()), None)
    known = set(read_json(run / QUESTIONS).get("questions", ())) if run is not None else set()
    counts = {name: [sum(_hash(problem) in known for problem in own), len(own)] for name, own in sets.items()}
    return {name: count for name, count in counts.items() if count[0]}


def shared_notes(provenance: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each evaluation set of a run that holds what the model was trained on."""
    return [shared_sentence(name, *count) for name, count in shared_sets(provenance).items()]


def shared_sentence(name: str, seen: int, of: int) -> str:
    """Say that problems of a set were trained on."""
    return (
        f"{seen} of {of} problems of the evaluation set {name} are trained on as well (the same questions): its scores "
        "are no held-out scores."
    )


def shared_sets(provenance: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Return how many problems of each evaluation set were trained on, and of how many, as provenance says."""
    problems = provenance.get("problems")
    shared = problems.get("shared") if isinstance(problems, Mapping) else None
    found = shared.items() if isinstance(shared, Mapping) else ()
    return {str(name): (int(count[0]), int(count[1])) for name, count in found}


def tainted(provenance: Mapping[str, Any]) -> list[str]:
    """Return the evaluation sets that are none of a run: of which `TAINTED` or more was trained on."""
    return [name for name, (seen, of) in shared_sets(provenance).items() if seen >= TAINTED * of]


def _hash(problem: Problem) -> str:
    return hashlib.sha256(question_of(problem).encode()).hexdigest()[:16]
