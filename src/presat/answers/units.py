r"""Quantities: `5 ft 6 in`, `3\text{ hours }30\text{ minutes}`, `60 miles per hour`, `72 dollars`.

Math-Verify drops units, so that 5 meters are 5 feet. A unit that one side alone names is no difference (the question
asked for it); two units that measure the same are compared by what they measure. A unit is read as a product of powers
of the words in `presat.answers.unit_table`; one with a word before it that is not there stays unread.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

from presat.answers.unit_table import Powers, Unit, known_units

_TEXT = re.compile(r"\\(?:text|mathrm|textrm|mbox|rm)\s*\{([^{}]*)\}")
_DEGREES = re.compile(r"\s*\^\s*\{?\s*\\circ\s*\}?")
_ONE_NAME = [
    (re.compile(pattern, re.IGNORECASE), name)
    for pattern, name in (
        (r"\bdegrees? *(?:(?-i:F)|fahrenheit)(?![A-Za-z])", "fahrenheit"),
        (r"\bdegrees? *(?:(?-i:C)|celsius|centigrade)(?![A-Za-z])", "celsius"),
        (r"\blight[ -]?years?\b", "lightyear"),
        (r"\bnautical[ -]miles?\b", "nauticalmile"),
        (r"\bfl(?:uid)?\.? ?(?:oz|ounces?)\b", "floz"),
        (r"\bmetric tons?\b", "tonne"),
    )
]
"""Units of two words, in one."""
_END = re.compile(
    r"(?P<value>.*?(?:[\d)}\]!]|\\pi))\s*(?P<unit>(?:/ ?|per )?[A-Za-z][A-Za-z./ *·-]*"
    r"(?:(?:\^ ?\{? ?-?\d ?\}?|(?<=[A-Za-z])[23])[A-Za-z./ *·-]*)*)",
    re.DOTALL,
)
"""A value, as short as can be, and a unit to the end."""
_TOKEN = re.compile(
    r"\s*(?:(?P<word>[A-Za-z]+)\.?|\^? ?\{? ?(?P<power>-?\d) ?\}?|(?P<over>/)|(?P<times>[*·-]))\s*", re.IGNORECASE
)
_LETTERS = frozenset("msghlJNWVKCFHA")
"""Single letters that are units beside a number in plain words; others are factors."""
_BEFORE = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}
_BEHIND = {"squared": 2, "cubed": 3}
_EACH = ("a", "an", "each", "every")
_NO_UNIT = frozenset(("and", "or", "not", "if", "mod", "choose", "is"))
_LOOSE = {"unit", "degrees"}
"""Kinds that agree with others, so that they are compared one by one: units of anything, degrees of warmth."""
_MOST_WORDS = 8
_HIGHEST_POWER = 9
_FRACTION = re.compile(r"\\frac\s*\{(\d+)\}\s*\{(\d+)\}")
_COUNT = re.compile(
    r"(?<![\^{\d.])(?<!\^-)(?<!\{-)(?!(?<=[A-Za-z])[23](?![\d.]*\s*[A-Za-z]))[+-]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
    r"(?:\.\d+)?(?:\s*/\s*\d+)?"
)
"""A number; a 2 or 3 behind a letter is its power, unless a unit follows."""
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
_FUNCTIONS = frozenset(("and", "or", "not", "if", "mod", "in", "to", "choose", "is"))


class Quantity(NamedTuple):
    """What a quantity measures, and its size in the base kinds' units."""

    powers: Powers
    size: Fraction


class Reading(NamedTuple):
    """A unit that is read in one of its meanings, and whether all that it measures is known (`apples per hour`)."""

    powers: Powers
    size: Fraction
    whole: bool


