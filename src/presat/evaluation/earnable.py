r"""Whether a right answer can be earned at all: the format that prompts ask for, against the one that is read.

That gold answers verify in a box says nothing of a set whose prompts ask for `<answer>72</answer>`. Here the gold
answer is stated as its prompt asks for it, and judged as a response would be.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from presat.tasks.golds import accepted
from presat.types import Message, Problem
from presat.verify import Verifier

MOST_JUDGED = 64
"""Problems of each format that are judged, evenly spaced."""
NONE = "none"
"""What the format is called of prompts that ask for none."""
_ASKED = {
    "boxed": re.compile(r"\\boxed"),
    "tag": re.compile(r"</?answer>", re.IGNORECASE),
    "hash": re.compile(r"####"),
    "line": re.compile(
        r"answer(?: is)?:?[ \t]*['\"`*]*[ \t]*[$\[<{(\\]|['\"`*](?:the )?(?:final )?answer", re.IGNORECASE
    ),
}
_STATED = {"boxed": r"\boxed{%s}", "tag": "<answer>%s</answer>", "hash": "#### %s", "line": "Answer: %s"}
_NAMES = {
    "boxed": r"a box (`\boxed{72}`)", "tag": "tags (`<answer>72</answer>`)", "hash": "a line `#### 72`",
    "line": "a line `Answer: 72`", NONE: "no format",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Earnable:
    """Prompts that ask for one answer format.

    Attributes:
        format: `boxed`, `tag`, `hash`, `line`, or `none`: they say nothing of it.
        prompts: how many.
        judged: of how many the gold answer was stated so, and judged.
        right: of these, how many would score.
    """

    format: str
    prompts: int
    judged: int
    right: int

    @property
    def sentence(self) -> str:
        """What it says to a person."""
        said = f"{self.prompts} prompts ask for {_NAMES[self.format]}"
        if not self.judged:
            return said
        how = "`The answer is 72.`" if self.format == NONE else "stated so"
        return f"{said}; {self.right} of {self.judged} right answers, {how}, would score"


def asked_format(messages: Sequence[Message]) -> str:
    """Return the answer format that a prompt asks for, `none` where it names none."""
    text = "\n".join(turn["content"] for turn in messages)
    return next((form for form, pattern in _ASKED.items() if pattern.search(text)), NONE)


def stated(answer: str, form: str) -> str:
    """Return a response that states an answer in a format, plainly; in `auto` and `any` in a box."""
    if form == NONE:
        return f"The answer is {answer}."
    return (_STATED.get(form) or _STATED["boxed"]).replace("%s", answer)


def earnable(problems: Sequence[Problem], verifier: Verifier) -> list[Earnable]:
    """State gold answers as their prompts ask for them, and judge them; the most frequent format comes first."""
    parts: dict[str, list[Problem]] = {}
    for problem in problems:
        form = "boxed" if problem.domain == "lab" else asked_format(problem.messages)  # the lab's models know no words
        parts.setdefault(form, []).append(problem)
    found = []
    for form, part in parts.items():
        labelled = [problem for problem in part if problem.gold is not None]
        chosen = labelled[:: max(1, -(-len(labelled) // MOST_JUDGED))]
        scores = verifier.score_many([(problem, stated(first_gold(problem), form)) for problem in chosen])
        found.append(Earnable(form, len(part), len(chosen), sum(score.value == 1.0 for score in scores)))
    return sorted(found, key=lambda item: -item.prompts)


def first_gold(problem: Problem) -> str:
    """Return a gold answer of a problem: the first of those it accepts."""
    return accepted(problem.gold or "")[0]


def advice(found: Sequence[Earnable], mode: str) -> list[str]:
    """Return what to do about formats in which right answers would not score."""
    return [
        f"Right answers as the prompts ask for them score {item.right} of {item.judged} times with verify.extraction "
        f"{mode}: nothing else earns a reward. {_remedy(item, mode)}"
        for item in found
        if item.judged and 2 * item.right < item.judged
    ]


def _remedy(item: Earnable, mode: str) -> str:
    if item.format == NONE:
        return "Ask for a format: `data.prompt: plain` asks for a box."
    if mode not in ("auto", item.format):
        return f"Set --verify.extraction {item.format}, or auto."
    return "Look at the gold answers."
