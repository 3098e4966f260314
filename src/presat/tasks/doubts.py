"""Gold answers that are none, and questions with several: what a verifier judges without a word, and pays wrongly.

Data sets write `proof` or `notfound` where there is no answer, or keep a worked solution that states none. A response
that says "proof" is then right, and one that repeats no whole solution never is. What is found is said, not left out.
"""

from __future__ import annotations

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from presat.answers.named import named_parts
from presat.answers.normal import normal_form
from presat.answers.units import bare, quantities
from presat.tasks.golds import accepted
from presat.tasks.shared import question_of
from presat.text import brief, listed, printable
from presat.types import Problem

LOG = logging.getLogger("presat")

WORKED = 300
"""Gold answers of more characters, or of several lines, are worked solutions: no response repeats one."""
WORDS = 4
"""So is a sentence of so many words."""
SHOWN = 60
"""Characters of a question that show which one it is."""
_PLACEHOLDERS = {
    "proof", "notfound", "none", "null", "nan", "n/a", "noanswer", "noanswerprovided",
    "notavailable", "notapplicable", "seesolution", "seeexplanation", "seeproof", "tbd", "-", "--", "?", "..", "...",
}  # fmt: skip
"""What stands for an absent answer, in small letters and without white space, `_` and marks of LaTeX text."""
_DRESS = re.compile(r"\\(?:text|textbf|mathrm)\b|[\s_{}$*]|\.$")
_WORD = re.compile(r"(?<![\\\w])[^\W\d_]{2,}")

_COMMAND = re.compile(r"\\(?:begin|end)\s*\{\w*\*?\}|\\(?!text|mathrm)[A-Za-z]+|\\text|\\mathrm")
_RANGE = re.compile(r"\\?\$?[\d.]+\s*(?:-|to)\s*\\?\$?[\d.]+")
_LONG_WORD = re.compile(r"[A-Za-z]{3,}")
_OF_MATHS = {"and", "for", "sqrt", "sin", "cos", "tan", "log", "exp", "mod", "base", "where", "otherwise", "all"}


@dataclass(frozen=True, slots=True)
class Doubts:
    """What is doubtful about the gold answers of some problems, those of other scorers than Math-Verify aside.

    Attributes:
        golds: how many gold answers there are.
        placeholders: how many of them stand for an absent answer, by their text.
        worked: how many are worked solutions or whole sentences.
        contradicted: questions that have several different gold answers.
        first: of each of the three the first problem, in words, to be found by; where there is one.
        texts: gold answers that hold a number and are compared as text, and how often each stands there.
    """

    golds: int
    placeholders: dict[str, int]
    worked: int
    contradicted: int
    first: Mapping[str, str] = field(default_factory=dict)
    texts: dict[str, int] = field(default_factory=dict)

    @property
    def sentences(self) -> list[str]:
        """What was found and what to do about it, a sentence each."""
        said = []
        if count := sum(self.placeholders.values()):
            texts = listed([f"`{printable(text)}` {times}" for text, times in self.placeholders.items()], 6)
            said.append(
                f"{count} of {self.golds} gold answers {_be(count)} no answer ({texts}), and a response that says the "
                f"same is paid as right{self._first('placeholders')}: filter these rows out."
            )
        if self.worked:
            are = (
                "is a worked solution or a whole sentence" if self.worked == 1 else "are worked solutions or sentences"
            )
            said.append(
                f"{self.worked} of {self.golds} gold answers {are}, which no response repeats{self._first('worked')}: "
                "filter these rows out, or name the column of the final answers."
            )
        if count := sum(self.texts.values()):
            texts = listed([f"`{printable(text)}`" for text in self.texts], 6)
            said.append(
                f"{count} of {self.golds} gold answers {'holds' if count == 1 else 'hold'} a number and "
                f"{_be(count)} compared as text: {texts}. The number alone is not right: leave the words out."
            )
        if self.contradicted:
            have = "question has" if self.contradicted == 1 else "questions have"
            said.append(
                f"{self.contradicted} {have} several different answers, of which one alone can be right"
                f"{self._first('contradicted')}: filter them out."
            )
        return said

    def _first(self, kind: str) -> str:
        return f" (the first: {self.first[kind]})" if kind in self.first else ""


def doubts_of(problems: Sequence[Problem]) -> Doubts:
    """Look through the gold answers of problems; nothing is judged."""
    golds = [
        (place, problem, problem.gold)
        for place, problem in enumerate(problems, start=1)
        if problem.gold is not None and problem.verifier == "math"
    ]
    placeholders: Counter[str] = Counter()
    answers: defaultdict[str, set[str]] = defaultdict(set)
    worked, first = 0, {}
    for place, problem, gold in golds:
        asked, empty, whole = question_of(problem), is_placeholder(gold), is_worked(accepted(gold)[0])
        placeholders.update([gold.strip()] if empty else [])
        worked += whole
        answers[asked].add(normal_form(gold))
        several = len(answers[asked]) > 1
        for kind in (
            k for k, found in (("placeholders", empty), ("worked", whole), ("contradicted", several)) if found
        ):
            first.setdefault(kind, f"problem {place}, {brief(problem.messages[-1]['content'], SHOWN)}")
    texts = Counter(gold.strip() for _, _, gold in golds if is_text_with_number(accepted(gold)[0]))
    contradicted = sum(len(found) > 1 for found in answers.values())
    counted = dict(placeholders.most_common())
    return Doubts(len(golds), counted, worked, contradicted, first, dict(texts.most_common()))


def is_placeholder(gold: str) -> bool:
    """Whether a gold answer is what data sets write where there is none."""
    plain = _DRESS.sub("", gold.strip()).casefold()
    return plain in _PLACEHOLDERS or gold.strip() == "NA"


def is_worked(gold: str) -> bool:
    """Whether a gold answer is a worked solution or a whole sentence, which no response repeats."""
    text = gold.strip()
    sentence = text.endswith((".", "!", "■", "□")) and len(_WORD.findall(text)) >= WORDS
    return len(text) > WORKED or "\n" in text or sentence


def is_text_with_number(gold: str) -> bool:
    """Whether a gold answer holds a number among words that are no unit, label or name: only its text is right."""
    normal = normal_form(gold)
    text = bare(normal)
    if is_worked(gold) or "=" in text or not re.search(r"\d", text) or quantities(normal) or named_parts(normal):
        return False
    if _RANGE.match(text):
        return False
    words = {word.lower() for word in _LONG_WORD.findall(_COMMAND.sub(" ", text))}
    return bool(words - _OF_MATHS)


def warn_of_doubts(problems: Sequence[Problem], what: str) -> None:
    """Say what is doubtful about the gold answers of `what`, a sentence each."""
    for sentence in doubts_of(problems).sentences:
        LOG.warning("%s: %s", printable(what), sentence)


def _be(count: int) -> str:
    return "is" if count == 1 else "are"