def quantities(answer: str) -> frozenset[tuple[Quantity, ...]]:
    """Read an answer that is numbers with units we know and nothing else; empty where it is not.

    Returns:
        Every way to read it (`5 pounds` is a mass and a price), each as the quantities of a list in order of size:
        `5 ft 6 in` is one, `3 cm, 4 cm` are two, for a unit that comes again begins another.
    """
    text = _FRACTION.sub(r"\1/\2", _plain(answer))
    if not re.match(r"[+-]?\d", text) or "\\" in text.replace("\\cdot", ""):
        return frozenset()
    numbers = list(_COUNT.finditer(text))
    parts: list[tuple[Fraction, list[Reading]]] = []
    for number, after in zip(numbers, [*numbers[1:], None], strict=True):
        words = re.sub(r"^and\b|\band$", "", text[number.end() : after.start() if after else None].strip(" ,"))
        readings = [unit for unit in _readings(words, answer) if unit.whole and not _LOOSE & dict(unit.powers).keys()]
        top, _, bottom = number[0].replace(",", "").partition("/")
        if not readings or (bottom and not int(bottom)):
            return frozenset()
        parts.append((Fraction(top) / int(bottom or 1), readings))
    meanings = max((len(readings) for _, readings in parts), default=0)
    return frozenset(_added(parts, meaning) for meaning in range(meanings))


def _added(parts: list[tuple[Fraction, list[Reading]]], meaning: int) -> tuple[Quantity, ...]:
    """The quantities of a list, units of several meanings in one of them."""
    found: list[Quantity] = []
    used: set[Fraction] = set()
    for number, readings in parts:
        unit = readings[min(meaning, len(readings) - 1)]
        if found and found[-1].powers == unit.powers and unit.size not in used:
            found[-1] = Quantity(unit.powers, found[-1].size + number * unit.size)
        else:
            found.append(Quantity(unit.powers, number * unit.size))
            used.clear()
        used.add(unit.size)
    return tuple(sorted(found))


def units_differ(gold: str, answer: str) -> bool | None:
    """Whether the units at two answers' ends measure different things; None where we do not know both."""
    ours, theirs = unit_at_end(gold), unit_at_end(answer)
    return not any(_agree(one, other) for one in ours for other in theirs) if ours and theirs else None


def unit_at_end(answer: str) -> list[Reading]:
    """Return what the unit at an answer's end may be; empty where there is none that we know."""
    found = _END.fullmatch(_plain(answer))
    return _readings(found["unit"], answer) if found else []


def _plain(answer: str) -> str:
    """An answer with its units in plain words."""
    text = _TEXT.sub(r" \1 ", _DEGREES.sub(" degrees ", answer)).replace("\\cdot", " * ")
    for several, one in _ONE_NAME:
        text = several.sub(one, text)
    return " ".join(text.split()).replace(" ^", "^")


def _agree(gold: Reading, answer: Reading) -> bool:
    """Whether two units are one; a unit of no kind (`5 square units`) is any unit of its power."""
    if not (gold.whole and answer.whole):
        ours, theirs = ([part for part in unit.powers if part[1] < 0] for unit in (gold, answer))
        return ours == theirs and (gold.whole != answer.whole or gold.size == answer.size)
    generic = [unit.powers[0][1] if [kind for kind, _ in unit.powers] == ["unit"] else 0 for unit in (gold, answer)]
    if all(generic):
        return generic[0] == generic[1]
    if any(generic):
        power, other = (generic[0], answer) if generic[0] else (generic[1], gold)
        return power == 1 or other.powers == (("length", power),)
    warmth = gold.powers[0][0] if gold.powers else ""
    if warmth in ("fahrenheit", "celsius") and answer.powers == (("degrees", 1),):
        return True
    return gold[:2] == answer[:2]


def _readings(words: str, answer: str) -> list[Reading]:
    """Every meaning of a unit in words; none where its first word is none that we know."""
    tokens = _tokens(words)
    if not tokens or len(tokens) > _MOST_WORDS or _is_product(words, answer):
        return []
    found = [Reading((), Fraction(1), True)]
    below, power = 1, 1
    counted, known = False, False
    for place, (word, exponent) in enumerate(tokens):
        follows = tokens[place + 1][0] if place + 1 < len(tokens) else ""
        if word == "/" or word == "per" or (word in _EACH and len(follows) > 2 and known_units(follows)):
            below = -1
        elif word in _BEFORE and follows:
            power = _BEFORE[word]
        elif units := known_units(word):
            if not counted and below > 0:
                counted = True
                if not all(one.whole for one in found):
                    return []
            known = True
            found = [_times(one, unit, below * power * exponent) for one in found for unit in units]
            power = 1
        elif not counted and below > 0:  # `72 apples per hour`
            found = [one._replace(whole=False) for one in found]
    return list(dict.fromkeys(one._replace(whole=one.whole and counted) for one in found)) if known else []


