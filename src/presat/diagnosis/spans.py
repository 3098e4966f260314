"""Where, in a response's tokens, the reasoning ends, the answer stands, steps begin and numbers are.

Places are of tokens, the ones that were drawn where they are known: what is scored is what the model wrote. Only a
number that is changed on purpose is tokenised anew.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from presat.answers.boxes import answer_box, boxes
from presat.answers.formats import read_answer

LONGEST_CUE = 80
"""Characters between reasoning and answer, at most, that only lead over to it."""
MOST_STEPS = 8
THINK, THOUGHT = "<think>", "</think>"

_BREAK = re.compile(r"[.!?:]\s|\n")
_LINES = re.compile(r"\n\s*")
_SENTENCES = re.compile(r"(?<=[.!?;])\s+")
_NUMBER = re.compile(r"(?<![\w.+\-\\])\d+(?![\w\\])")
"""A number that a digit can be changed of: no part of a word, and without a sign, which may belong to its token."""


class Span(NamedTuple):
    """Tokens from `start` on and before `end`."""

    start: int
    end: int


class Text:
    """A text as its tokens, and places in it.

    Args:
        tokenizer: the model's.
        ids: the tokens.
    """

    def __init__(self, tokenizer: Any, ids: Sequence[int]) -> None:
        self.ids = tuple(ids)
        self._tokenizer = tokenizer
        self._lengths: dict[int, int] = {0: 0}
        self.text = self._decoded(len(self.ids))

    def token(self, character: int) -> int:
        """The token that a character is in; the number of tokens for one behind them."""
        low, high = 0, len(self.ids)
        while low < high:
            middle = (low + high) // 2
            if self._length(middle + 1) > character:
                high = middle
            else:
                low = middle + 1
        return low

    def piece(self, span: Span) -> tuple[int, str]:
        """Where the text of some tokens begins, and that text."""
        start = self._length(span.start)
        return start, self.text[start : self._length(span.end)]

    def _length(self, count: int) -> int:
        if count not in self._lengths:
            self._lengths[count] = len(self._decoded(count))
        return self._lengths[count]

    def _decoded(self, count: int) -> str:
        return self._tokenizer.decode(
            list(self.ids[:count]), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )


@dataclass(frozen=True)
class Parts:
    """A response taken apart.

    Attributes:
        text: all of it.
        trace: the reasoning; what stands before it is a guess.
        answer: the answer, with the token that ends it.
        said: the answer as text.
        close: the tokens that end a thought within the trace; empty where it holds none.
        tokenizer: the model's.
    """

    text: Text
    trace: Span
    answer: Span
    said: str
    close: Span
    tokenizer: Any = field(repr=False)

    @property
    def answer_ids(self) -> tuple[int, ...]:
        """The answer's tokens."""
        return self.text.ids[self.answer.start : self.answer.end]

    @property
    def trace_ids(self) -> tuple[int, ...]:
        """The reasoning's tokens."""
        return self.text.ids[self.trace.start : self.trace.end]

    def cue(self, at: int) -> tuple[int, ...]:
        """What leads over to the answer from a place of the trace: the response's own words for it."""
        own = self.text.ids[self.trace.end : self.answer.start]
        within = self.close.start < self.close.end and at <= self.close.start
        return (*self.text.ids[self.close.start : self.close.end], *own) if within else own

    @cached_property
    def steps(self) -> list[Span]:
        """The trace's lines; where there is but one, its sentences; else equal pieces. At most `MOST_STEPS`."""
        start, text = self.text.piece(self.trace)
        for pattern in (_LINES, _SENTENCES):
            cuts = sorted({self.text.token(start + match.end()) for match in pattern.finditer(text.rstrip())})
            if cuts := [cut for cut in cuts if self.trace.start < cut < self.trace.end]:
                break
        else:
            count = min(MOST_STEPS, self.trace.end - self.trace.start)
            cuts = [self.trace.start + (self.trace.end - self.trace.start) * i // count for i in range(1, count)]
        spread = max(1, -(-(len(cuts) + 1) // MOST_STEPS))
        edges = [self.trace.start, *cuts[spread - 1 :: spread], self.trace.end]
        return [Span(a, b) for a, b in itertools.pairwise(edges) if a < b]

    def numbers(self, span: Span) -> list[Span]:
        """The numbers in some tokens that a digit can be changed of."""
        start, text = self.text.piece(span)
        found = (match.span() for match in _NUMBER.finditer(text))
        return [Span(self.text.token(start + a), self.text.token(start + b - 1) + 1) for a, b in found]

    def corrupted(self, span: Span, rng: random.Random) -> tuple[int, ...] | None:
        """The tokens of a span with one digit of one of its numbers another; None where it holds no number."""
        numbers = self.numbers(span)
        if not numbers:
            return None
        number = rng.choice(numbers)
        _, text = self.text.piece(number)
        place = max(index for index, character in enumerate(text) if character.isdigit())
        digit = rng.choice([other for other in "0123456789" if other != text[place]])
        changed = self.tokenizer(text[:place] + digit + text[place + 1 :], add_special_tokens=False)["input_ids"]
        return (*self.text.ids[span.start : number.start], *changed, *self.text.ids[number.end : span.end])


def take_apart(tokenizer: Any, text: Text) -> Parts | str:
    """Find the reasoning and the answer of a response; a sentence where one of them is missing.

    Args:
        tokenizer: the model's.
        text: the response.
    """
    said = text.text
    found = _answer(said)
    if found is None:
        return "There is no answer that can be read."
    start, answer = found
    # what only leads over to the answer: from the end of the sentence, line or thought before it, and after whatever
    # could be copied
    thought = said.rfind(THOUGHT, 0, start)
    marks = [0, start - LONGEST_CUE, *(match.end() for match in _BREAK.finditer(said, 0, start)), thought]
    marks += [match.end() for match in re.finditer(r"\d|" + re.escape(answer), said[:start])]
    lead = max(marks)
    begun = _after_guess(said, answer, lead)
    trace = Span(text.token(begun), text.token(lead))
    first, end = text.token(start), text.token(start + len(answer) - 1) + 1
    if end < len(text.ids):
        end += 1  # what ends it: without that, 1 would be as likely as all of 10 to 19
    held = text.piece(trace)[1].replace(THINK, "").strip()
    if not any(character.isalnum() for character in held):
        after = said[start + len(answer) :]
        late = sum(character.isalnum() for character in after) >= len(answer) + 3
        return AFTERWARDS if late else "There is no reasoning before the answer."
    close = Span(text.token(thought), text.token(thought + len(THOUGHT) - 1) + 1) if thought >= 0 else Span(0, 0)
    inside = trace.start < close.start and close.end <= trace.end and THINK in said[:thought]
    return Parts(text, trace, Span(first, end), answer, close if inside else Span(0, 0), tokenizer)


AFTERWARDS = "The reasoning comes after the answer, so nothing leads to it."


def _answer(said: str) -> tuple[int, str] | None:
    """Where the answer stands, and the answer."""
    box = answer_box(said)
    answer = read_answer(said, "auto", lists=False)
    if box is not None and answer in (box.content, None):
        return (said.rindex(box.content, box.start, box.end), box.content) if box.content else None
    place = said.rfind(answer) if answer else -1
    return None if answer is None or place < 0 else (place, answer)


def _after_guess(said: str, answer: str, lead: int) -> int:
    """Where the reasoning begins: after a box that already held the answer, and within the thought."""
    guesses = [box.end for box in boxes(said) if box.content == answer and box.end <= lead]
    begun = guesses[0] if guesses and said[guesses[0] : lead].strip() else 0
    opened = said.find(THINK, begun, lead)
    return opened + len(THINK) if opened >= 0 and not said[begun:opened].strip() else begun
