r"""Whether the final answer is what the trace comes to.

Derivations are too free to follow; but an answer whose number never came up before, not even rounded, as a percentage
or spelled out, and that one more step does not give, is not derived. The last step is often said only in the box.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from fractions import Fraction

from presat.answers.boxes import answer_box
from presat.diagnosis.arithmetic import Number, Unreadable, evaluate
from presat.diagnosis.sides import LONGEST_TEXT
from presat.diagnosis.statements import CLOSE, VERY_CLOSE, Statement
from presat.diagnosis.tokens import Token, tokens_of

FEWEST_NUMBERS = 3
"""A trace with fewer numbers before its answer shows nothing that the answer could be missing from."""
MOST_NUMBERS = 400
"""Of more numbers only the smallest are tried in a last step."""
_WINDOW = 8
HUGE = 10**15
_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_MORE_NAMES = {
    "half": Fraction(1, 2), "once": Fraction(1), "twice": Fraction(2), "none": Fraction(0), "no": Fraction(0),
    "hundred": Fraction(100), "dozen": Fraction(12), "single": Fraction(1), "only": Fraction(1), "both": Fraction(2),
    "pair": Fraction(2), "unique": Fraction(1), "impossible": Fraction(0),
}  # fmt: skip
_NUMBERS = {name: Fraction(value) for value, name in enumerate(_NAMES)} | _MORE_NAMES
_SAID = re.compile(
    r"(?:final answer is|the answer is)\s{0,3}:?\s{0,3}(?:\\\(|\$)?\s?(?P<said>-?\$?[\d,]*\.?\d+)\s?(?:\\\)|\$)?\s{0,3}"
    r"(?:\.|$|\n|I hope)"
)


def stated_answer(text: str) -> tuple[int, int, str] | None:
    """Where the final answer stands, and what it is; None where there is none in a box or after `the answer is`."""
    box = answer_box(text)
    if box is not None:
        return box.start, box.end, box.content
    said = [*_SAID.finditer(text[-2000:])]
    if not said:
        return None
    offset = max(0, len(text) - 2000)
    return said[-1].start("said") + offset, said[-1].end("said") + offset, said[-1]["said"]


def answer_claim(prompt: str, text: str, found: Sequence[Statement]) -> Statement | None:
    """Whether a number that is the final answer came up before: in the trace, the problem, or a value that was derived.

    Args:
        prompt: the problem.
        text: the response.
        found: the statements that were read in it.

    Returns:
        The claim; None where the answer is no number or too little stands before it to say.
    """
    stated = stated_answer(text)
    if stated is None or len(text) > LONGEST_TEXT:
        return None
    start, end, content = stated
    answer = _value(content)
    before = tokens_of(text[:start])
    if answer is None or not before or sum(token.kind == "num" for token in before) < FEWEST_NUMBERS:
        return None
    derived = [value for item in found if item.start < start for value in item.values]
    earlier = [*before, *tokens_of(prompt)]
    seen = any(_same(answer, value) for value in derived) or _written(content, earlier) or _comes_up(answer, earlier)
    if not seen and (
        before[-1].kind == "rel"  # calculated in the box itself
        or any(item.start < start < item.end + 8 for item in found)
        or _one_step_away(answer, [*derived, *_numbers(earlier)])
        or answer in _counts(before)
    ):
        return None
    said = "the answer does not come up before"
    return Statement(start, end, " ".join(content.split()), seen, said, calculated=False)


def _value(content: str) -> Number | None:
    tokens = [token for token in tokens_of(content) if token.kind not in ("percent", "degree", "word")]
    while tokens and tokens[-1].kind == "break":
        tokens.pop()
    try:
        return evaluate(tokens)
    except Unreadable:
        return None


def _written(content: str, tokens: Sequence[Token]) -> bool:
    """Whether an answer stands there as it does in its box, however long it is."""
    sought, text = (" ".join(["", *(token.text for token in part), ""]) for part in (tokens_of(content), tokens))
    return sought in text


def _comes_up(answer: Number, tokens: Sequence[Token]) -> bool:
    digits = str(answer) if isinstance(answer, Fraction) and answer.denominator == 1 else None
    for place, token in enumerate(tokens):
        if token.kind == "word" and _same(answer, _NUMBERS.get(token.text.lower(), Fraction(-987654321))):
            return True
        if token.kind == "num" and (_same(answer, token.value) or (digits is not None and digits in token.text)):
            return True
        if (token.kind == "op" and token.text != "-") or token.kind not in ("num", "func", "op", "open"):
            continue
        for end in range(place + 2, min(place + _WINDOW, len(tokens)) + 1):
            try:
                if _same(answer, evaluate(tokens[place:end])):
                    return True
            except Unreadable:
                continue
    return False


def _numbers(tokens: Sequence[Token]) -> Iterator[Number]:
    """The numbers in a text, in digits and in words; a fraction in LaTeX is one number, with a slash also two."""
    place = 0
    while place < len(tokens):
        token = tokens[place]
        long = (
            token.text == "frac"
            and [item.kind for item in tokens[place + 1 : place + 7]] == ["open", "num", "close"] * 2
        )
        short = token.kind == "num" and [item.kind for item in tokens[place + 1 : place + 3]] == ["op", "num"]
        if long or (short and tokens[place + 1].text == "/"):
            top, bottom = (tokens[place + 2], tokens[place + 5]) if long else (token, tokens[place + 2])
            if bottom.value:
                yield top.value / bottom.value
        if token.kind == "num":
            yield token.value
        elif token.kind == "word" and token.text.lower() in _NUMBERS:
            yield _NUMBERS[token.text.lower()]
        place += 7 if long else 1


def _one_step_away(answer: Number, numbers: Sequence[Number]) -> bool:
    """Whether an answer is the sum, difference, product or quotient of two numbers: a step that need not be written."""
    known = sorted({abs(float(value)) for value in numbers if abs(value) < HUGE})[:MOST_NUMBERS]
    goal = abs(float(answer)) if abs(answer) < HUGE else 0.0
    close = VERY_CLOSE if isinstance(answer, Fraction) and answer.denominator == 1 else CLOSE
    for value in known:
        for other in (abs(goal - value), goal + value, goal * value, goal / value if value else -1.0):
            margin = close * max(1.0, other)
            place = bisect_left(known, other - margin)
            if goal and place < len(known) and known[place] <= other + margin:
                return True
    return False


def _counts(tokens: Sequence[Token]) -> set[int]:
    """How many things each list in a text has: an answer may be what was counted."""
    found, commas = set(), 0
    for token in tokens:
        if token.kind == "comma":
            commas += 1
        elif token.kind == "break":
            found |= {commas + 1, commas + 2} if commas else set()
            commas = 0
    return found | ({commas + 1, commas + 2} if commas else set())


def _same(answer: Number, value: Number) -> bool:
    """Whether an answer is a value: itself, rounded, with the other sign, or as a percentage."""
    whole = isinstance(answer, Fraction) and answer.denominator == 1
    for scale in (1.0, 100.0, 0.01):
        if abs(value) > HUGE or abs(answer) > HUGE:
            return value == answer
        difference = abs(abs(float(value)) * scale - abs(float(answer)))
        rounded = whole and float(value) % 1.0 != 0.0 and difference < 1.0 and scale == 1.0
        if rounded or difference <= (VERY_CLOSE if whole else CLOSE) * max(1.0, abs(float(answer))):
            return True
    return False
