"""Of how many problems a score is, shown beside every score that is not of all of a set's problems.

Evaluations log three counts of a set beside its scores: its `problems`, the `judged_problems` with a judged response,
over which avg@k is a mean, and the `unlabelled_problems`, which have no gold answer to judge a response by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

COUNTS = ("problems", "judged_problems", "unlabelled_problems")


class Coverage(NamedTuple):
    """How many problems a set has, how many its score is over, and how many have no gold answer."""

    problems: int
    judged: int
    unlabelled: int

    @property
    def partial(self) -> bool:
        """Whether the score is not over all problems."""
        return self.judged < self.problems

    @property
    def short(self) -> str:
        """`3 of 6`."""
        return f"{self.judged} of {self.problems}"

    @property
    def sentence(self) -> str:
        """`its scores are over 3 of 6 problems (3 without a gold answer)`."""
        undecided = self.problems - self.judged - self.unlabelled
        reasons = [f"{self.unlabelled} without a gold answer"] if self.unlabelled else []
        reasons += [f"{undecided} not judged"] if undecided > 0 else []
        why = f" ({', '.join(reasons)})" if reasons else ""
        if not self.judged:
            return f"no score over any of its {self.problems} problems{why}"
        return f"its scores are over {self.short} problems{why}"


def coverage_of(values: Mapping[str, float | None]) -> Coverage | None:
    """The coverage of a set from its logged metrics; None where they do not hold the counts (another trainer's log)."""
    found = [values.get(name) for name in COUNTS]
    known = [int(value) for value in found if value is not None and math.isfinite(value)]
    return Coverage(*known) if len(known) == len(COUNTS) else None
