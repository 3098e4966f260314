"""Claims that are not equalities: lists (`Divisors of 12: 1, 2, 3, 4, 6, 12`), remainders, equalities in words."""

# ruff: noqa: RUF001  (look-alikes of other characters are what people write)
from __future__ import annotations

import re
from collections.abc import Iterator

from presat.diagnosis.doubts import doubtful, taken_back
from presat.diagnosis.sides import LONGEST_TEXT, equalities
from presat.diagnosis.statements import Statement, statements
from presat.diagnosis.vocabulary import ALONE, AMOUNT, OPERATIONS

LARGEST = 10**7
"""Of larger numbers no divisors are listed."""

_DIVISION = re.compile(
    r"(?<![\d.,/^)}*])(?P<a>\d{1,12})\s{0,3}(?:÷|/|\\div|divided by)\s{0,3}(?P<b>\d{1,12})\s{0,3}"
    r"(?:=|is|equals|gives)\s{0,3}"
    r"(?P<q>\d{1,12}),?\s{0,3}(?:with\s{1,3})?(?:and\s{1,3})?(?:a\s{1,3})?(?:remainder|rem\.?|[Rr])\s{0,3}"
    r"(?:of|is|=|:)?\s{0,3}(?P<r>\d{1,12})(?![\d.,]*\d)"
)
_LIST = re.compile(
    r"(?P<before>[A-Za-z]{0,12} ?)\b(?P<kind>(?i:divisors|factors|multiples))\s{1,3}of\s{1,3}(?:\\\(|\$)?\s?"
    r"(?P<n>\d{1,7})\s?(?:\\\)|\$)?\s{0,3}(?:are|is|:|include|\(){1,2}\s{0,3}(?P<items>[-\d][\d\s,$\\()a-z]{0,400})"
)
_OTHERS = ("of", "common", "total", "non")
"""Before `factors of 5: 20, 4`, these say that the list is one of something else, such as their number."""
_SPOKEN = re.compile(
    rf"{ALONE}(?P<a>{AMOUNT})(?P<percent>%| percent|\\%)? (?:(?P<sign>plus|minus|times|multiplied by|divided by)|"
    rf"(?(percent)(?P<of>of)|(?!))) (?P<b>{AMOUNT}) (?:is|equals|makes|gives|is equal to) (?P<c>{AMOUNT})(?![\d%/^])"
    r"(?P<tail>(?: [a-z]+){0,2})(?=\s*(?:[.,;!)]|\n|$))(?!\.\d|,\s*\d)"
)
_ITEM = re.compile(r"-?\d+")
_ITEMS = re.compile(
    r"[\s$\\()]*-?\d+(?:[\s$\\()]*(?:,|and|,\s*and)[\s$\\()]*-?\d+)+(?!\d|\s*(?:[-*/^+=×·]|\\times|\\cdot))"
)


def claims(text: str) -> Iterator[Statement]:
    """Every quotient with a remainder, equality in words and list of divisors in a text, with its verdict."""
    text = text[:LONGEST_TEXT]
    for found in _DIVISION.finditer(text):
        a, b, q, r = (int(found[name]) for name in "abqr")
        yield _claim(found.start(), found.end(), found[0], b * q + r == a and r < b, f"{b} * {q} + {r} = {b * q + r}")
    yield from _spoken(text)
    for found in _LIST.finditer(text):
        if (claim := _listed(found)) is not None:
            yield claim


def _spoken(text: str) -> Iterator[Statement]:
    """Every equality in words that stands for itself, `5 plus 7 equals 12` and `20% of 50 is 10`, with its verdict."""
    for found in _SPOKEN.finditer(text):
        percent = "%" if found["percent"] else ""
        sign = OPERATIONS[found["sign"] or found["of"]]
        written = f"{found['a']}{percent} {sign} {found['b']} = {found['c']}{found['tail']}"
        start, end = found.start("a"), found.end("c")
        for item in statements(written, equalities(written)):
            if item.true or not (doubtful(text, start, end) or taken_back(text, end)):
                yield Statement(start, end, " ".join(text[start:end].split()), item.true, item.should, item.values)


def _claim(start: int, end: int, shown: str, true: bool, should: str) -> Statement:
    return Statement(start, end, " ".join(shown.split()), true, should)


def _listed(found: re.Match[str]) -> Statement | None:
    items = _ITEMS.match(found["items"])
    number = int(found["n"])
    before = found["before"].strip().lower()
    if items is None or not 0 < number <= LARGEST or before in _OTHERS:
        return None
    values = [int(item) for item in _ITEM.findall(items[0])]
    kind = found["kind"].lower()
    end = found.start("items") + items.end()
    if kind == "multiples":
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
