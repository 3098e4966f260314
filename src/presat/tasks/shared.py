"""Questions that two sets of problems share: what was trained on is no held-out problem."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from presat.tasks.turns import asked_in
from presat.types import Problem


def question_of(problem: Problem) -> str:
    """Return what a problem asks, white space and case aside: its user turns, whatever its system message."""
    return " ".join(asked_in(problem.messages).split()).casefold()


def count_shared(problems: Sequence[Problem], others: Iterable[Problem]) -> int:
    """Return how many of `problems` ask a question that one of `others` asks too."""
    asked = {question_of(problem) for problem in others}
    return sum(question_of(problem) in asked for problem in problems)
