"""Judging whole groups of responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from presat.types import RolloutGroup, Score

if TYPE_CHECKING:
    from presat.verify.verifier import Verifier


def score_groups(verifier: Verifier, groups: Sequence[RolloutGroup]) -> list[list[Score]]:
    """Judge every response of every group; returns scores_PG."""
    pairs = [(group.problem, completion.text) for group in groups for completion in group.completions]
    scores = iter(verifier.score_many(pairs))
    return [[next(scores) for _ in group.completions] for group in groups]
