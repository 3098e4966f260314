"""Says after the first steps of a run why nothing was earned in them, where nothing was."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from presat.evaluation.unearned import Unearned, unearned, unread_format
from presat.training.grpo.groups import StepRollouts

LOG = logging.getLogger("presat")
FIRST = 5
"""Steps that are looked at."""


@dataclass
class FirstSteps:
    """Looks at the responses of the first steps, those of this process.

    Attributes:
        steps: steps seen so far; None where it has said all there is to say.
    """

    steps: int | None = 0
    _drawn: list[StepRollouts] = field(default_factory=list)

    def __call__(self, drawn: StepRollouts) -> None:
        """Take one step's responses."""
        if self.steps is None:
            return
        self._drawn.append(drawn)
        self.steps += 1
        if any(len(set(row)) > 1 for row in drawn.rewards_PN):
            self.steps = None  # something to learn from
        elif self.steps == FIRST:
            self.steps = None
            LOG.warning(
                "In the first %d steps no group had responses of different rewards, so nothing was learned: %s",
                FIRST, counted(self._drawn).sentence(),
            )  # fmt: skip
        if self.steps is None:
            self._drawn = []


def counted(steps: list[StepRollouts]) -> Unearned:
    """Return why the responses of some steps earned nothing."""
    pairs = [(group, scores) for drawn in steps for group, scores in zip(drawn.groups, drawn.scores_PN, strict=True)]
    return unearned(
        [[score.value for score in scores] for _, scores in pairs],
        [[completion.finished for completion in group.completions] for group, _ in pairs],
        [[score.extracted for score in scores] for _, scores in pairs],
        [
            [unread_format(c.text, score.extracted) for c, score in zip(group.completions, scores, strict=True)]
            for group, scores in pairs
        ],
    )
