"""Statements of equality in a text, and whether they hold: `3 + 4 = 7`, chains of them, congruences.

Text is misread more often than people miscalculate. So a statement is called false only where both of its sides were
read whole, nothing around it casts doubt on where they begin and end, and no other usual way to read it makes it true.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from presat.diagnosis.algebra import identical, letters_of
from presat.diagnosis.arithmetic import USUAL, Number, Reading, Unreadable, evaluate
from presat.diagnosis.tokens import Token, tokens_of

LONGEST_SIDE = 160
"""Tokens; longer sides are not read."""
LONGEST_TEXT = 40_000
"""Characters; the rest of a text is not read."""
CLOSE = 0.005
"""Relative difference that rounding on the way may make, once decimals or roots are about."""
VERY_CLOSE = 1e-9

_DOUBT_BEFORE = frozenset(
    """half twice thrice double triple quarter third thirds fourth fifth times minus plus less more than by and from
    square root cube product sum difference ratio of to or between negative per over through percent each dividing
    multiplying subtracting adding divided multiplied subtract add multiply divide with about base if try trying
    suppose assume assuming instead not""".split()
)
_NO_UNITS = frozenset(
    """is are was were be has have had at most least in for so then thus therefore hence gives give we get which that
    this it the an equals equal becomes become means mean costs cost will can if as but because since where when there
    they she he you our his her its into after before remain only also would must should makes make""".split()
)
_DOUBT_AFTER = frozenset(
    """times minus plus less more half and million thousand hundred billion trillion dozen percent remainder mod squared
    cubed over per or and remaining quotient degrees divided multiplied pairs""".split()
)
_ANGLES = frozenset(("sin", "cos", "tan", "cot", "sec", "csc"))
_GIVEN = re.compile(r"substitut|since|given|using|recall|because|\bif\b|\bwhen\b|suppose|where", re.IGNORECASE)
_DOUBT_AROUND = re.compile(
    r"round|nearest|approx|about|roughly|estimat|floor|integer part|quotient|remainder|at least|at most|contradict|"
    r"impossib|not possible|incorrect|\bnot\b|n't|wrong|mistake|error|check if|suppose|assum|\btry|\bguess|\btest|"
    r"whether|\bif\b|\bmod|base|binary|ceil|whole number|next integer|too (?:small|large|big|low|high)|\bclock|"
    r"o'clock|[ap]\.?m\.?\b|never|false|fail|significant",
    re.IGNORECASE,
)
_UNITS = {
    name: index
    for index, names in enumerate(
        (
            "second seconds sec secs", "minute minutes min mins", "hour hours hr hrs", "day days", "week weeks",
            "month months", "year years yr yrs", "decade decades", "dozen dozens", "cent cents", "dollar dollars",
            "inch inches", "foot feet ft", "yard yards yd", "mile miles", "cm centimeter centimeters", "mm",
            "meter meters", "km kilometer kilometers", "kg kilogram kilograms", "gram grams", "lb lbs pound pounds",
            "oz ounce ounces", "liter liters", "ml milliliter milliliters", "gallon gallons", "quart quarts",
            "pint pints", "cup cups", "ton tons", "degree degrees", "radian radians", "quarter quarters", "nickel "
            "nickels", "dime dimes", "penny pennies", "pack packs", "pair pairs", "percent", "thousand thousands",
            "million millions", "hundred hundreds", "billion", "century centuries", "tablespoons tablespoon",
            "teaspoon teaspoons", "score", "box boxes", "set sets", "group groups", "half halves", "third thirds",
        )
    )
    for name in names.split()
}  # fmt: skip
_OF = {"times": "*", "multiplied": "*", "plus": "+", "minus": "-"}
_READINGS = [
    Reading(percent, tight, mixed, negative, degrees, base)
    for percent, tight, mixed, negative, degrees, base in itertools.product((True, False), repeat=6)
]


@dataclass(frozen=True, slots=True)
class Statement:
    """One equality that was read.

    Attributes:
        start: where it begins in the text.
        end: where it ends.
        shown: it as it stands there.
        true: whether it holds.
        should: what it should say, where it does not hold.
        values: of its two sides, where they are numbers.
        calculated: whether it was calculated again, and not only looked for.
    """

    start: int
    end: int
    shown: str
    true: bool
    should: str
    values: tuple[Number, ...] = ()
    calculated: bool = True


@dataclass(frozen=True, slots=True)
class Piece:
    """A readable end of one side: what of it touches a relation.

    Attributes:
        tokens: the expression.
        clear: whether where it begins (or ends) is beyond doubt.
        units: kinds of units that were left out.
        operations: how much there is to calculate.
    """

    tokens: tuple[Token, ...]
    clear: bool
    units: frozenset[int]
    operations: int


@dataclass(frozen=True, slots=True)
class Pair:
    """One relation of equality and what stands beside it.

    Attributes:
        left: what stands left of it; None where that cannot be read.
        right: what stands right of it.
        relation: its sign.
        length: how many relations its chain has.
        final: what stands right of the last relation of its chain.
        end: where the chain ends in the text.
        modulus: of a congruence.
    """

    left: Piece | None
    right: Piece | None
    relation: Token
    length: int
    final: Piece | None
    end: int
    modulus: Number | None


def statements(text: str, pairs: Sequence[Pair]) -> Iterator[Statement]:
    """Every equality in a text that could be read, in order, with its verdict.

    Args:
        text: the trace.
        pairs: its equalities.
    """
    for pair in pairs:
        left, right = pair.left, pair.right
        if left is None or right is None or not (left.operations or right.operations):
            continue
        if letters_of(left.tokens) or letters_of(right.tokens):
            true = _identity(left, right, pair.relation, text) if pair.length > 1 else None
            found = None if true is None else (true, "the two sides are not the same expression", ())
        else:
            found = _verdict(left, right, pair.relation, pair.modulus, text)
        if found is not None:
            start, end = left.tokens[0].start, right.tokens[-1].end
            yield Statement(start, end, " ".join(text[start:end].split()), *found)


def equalities(text: str) -> list[Pair]:
    """Every relation of equality in a text with what stands on its sides, in order."""
    found: list[Pair] = []
    for sides, relations in chains(tokens_of(text[:LONGEST_TEXT])):
        modulus = _modulus(sides[-1])
        if modulus is not None:
            sides[-1] = sides[-1][: modulus[1]]
        final = _right_piece(sides[-1])
        for index, relation in enumerate(relations):
            left, right = _left_piece(sides[index]), _right_piece(sides[index + 1])
            known = None if modulus is None else modulus[0]
            end = (
                sides[-1][-1].end
                if final is None and sides[-1]
                else relation.end
                if final is None
                else final.tokens[-1].end
            )
            found.append(Pair(left, right, relation, len(relations), final, end, known))
    return found


def chains(tokens: Sequence[Token]) -> Iterator[tuple[list[list[Token]], list[Token]]]:
    """Sides and the relations between them, of every run of tokens with a relation in it."""
    sides: list[list[Token]] = [[]]
    relations: list[Token] = []
    depth = 0
    for place, token in enumerate(tokens):
        after = tokens[place + 1] if place + 1 < len(tokens) else None
        depth += (token.kind == "open") - (token.kind == "close")
        ends = token.kind == "break" and not _goes_on(token, sides[-1], after, relations)
        if ends or (token.kind == "comma" and depth <= 0):
            if relations:
                sides[-1].append(token)
                yield sides, relations
            sides, relations = [[token]], []
            depth = 0
        elif token.kind == "rel" and token.text == "?":  # an inequality: the sides of it are each other's neighbours
            if relations:
                sides[-1].append(token)
                yield sides, relations
            sides, relations, depth = [[token]], [], 0
        elif token.kind == "rel":
            relations.append(token)
            sides.append([])
            depth = 0
        elif token.kind != "break":
            sides[-1].append(token)
    if relations:
        yield sides, relations


def _goes_on(token: Token, side: Sequence[Token], after: Token | None, relations: Sequence[Token]) -> bool:
    """Whether a statement goes on across this end of a line."""
    if token.text != "line":
        return False
    if after is not None and after.kind == "rel":
        return True
    return bool(relations) and not side and after is not None and after.kind in ("num", "open", "func", "letter")


def _identity(left: Piece, right: Piece, relation: Token, text: str) -> bool | None:
    """Whether neighbours in a chain of expressions with letters are one expression; None where that cannot be said.

    A lone equality with letters may be a condition. In a chain it is hardly one, as long as both sides have all letters.
    """
    same = letters_of(left.tokens) == letters_of(right.tokens)
    if relation.text != "=" or not same or not (left.operations and right.operations):
        return None
    if any(token.text in _ANGLES for token in (*left.tokens, *right.tokens)):
        return None  # sin A = 2 cos A is a condition even there
    true = identical(left.tokens, right.tokens, [(USUAL, USUAL), *readings(left.tokens, right.tokens)])
    if true is not False:
        return true
    sentence = around(text, left.tokens[0].start, right.tokens[-1].end)
    return None if not (left.clear and right.clear) or _GIVEN.search(sentence) else False


def _modulus(side: Sequence[Token]) -> tuple[Number, int] | None:
    r"""The n of a last `(mod n)`, and where in the side it begins."""
    for place, token in enumerate(side):
        if token.kind == "op" and token.text == "mod":
            rest = [item for item in side[place + 1 :] if item.kind in ("num", "letter")]
            begin = place - 1 if place and side[place - 1].kind == "open" else place
            value = rest[0].value if rest and rest[0].kind == "num" else Fraction(0)
            return value, begin
    return None


def _left_piece(side: Sequence[Token]) -> Piece | None:
    """What of a side stands left of a relation: its readable end."""
    tokens, units = without_units(side)
    cut, depth = 0, 0
    for place in range(len(tokens) - 1, -1, -1):
        token = tokens[place]
        depth += (token.kind == "close") - (token.kind == "open")
        if depth < 0 or token.kind in ("word", "break", "comma", "rel"):
            if depth > 0:
                return None
            cut = place + 1
            break
    piece = tokens[cut:]
    before = tokens[cut - 1] if cut else None
    if before is not None and before.kind == "word" and piece and before.end == piece[0].start:  # cost(2)
        return None
    clear = before is None or before.kind != "word" or before.text.lower() not in _DOUBT_BEFORE
    if before is not None and before.kind == "open":
        clear = clear and (cut < 2 or tokens[cut - 2].kind in ("break", "comma", "word"))
    if piece and piece[0].kind == "op":
        cut_off = before is not None and before.kind in ("word", "break") and not piece[0].apart
        if piece[0].text != "-" or cut_off:
            return None
    return _piece(piece, clear, units)


def _right_piece(side: Sequence[Token]) -> Piece | None:
    tokens, units = without_units(side)
    cut, depth = len(tokens), 0
    for place, token in enumerate(tokens):
        depth += (token.kind == "open") - (token.kind == "close")
        if depth < 0 or token.kind in ("word", "break", "rel") or (token.kind == "comma" and depth == 0):
            if depth > 0:
                return None
            cut = place
            break
    after = tokens[cut] if cut < len(tokens) else None
    if after is not None and after.kind == "word" and cut and after.text.lower() not in _UNITS:
        if after.start == tokens[cut - 1].end or after.text.isupper():  # the letters of a product
            return None
    clear = after is None or after.kind != "word" or after.text.lower() not in _DOUBT_AFTER
    return _piece(tokens[:cut], clear, units)


def _piece(tokens: Sequence[Token], clear: bool, units: frozenset[int]) -> Piece | None:
    if not tokens or len(tokens) > LONGEST_SIDE or any(token.kind in ("opaque", "break") for token in tokens):
        return None
    operations = sum(
        token.kind in ("fact", "percent", "base", "func") or (token.kind == "op" and place > 0)
        for place, token in enumerate(tokens)
    )
    return Piece(tuple(tokens), clear, units, operations)


def without_units(side: Sequence[Token]) -> tuple[list[Token], frozenset[int]]:
    """A side without the units behind its numbers and without words in brackets, and which kinds of units those were."""
    found: list[Token] = []
    units: set[int] = set()
    place = 0
    while place < len(side):
        token = side[place]
        end = place
        while end < len(side) and side[end].kind == "word" and end - place < 4:
            end += 1
        after = side[end] if end < len(side) else None
        words = [item.text.lower() for item in side[place:end]]
        if words:
            units.update(_UNITS[word] for word in words if word in _UNITS)
            behind_number = bool(found) and found[-1].kind in ("num", "close", "percent")
            if found and found[-1].kind == "op" and found[-1].text == "/" and behind_per(found):
                found.pop()  # $6.00/plate
            elif behind_number and words[0] in _OF and after is not None and after.kind in ("num", "open", "func"):
                if words == [words[0]] or words == ["multiplied", "by"]:
                    found.append(token._replace(kind="op", text=_OF[words[0]]))
                else:
                    found.extend(side[place:end])
            elif behind_number and words == ["of"] and after is not None and after.kind in ("num", "open", "func"):
                found.append(token._replace(kind="op", text="*"))
            elif behind_number and words == ["divided", "by"]:
                found.append(token._replace(kind="op", text="/"))
            elif behind_number and _is_unit(side[place:end], found[-1], after):
                pass
            else:
                found.extend(side[place:end])
            place = end
            if found and found[-1].kind != "word" and place + 1 < len(side) and side[place].text == "^":
                place += 2 if side[place + 1].kind != "open" else 4  # of a unit
            continue
        if token.kind == "open" and token.text == "(" and (closing := _comment(side, place)) is not None:
            if found:
                place = closing + 1
                continue
        found.append(token)
        place += 1
    return found, frozenset(units)


def behind_per(found: Sequence[Token]) -> bool:
    return len(found) > 1 and found[-2].kind in ("num", "close")


def _is_unit(words: Sequence[Token], before: Token, after: Token | None) -> bool:
    """Whether words behind a number are what is counted: not the letters of a product, nor words that calculate."""
    names = [word.text.lower() for word in words]
    if any(name in _DOUBT_BEFORE or name in _DOUBT_AFTER or name in _NO_UNITS for name in names):
        return False
    glued = words[0].start == before.end  # `3ab`
    if (glued or words[0].text.isupper()) and names[0] not in _UNITS:
        return False
    if after is not None and after.kind == "op" and after.text == "^":
        return names[-1] in _UNITS  # cm^2: the power goes with it
    return after is None or after.kind in ("op", "close", "rel", "break", "comma")


def _comment(side: Sequence[Token], place: int) -> int | None:
    """Where the bracket that opens here closes, if only words stand in it."""
    for end in range(place + 1, min(place + 12, len(side))):
        if side[end].kind == "close":
            return end if end > place + 1 and any(item.kind == "word" for item in side[place + 1 : end]) else None
        if side[end].kind not in ("word", "letter", "comma"):
            return None
    return None


def _verdict(
    left: Piece, right: Piece, relation: Token, modulus: Number | None, text: str
) -> tuple[bool, str, tuple[Number, ...]] | None:
    """Whether two pieces are equal, and what is right; None where that cannot be said."""
    try:
        value, last = evaluate(left.tokens), evaluate(right.tokens)
    except Unreadable:
        return None
    if modulus is not None or relation.text == "%":
        return _congruent(value, last, modulus)
    if _agree(left, right, relation, USUAL, USUAL):
        return True, "", (value, last)
    for a, b in readings(left.tokens, right.tokens):
        if _agree(left, right, relation, a, b):
            return True, "", (value, last)
    if not (left.clear and right.clear) or len(left.units | right.units) > 1:
        return None
    if any(len(piece.tokens) == 1 and piece.units for piece in (left, right)) and left.units != right.units:
        return None  # 4 hours = 4 * 60
    if relation.text != "~" and doubtful(text, left.tokens[0].start, right.tokens[-1].end):
        return None
    return False, f"the left side is {shown(value)}", (value, last)


def doubtful(text: str, start: int, end: int) -> bool:
    """Whether words around a statement say that it is rounded, tried, supposed or denied."""
    return _DOUBT_AROUND.search(around(text, start, end)) is not None


def around(text: str, start: int, end: int) -> str:
    """The sentence that a statement stands in, as far as 80 characters before and 60 after it."""
    before = re.split(r"\n|\. ", text[max(0, start - 80) : start])[-1]
    after = re.split(r"\n\n|\. ", text[end : end + 60])[0]
    return before + " # " + after


def _congruent(value: Number, last: Number, modulus: Number | None) -> tuple[bool, str, tuple[Number, ...]] | None:
    whole = isinstance(value, Fraction) and isinstance(last, Fraction) and value.denominator == last.denominator == 1
    if not whole or not isinstance(modulus, Fraction) or modulus.denominator != 1 or modulus < 1:
        return None
    return (value - last) % modulus == 0, f"the left side is {value % modulus} modulo {modulus}", (value, last)


def shown(value: Number) -> str:
    """A value as a person would write it: whole, as a short fraction, or with six digits."""
    if isinstance(value, Fraction) and (value.denominator == 1 or max(abs(value.numerator), value.denominator) < 1000):
        return str(value) if len(str(value)) < 40 else "a number of more than 40 digits"
    return f"{float(value):.6g}" if _small(value, 0.0) else "a number beyond any size"


def readings(left: Sequence[Token], right: Sequence[Token]) -> Iterator[tuple[Reading, Reading]]:
    """Other ways to read two expressions than the usual one, as far as what stands in them leaves a choice."""
    kinds = {token.kind for token in (*left, *right)}
    names = {token.text for token in (*left, *right) if token.kind in ("func", "op")}
    choices = {
        "percent": "percent" in kinds,
        "tight": "/" in names,
        "mixed": "frac" in names or any(token.decimals < 0 for token in (*left, *right)),
        "negative": "^" in names and "-" in names,
        "degrees": bool(names & _ANGLES),
        "base": "log" in names,
    }
    free = [name for name, there in choices.items() if there]
    if not free:
        return
    for flips_left in itertools.product((True, False), repeat=len(free)):
        first = replace(USUAL, **{n: getattr(USUAL, n) is v for n, v in zip(free, flips_left, strict=True)})
        yield first, first
        if "percent" in free:
            yield first, replace(first, percent=not first.percent)


def _agree(left: Piece, right: Piece, relation: Token, first: Reading, second: Reading) -> bool:
    try:
        value, last = evaluate(left.tokens, first), evaluate(right.tokens, second)
    except Unreadable:
        return False
    decimals = max((token.decimals for token in right.tokens if token.kind == "num"), default=0)
    inexact = (
        relation.text == "~"
        or any(token.decimals > 0 for token in (*left.tokens, *right.tokens))
        or isinstance(value, float)
        or isinstance(last, float)
    )
    return equal(value, last, decimals if inexact else None, relation.text == "~")


def equal(value: Number, shown: Number, decimals: int | None, approximate: bool = False) -> bool:
    """Whether a value may be written as the one that is shown.

    Args:
        value: what it is.
        shown: what is written.
        decimals: digits behind the point that are written; None where nothing was rounded.
        approximate: whether the sign says that it is only about so.
    """
    if value == shown:
        return True
    difference = abs(float(value) - float(shown)) if _small(value, shown) else float("inf")
    size = max(abs(float(value)), abs(float(shown))) if _small(value, shown) else 1.0
    if isinstance(value, float) or isinstance(shown, float):
        if difference <= VERY_CLOSE * max(size, 1.0):
            return True
    if decimals is None:
        return False
    exact = isinstance(value, Fraction) and (value * 10 ** max(decimals, 0)).denominator == 1
    unit = 10.0 ** -max(decimals, 0)
    if difference <= unit * 1.001 and (approximate or (not exact and decimals > 0)):
        return True
    return difference <= size * (4 * CLOSE if approximate else CLOSE)


def _small(value: Number, shown: Number) -> bool:
    return all(isinstance(item, float) or abs(item) < 10**300 for item in (value, shown))
