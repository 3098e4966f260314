r"""Claims that are not equalities: lists (`divisors of 12: 1, 2, 3, 4, 6, 12`), quotients with a remainder, the answer.

The final answer should be what the trace derives. Derivations are too free to follow; but an answer whose number never
came up before, not even rounded, as a percentage or spelled out, is not derived.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction

from presat.answers.boxes import answer_box
from presat.diagnosis.arithmetic import Number, Unreadable, evaluate
from presat.diagnosis.sides import LONGEST_TEXT
from presat.diagnosis.statements import CLOSE, VERY_CLOSE, Statement
from presat.diagnosis.tokens import Token, tokens_of

LARGEST = 10**7
"""Of larger numbers no divisors are listed."""
FEWEST_NUMBERS = 3
"""A trace with fewer numbers before its answer shows nothing that the answer could be missing from."""
_WINDOW = 8
HUGE = 10**15

_DIVISION = re.compile(
    r"(?<![\d.,/^)}*])(?P<a>\d{1,12})\s{0,3}(?:÷|/|\\div|divided by)\s{0,3}(?P<b>\d{1,12})\s{0,3}"
    r"(?:=|is|equals|gives)\s{0,3}"
    r"(?P<q>\d{1,12}),?\s{0,3}(?:with\s{1,3})?(?:and\s{1,3})?(?:a\s{1,3})?(?:remainder|rem\.?|[Rr])\s{0,3}"
    r"(?:of|is|=|:)?\s{0,3}(?P<r>\d{1,12})(?![\d.,]*\d)"
)
_LIST = re.compile(
    r"(?P<before>[A-Za-z]{0,12} ?)\b(?P<kind>divisors|factors|multiples)\s{1,3}of\s{1,3}(?:\\\(|\$)?\s?"
    r"(?P<n>\d{1,7})\s?(?:\\\)|\$)?\s{0,3}(?:are|is|:|include|\(){1,2}\s{0,3}(?P<items>[-\d][\d\s,$\\()a-z]{0,400})"
)
_ITEM = re.compile(r"-?\d+")
_ITEMS = re.compile(r"[\s$\\()]*-?\d+(?:[\s$\\()]*(?:,|and|,\s*and)[\s$\\()]*-?\d+)+(?!\d|\s*(?:[*/^+=]|\\times))")
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


def claims(text: str) -> Iterator[Statement]:
    """Every quotient with a remainder and every list of divisors or multiples in a text, with its verdict."""
    text = text[:LONGEST_TEXT]
    for found in _DIVISION.finditer(text):
        a, b, q, r = (int(found[name]) for name in "abqr")
        yield _claim(found.start(), found.end(), found[0], b * q + r == a and r < b, f"{b} * {q} + {r} = {b * q + r}")
    for found in _LIST.finditer(text):
        if (claim := _listed(found)) is not None:
            yield claim


def _claim(start: int, end: int, shown: str, true: bool, should: str) -> Statement:
    return Statement(start, end, " ".join(shown.split()), true, should)


def _listed(found: re.Match[str]) -> Statement | None:
    items = _ITEMS.match(found["items"])
    number = int(found["n"])
    if items is None or not 0 < number <= LARGEST or found["before"].strip().lower() in ("of", "common"):
        return None
    values = [int(item) for item in _ITEM.findall(items[0])]
    before = found["before"].strip().lower()
    end = found.start("items") + items.end()
    if found["kind"] == "multiples":
        wrong = [value for value in values if value % number]
        said = f"{wrong[0]} is no multiple of {number}" if wrong else ""
        return _claim(found.start("kind"), end, found.string[found.start("kind") : end], not wrong, said)
    wrong = [value for value in values if not value or number % value]
    missing = [value for value in _divisors(number) if value not in values]
    whole = before in ("", "the", "all", "positive") and 1 in values and number in values
    said = f"{wrong[0]} does not divide {number}" if wrong else f"{missing[0]} is missing" if missing else ""
    true = not wrong and not (whole and missing)
    return _claim(found.start("kind"), end, found.string[found.start("kind") : end], true, said)


def _divisors(number: int) -> list[int]:
    small = [value for value in range(1, int(number**0.5) + 1) if number % value == 0]
    return sorted({*small, *(number // value for value in small)})


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
    seen = any(_same(answer, value) for value in derived) or _comes_up(answer, [*before, *tokens_of(prompt)])
    if not seen and (before[-1].kind == "rel" or any(item.start < start < item.end + 8 for item in found)):
        return None  # calculated in the box itself
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
