"""Amounts of one thing in two units: `2 hours = 120 minutes`.

Only units whose ratio is the same everywhere: a working day has eight hours, a pound is also money.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from presat.diagnosis.doubts import doubtful, taken_back
from presat.diagnosis.sides import LONGEST_TEXT
from presat.diagnosis.statements import Statement, equal, shown
from presat.diagnosis.vocabulary import ALONE, AMOUNT, SCALED

_SIZES = (
    {"second seconds sec secs": 1, "minute minutes min mins": 60, "hour hours hr hrs": 3600},
    {"mm millimeter millimeters": 1, "cm centimeter centimeters": 10, "m meter meters": 1000,
     "km kilometer kilometers": 10**6},
    {"inch inches": 1, "foot feet": 12, "yard yards": 36},
    {"mg milligram milligrams": 1, "g gram grams": 1000, "kg kilogram kilograms": 10**6},
    {"ml mL milliliter milliliters": 1, "L liter liters": 1000},
)  # fmt: skip
_UNITS = {
    name: (kind, size) for kind, sizes in enumerate(_SIZES) for names, size in sizes.items() for name in names.split()
}
_UNIT = "|".join(sorted(_UNITS, key=len, reverse=True))
_CONVERSION = re.compile(
    rf"{ALONE}(?P<a>{AMOUNT})\s?(?P<from>{_UNIT}) (?:=|equals|is equal to) (?P<b>{AMOUNT})\s?(?P<to>{_UNIT})"
    r"(?=\s*(?:[.;!)]|,(?!\s*\d)|\n|$))(?!\.\d)"
)


def conversions(prompt: str, text: str) -> Iterator[Statement]:
    """Every conversion between units of one kind in a text, with its verdict; none where units may be redefined.

    Args:
        prompt: the problem.
        text: the response.
    """
    text = text[:LONGEST_TEXT]
    redefined = SCALED.search(prompt[:LONGEST_TEXT]) is not None or SCALED.search(text) is not None
    for found in _CONVERSION.finditer(text):
        (kind, size), (other, target) = _UNITS[found["from"]], _UNITS[found["to"]]
        if kind != other or size == target:
            continue
        written = found["b"].replace(",", "").lstrip("$")
        value = Fraction(found["a"].replace(",", "").lstrip("$")) * size / target
        decimals = len(written.partition(".")[2])
        true = equal(value, Fraction(written), decimals or None)
        start, end = found.start("a"), found.end("to")
        if true or not (redefined or found["a"] == "1" or doubtful(text, start, end) or taken_back(text, end)):
            said = f"the left side is {shown(value)} {found['to']}"
            yield Statement(start, end, " ".join(text[start:end].split()), true, said, (value, Fraction(written)))
