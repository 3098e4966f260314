r"""Quantities: `5 ft 6 in`, `3\text{ hours }30\text{ minutes}`, `72 dollars`.

Math-Verify drops units, so that 5 meters are 5 feet. A unit that one side alone names is no difference (the question
asked for it); two units that measure the same are compared by what they measure.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

_TABLE = {
    "length": {
        "mm millimeter millimetre": "1/1000", "cm centimeter centimetre": "1/100", "m meter metre": "1",
        "km kilometer kilometre": "1000", "in inch inche": "127/5000", "ft foot feet": "381/1250",
        "yd yard": "1143/1250", "mi mile": "1609344/1000",
    },
    "time": {
        "s sec second": "1", "min minute": "60", "h hr hour": "3600", "day": "86400", "week": "604800",
        "month": "2629746", "yr year": "31556952",
    },
    "mass": {"mg milligram": "1/1000", "g gram": "1", "kg kilogram": "1000", "lb pound": "45359237/100000", "oz ounce":
             "45359237/1600000"},
    "volume": {"ml milliliter millilitre": "1/1000", "l liter litre": "1"},
    "money": {"cent": "1/100", "dollar usd": "1"},
    "angle": {"degree deg circ": "1", "radian rad": "0"},
}  # fmt: skip
UNITS: dict[str, tuple[str, Fraction]] = {
    name: (kind, Fraction(size)) for kind, sizes in _TABLE.items() for names, size in sizes.items()
    for name in names.split()
}  # fmt: skip
"""What a unit's name measures and its size, in the kind's own unit."""

_TEXT = re.compile(r"\\(?:text|mathrm|textrm|mbox|rm)\s*\{([^{}]*)\}")
_PART = re.compile(
    r"(?P<number>[+-]?\d[\d,]*(?:\.\d+)?)\s*(?P<unit>[A-Za-z]+)\.?(?P<power>\^?\{?[23]?\}?)(?:\s*(?:and|,)\s*|\s*)"
)
_TAIL = re.compile(
    r"(?P<value>.*[\d)}\]!])(?:\s*\^\s*\{?\s*\\circ\s*\}?|\s*\\?(?P<percent>%)|\s+(?P<words>[A-Za-z][A-Za-z./ ]*?)|"
    r"\s*(?:\\(?:text|mathrm|textrm|mbox)\s*\{(?P<text>[^{}]*)\}))(?P<power>\s*\^\s*\{?[23]\}?)?",
    re.DOTALL,
)
_LISTED = re.compile(r",(?!\d{3}(?!\d))\s*")
_GROUPED = re.compile(r"[(\[]|\{[^{}]*,")
_NUMBER = re.compile(
    r"\(?[+-]?(?:\d[\d.,]*(?:\s*/\s*\d+)?|\\frac\s*\{?\d+\}?\s*\{?\d+\}?|\d*\s*\\sqrt\s*\{?\d+\}?|\d*\s*\\pi|\d+\s*\\frac\s*\{\d+\}\{\d+\})\s*\)?"
)
"""A number that a unit in plain words may follow: after a letter a word is a factor."""
_SYMBOL = re.compile(r"[A-Za-z]{1,4}(?:/[A-Za-z]{1,4})?(?:\^?\d)?")
_SAME_UNIT = {"sec": "s", "secs": "s", "hr": "h", "hrs": "h", "mins": "min", "kph": "km/h", "kmph": "km/h"}
_LETTER_UNITS = frozenset("JNWVKCFHA")
_MONEY = re.compile(r"\\?\$\s*(\d[\d,]*(?:\.\d+)?)")
_DEGREES = re.compile(r"\^\s*\{?\s*\\circ\s*\}?")
_FUNCTIONS = frozenset(("and", "or", "not", "if", "mod", "in", "to", "choose", "is"))


class Quantity(NamedTuple):
    """What a quantity measures, its size in the kind's own unit, and the power of the unit."""

    kind: str
    power: str
    size: Fraction


def quantity(answer: str) -> Quantity | None:
    """Read an answer that is numbers with units we know, one after another, and nothing else; None where it is not."""
    text = _MONEY.fullmatch(answer.strip())
    text = (
        f"{text[1]} dollars"
        if text
        else _DEGREES.sub(" degrees ", _TEXT.sub(r" \1 ", answer)).replace(" ^", "^").strip()
    )
    at, kind, power, size = 0, "", "", Fraction(0)
    while at < len(text):
        part = _PART.match(text, at)
        unit = part and _known(part["unit"])
        if not part or not unit or (kind and unit[0] != kind):
            return None
        kind, power, at = unit[0], part["power"].strip("^{}"), part.end()
        size += Fraction(part["number"].replace(",", "")) * unit[1] ** int(power or 1)
    return Quantity(kind, power, size) if kind else None


def bare(answer: str) -> str:
    """Return an answer without the unit, the degrees or the currency at the end of it, or of each of a list's parts."""
    if not _GROUPED.search(answer) and len(parts := _LISTED.split(answer)) > 1:
        return ", ".join(map(bare, parts))
    text = answer.strip().removeprefix("\\$").removeprefix("$").strip()
    found = _TAIL.fullmatch(text)
    if not found or found["percent"]:
        return text
    words = (found["words"] or found["text"] or "").strip()
    if found["words"] and not _is_unit(words, found["value"]):
        return text
    if words and (not re.fullmatch(r"[A-Za-z./ ^0-9-]*", words) or set(words.lower().split()) & _FUNCTIONS):
        return text
    return found["value"].strip()


def unit_symbol(answer: str) -> str | None:
    """Return the symbol of the unit at an answer's end (`km/h`), None where there is none."""
    found = _TAIL.fullmatch(answer.strip())
    words = ((found["words"] or found["text"] or "") + (found["power"] or "")) if found else ""
    words = re.sub(r"[\s{}.]|\^(?=\d)", "", words)
    if not _SYMBOL.fullmatch(words):
        return None
    return "/".join(_SAME_UNIT.get(part, part) for part in _SAME_UNIT.get(words, words).split("/"))


def _is_unit(words: str, value: str) -> bool:
    """Whether plain words after a value are its unit: after a number, and no letters that are factors."""
    parts = re.split(r"[^A-Za-z]+", words)
    long = any(len(word) > 1 for word in parts) or all(part in UNITS or part in _LETTER_UNITS for part in parts if part)
    return long and bool(_NUMBER.fullmatch(value.strip()))


def _known(word: str) -> tuple[str, Fraction] | None:
    word = word.lower()
    return UNITS.get(word) or UNITS.get(word.removesuffix("s"))
