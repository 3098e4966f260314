"""Answer verification: right, wrong, or missing with a reason."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from presat.answers.boxes import Box, answer_box, boxes, extract_boxed
from presat.types import Problem, Score
from presat.verify.verifier import Mode, Verifier

__all__ = ["Box", "Mode", "Verifier", "answer_box", "boxes", "extract_boxed", "score", "score_many"]


@cache
def _shared(mode: Mode) -> Verifier:
    return Verifier(mode)


def score(problem: Problem, text: str, extraction: Mode = "auto") -> Score:
    """Judge one response with a verifier that is kept for the life of the process.

    Args:
        problem: the problem.
        text: the response.
        extraction: how its answer is read, as the setting `verify.extraction`, whose default it has.

    Raises:
        ConfigError: no such extraction.
    """
    return _shared(extraction).score(problem, text)


def score_many(pairs: Sequence[tuple[Problem, str]], extraction: Mode = "auto") -> list[Score]:
    """Judge many responses as `score` judges one."""
    return _shared(extraction).score_many(pairs)
