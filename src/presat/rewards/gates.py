r"""Format gates: a response without the asked-for form earns no more than any that has it (section 4 of the paper).

The paper's gates stand before rewards of 0 and 1, and what fails earns 0. So it is here for every reward that says how
low it can go (`lowest`): what fails earns that. A reward that does not say so may be negative, and 0 might be its best
value: there what fails earns `MARGIN` less than the least that passes in its group. GRPO compares within the group, so
this is the same order in every group, and the margin is the distance of a wrong answer from a right one.

A gate wraps any reward and never changes where the reward comes from: majority vote behind a gate is still majority
vote, and every response votes whether or not it passes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from presat.answers.boxes import answer_box, boxes, extract_boxed
from presat.answers.formats import Format, read_answer
from presat.rewards.certainty import Statistic
from presat.rewards.outcome import Outcome, judge, lowest_of, needs_of, votes_of
from presat.types import Reward, RolloutGroup, Score

OPEN, CLOSE = "<think>", "</think>"

MARGIN = 1.0
"""How far what fails a gate stands below the least that passes, where the reward names no lowest value."""


def has_box(text: str, _: Format = "boxed") -> bool:
    r"""Whether there is a balanced `\boxed{}` with something in it."""
    return bool(extract_boxed(text))


def has_single_box(text: str) -> bool:
    r"""Whether there is exactly one `\boxed{}` (boxes in it are part of it), with something in it."""
    return len(boxes(text)) == 1 and has_box(text)


def ends_in_single_box(text: str, _: Format = "boxed") -> bool:
    r"""Whether there is exactly one `\boxed{}`, with nothing after it but a closing `$`, `\]`, `\)` or full stop."""
    if not has_single_box(text):
        return False
    rest = text[boxes(text)[0].end :]
    for mark in ("\\]", "\\)", "$", "."):
        rest = rest.replace(mark, "")
    return not rest.strip()


def thinks_then_answers(text: str, form: Format = "boxed") -> bool:
    """Whether `<think>...</think>` is there once, in this order, and the answer after it, in its format."""
    return text.count(OPEN) == 1 and text.find(OPEN) < text.find(CLOSE) and _closes_then_answers(text, form)


def thinks_on_then_answers(text: str, form: Format = "boxed") -> bool:
    """The same where the prompt already opened `<think>`: one `</think>` and the answer after it."""
    return OPEN not in text and _closes_then_answers(text, form)


def _closes_then_answers(text: str, form: Format) -> bool:
    close = text.find(CLOSE)
    if text.count(CLOSE) != 1:
        return False
    box = answer_box(text)
    across = box is not None and box.start < close < box.end
    return not across and bool(read_answer(text[close + len(CLOSE) :], form))


GATES: dict[str, Callable[[str, Format], bool]] = {
    "boxed": has_box,
    "think": thinks_then_answers,
    "think_opened": thinks_on_then_answers,
    "single_box": ends_in_single_box,
}


@dataclass
class Gated:
    """A reward behind a gate.

    Attributes:
        reward: where the values come from.
        gate: a name in `GATES`.
        cost: the values count against a response (a part of a sum with a negative weight): what fails has the highest.
        form: the format in which answers are read; the gates about thinking ask for an answer in it.
    """

    reward: Reward
    gate: str
    cost: bool = False
    form: Format = "boxed"

    @property
    def name(self) -> str:
        """The wrapped reward's name: the gate does not change what the reward is."""
        return self.reward.name

    def __call__(self, group: RolloutGroup, scores: Sequence[Score]) -> list[float | None]:
        """Return the wrapped reward's values, and the value of failing where the response does not pass."""
        return self.outcome(group, scores).values_N

    def outcome(self, group: RolloutGroup, scores: Sequence[Score]) -> Outcome:
        """The gated values, and the vote as it was held."""
        found = judge(self.reward, group, scores)
        passes_N = [GATES[self.gate](completion.text, self.form) for completion in group.completions]
        failing = self._failing(found.values_N, passes_N)
        values_N = [value if passes else failing for value, passes in zip(found.values_N, passes_N, strict=True)]
        return Outcome(values_N, vote=found.vote)

    @property
    def lowest(self) -> float | None:
        """The least it can pay: the wrapped reward's, where that names one."""
        return None if self.cost else lowest_of(self.reward)

    @property
    def votes(self) -> int | None:
        """How many responses vote."""
        return votes_of(self.reward)

    @property
    def needs(self) -> tuple[Statistic, ...]:
        """The statistics of the policy that the wrapped reward reads."""
        return needs_of(self.reward)

    def _failing(self, values_N: Sequence[float | None], passes_N: Sequence[bool]) -> float:
        if self.lowest is not None:
            return self.lowest
        sign = -1.0 if self.cost else 1.0
        known = [(sign * value, passes) for value, passes in zip(values_N, passes_N, strict=True) if value is not None]
        among = [value for value, passes in known if passes] or [value for value, _ in known]
        return sign * (min(among, default=0.0) - MARGIN)