def _tokens(words: str) -> list[tuple[str, int]]:
    """The words of a unit with their powers, `/` among them; empty where something else is there."""
    found: list[tuple[str, int]] = []
    at = 0
    while at < len(words):
        token = _TOKEN.match(words, at)
        if not token or token.end() == at or len(found) > _MOST_WORDS:
            return []
        at = token.end()
        if token["power"] or (token["word"] or "").lower() in _BEHIND:
            if not found:
                return []
            name, power = found[-1]
            power *= int(token["power"]) if token["power"] else _BEHIND[token["word"].lower()]
            if abs(power) > _HIGHEST_POWER:
                return []
            found[-1] = name, power
        elif token["over"]:
            found.append(("/", 1))
        elif word := token["word"]:
            if word.lower() in _NO_UNIT:
                return []
            found.append((word.lower() if word.lower() in {*_BEFORE, *_EACH, "per"} else word, 1))
    return found


def _is_product(words: str, answer: str) -> bool:
    """Whether letters are factors: several single ones side by side, in no text command."""
    return not _TEXT.search(answer) and bool(
        re.fullmatch(r"[A-Za-z](?:\^\{?\d\}?)?(?: [A-Za-z](?:\^\{?\d\}?)?)+", words)
    )


def _times(one: Reading, unit: Unit, power: int) -> Reading:
    powers = dict(one.powers)
    for kind, times in unit.powers:
        powers[kind] = powers.get(kind, 0) + times * power
    return Reading(tuple(sorted((k, p) for k, p in powers.items() if p)), one.size * unit.size**power, one.whole)


def bare(answer: str) -> str:
    """Return an answer without the unit, the degrees or the currency at the end of it, or of each of a list's parts."""
    if not _GROUPED.search(answer) and len(parts := _LISTED.split(answer)) > 1:
        return ", ".join(map(bare, parts))
    text = answer.strip().removeprefix("\\$").removeprefix("$").strip()
    if value := _before_unit(text):
        return value
    found = _TAIL.fullmatch(text)
    if not found or found["percent"]:
        return text
    words = (found["words"] or found["text"] or "").strip()
    if found["words"] and not _is_unit(words, found["value"]):
        return text
    if words and (not re.fullmatch(r"[A-Za-z./ ^0-9-]*", words) or set(words.lower().split()) & _FUNCTIONS):
        return text
    return found["value"].strip()


def _before_unit(text: str) -> str | None:
    """The number before a unit that we know; None where there is none, or where its letters are factors."""
    plain = _plain(text)
    end = _END.fullmatch(plain)
    if not end or not re.match(r" |/ ?[A-Za-z]{2}", plain[len(end["value"]) :]) or not _NUMBER.fullmatch(end["value"]):
        return None
    marked = _TEXT.search(text) or _DEGREES.search(text) or _is_unit(end["unit"], end["value"])
    return end["value"] if marked and _readings(end["unit"], text) else None


def unit_symbol(answer: str) -> str | None:
    """Return the symbol of the unit at an answer's end (`km/h`), None where there is none."""
    found = _TAIL.fullmatch(answer.strip())
    words = ((found["words"] or found["text"] or "") + (found["power"] or "")) if found else ""
    words = re.sub(r"[\s{}.]|\^(?=\d)", "", words)
    return words if _SYMBOL.fullmatch(words) else None


def _is_unit(words: str, value: str) -> bool:
    """Whether plain words after a value are its unit: after a number, and no letters that are factors."""
    parts = [part for part in re.split(r"[^A-Za-z]+", words) if part]
    long = any(len(word) > 1 for word in parts) or all(part in _LETTERS for part in parts)
    return long and bool(_NUMBER.fullmatch(value.strip()))
