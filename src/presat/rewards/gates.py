r"""Format gates: a reward is 0 unless the response has the asked-for form (section 4 of the paper).

A gate wraps any reward and never changes where the reward comes from: majority vote behind a gate is still majority
vote, and every response votes whether or not it passes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from presat.rewards.certainty import Statistic
from presat.rewards.outcome import Outcome, judge, needs_of, votes_of
from presat.types import Reward, RolloutGroup, Score
from presat.verify.extract import boxes, extract_boxed

OPEN, CLOSE = "<think>", "</think>"


def has_box(text: str) -> bool:
    r"""Whether there is a balanced `\boxed{}` with something in it."""
    return bool(extract_boxed(text))


def has_single_box(text: str) -> bool:
    r"""Whether there is exactly one `\boxed{}`, with something in it."""
    found = boxes(text)
    return len(found) == 1 and bool(found[0].content)


def ends_in_single_box(text: str) -> bool:
    r"""Whether there is exactly one `\boxed{}`, with nothing after it but a closing `$`, `\]`, `\)` or full stop."""
    if not has_single_box(text):
        return False
    rest = text[boxes(text)[0].end :]
    for mark in ("\\]", "\\)", "$", "."):
        rest = rest.replace(mark, "")
    return not rest.strip()


def thinks_then_boxes(text: str) -> bool:
    r"""Whether `<think>...</think>` is there once, in this order, and a `\boxed{}` after it."""
    before, opened, rest = text.partition(OPEN)
    return bool(opened) and CLOSE not in before and thinks_on_then_boxes(rest)


def thinks_on_then_boxes(text: str) -> bool:
    r"""The same where the prompt already opened `<think>`: one `</think>` and a `\boxed{}` after it."""
    thought, close, rest = text.partition(CLOSE)
    return bool(close) and OPEN not in thought + rest and CLOSE not in rest and has_box(rest)


GATES: dict[str, Callable[[str], bool]] = {
    "boxed": has_box,
    "think": thinks_then_boxes,
    "think_opened": thinks_on_then_boxes,
    "single_box": ends_in_single_box,
}


@dataclass
class Gated:
    """A reward behind a gate.

    Attributes:
        reward: where the values come from.
        gate: a name in `GATES`.
    """

    reward: Reward
    gate: str

    @property
    def name(self) -> str:
        """The wrapped reward's name: the gate does not change what the reward is."""
        return self.reward.name

    def __call__(self, group: RolloutGroup, scores: Sequence[Score]) -> list[float | None]:
        """Return the wrapped reward's values, 0 where the response does not pass."""
        return self.outcome(group, scores).values_N

    def outcome(self, group: RolloutGroup, scores: Sequence[Score]) -> Outcome:
        """The gated values, and the vote as it was held."""
        found = judge(self.reward, group, scores)
        return Outcome(self._pass(group, found.values_N), vote=found.vote)

    @property
    def votes(self) -> int | None:
        """How many responses vote."""
        return votes_of(self.reward)

    @property
    def needs(self) -> tuple[Statistic, ...]:
        """The statistics of the policy that the wrapped reward reads."""
        return needs_of(self.reward)

    def _pass(self, group: RolloutGroup, values_N: Sequence[float | None]) -> list[float | None]:
        passes = GATES[self.gate]
        return [
            value if passes(completion.text) else 0.0
            for value, completion in zip(values_N, group.completions, strict=True)
        ]
