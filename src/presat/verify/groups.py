"""Judging whole groups of responses."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from presat.types import Problem, RolloutGroup, Score
from presat.verify.verifier import WORKED

if TYPE_CHECKING:
    from presat.verify.verifier import Verifier


def score_groups(verifier: Verifier, groups: Sequence[RolloutGroup]) -> list[list[Score]]:
    """Judge every response of every group; returns scores_PG."""
    pairs = [(group.problem, completion.text) for group in groups for completion in group.completions]
    scores = iter(verifier.score_many(pairs))
    return [[next(scores) for _ in group.completions] for group in groups]


def judged_early(verifier: Verifier, engine: Any, problems: Sequence[Problem]) -> AbstractContextManager[Any]:
    """Have responses judged as they end, while `engine` draws others, where it tells of them and a worker is needed."""
    telling = getattr(engine, "telling", None)
    if telling is None or not any(problem.verifier in WORKED for problem in problems):
        return nullcontext()
    return telling(verifier.begin)
