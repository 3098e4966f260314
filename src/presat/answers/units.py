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
    "degrees": {"degree deg circ celsius": "1"}, "fahrenheit": {"degree deg circ fahrenheit": "1"},
    "radians": {"radian rad": "1"},
    "dollars": {"cent": "1/100", "dollar usd buck": "1"}, "euros": {"cent": "1/100", "euro eur": "1"},
    "sterling": {"penny pence": "1/100", "pound sterling gbp": "1"}, "yen": {"yen jpy yenoryuan": "1"},
    "yuan": {"yuan cny rmb yenoryuan": "1"}, "rupees": {"rupee inr": "1"}, "won": {"won krw": "1"},
}  # fmt: skip


def _by_name() -> dict[str, list[tuple[str, Fraction]]]:
    found: dict[str, list[tuple[str, Fraction]]] = {}
    for kind, sizes in _TABLE.items():
        for names, size in sizes.items():
            for name in names.split():
                found.setdefault(name, []).append((kind, Fraction(size)))
    return found


UNITS = _by_name()
"""What a unit's name measures and its size, in the kind's own unit; `pound`, `cent` and the sign of yen mean two."""

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
_DEGREES = re.compile(r"\^\s*\{?\s*\\circ\s*\}?")
_FUNCTIONS = frozenset(("and", "or", "not", "if", "mod", "in", "to", "choose", "is"))


class Quantity(NamedTuple):
    """What a quantity measures, the power of its unit, and its size in the kind's own unit."""

    kind: str
    power: str
    size: Fraction


def quantities(answer: str) -> frozenset[tuple[Quantity, ...]]:
    """Read an answer that is numbers with units we know and nothing else; empty where it is not.

    Returns:
        Every way to read it (`5 pounds` is a mass and a price), each as the quantities of a list in order of size:
        `5 ft 6 in` is one, `3 cm, 4 cm` are two, for a unit that comes again begins another.
    """
    text = _DEGREES.sub(" degrees ", _TEXT.sub(r" \1 ", answer)).replace(" ^", "^").strip()
    return frozenset(found for meaning in (0, -1) if (found := _quantities(text, meaning)))


def _quantities(text: str, meaning: int) -> tuple[Quantity, ...]:
    """The quantities in a text, a unit of two meanings in one of them."""
    found: list[Quantity] = []
    used: set[Fraction] = set()
    at = 0
    while at < len(text):
        part = _PART.match(text, at)
        known = _known(part["unit"]) if part else []
        if not part or not known:
            return ()
        kind, unit = known[meaning]
        power = part["power"].strip("^{}")
        size = Fraction(part["number"].replace(",", "")) * unit ** int(power or 1)
        if found and found[-1][:2] == (kind, power) and unit not in used:
            found[-1] = Quantity(kind, power, found[-1].size + size)
        else:
            found.append(Quantity(kind, power, size))
            used.clear()
        used.add(unit)
        at = part.end()
    return tuple(sorted(found))


def unit_at_end(answer: str) -> frozenset[tuple[str, Fraction, str]]:
    """Return what the unit at an answer's end may be: kind, size and power; empty where there is none that we know."""
    found = _TAIL.fullmatch(answer.strip())
    words = (found["words"] or found["text"] or "").strip() if found else ""
    power = re.sub(r"[\s^{}]", "", (found["power"] or "") if found else "")
    return frozenset((kind, size, power) for kind, size in (_known(words.rstrip(".")) if words else []))


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


def _known(word: str) -> list[tuple[str, Fraction]]:
    word = word.lower()
    return UNITS.get(word) or UNITS.get(word.removesuffix("s")) or []
