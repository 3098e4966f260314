"""Statements of equality in a text, and whether they hold: `3 + 4 = 7`, chains of them, congruences.

Text is misread more often than people miscalculate. So a statement is called false only where both of its sides were
read whole, nothing around it casts doubt on where they begin and end, and no other usual way to read it makes it true.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from presat.diagnosis.algebra import identical, letters_of
from presat.diagnosis.arithmetic import ANGLES, USUAL, Number, Reading, Unreadable, evaluate
from presat.diagnosis.doubts import around, doubtful, excused, taken_back
from presat.diagnosis.sides import Pair, Piece
from presat.diagnosis.tokens import Token
from presat.diagnosis.vocabulary import GIVEN

CLOSE = 0.005
"""Relative difference that rounding on the way may make, once decimals or roots are about."""
VERY_CLOSE = 1e-9


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


def statements(text: str, pairs: Sequence[Pair]) -> Iterator[Statement]:
    """Every equality in a text that could be read, in order, with its verdict.

    Args:
        text: the trace.
        pairs: its equalities.
    """
    for pair in pairs:
        left, right = pair.left, pair.right
        if left is None or right is None or not (left.operations or right.operations or pair.modulus):
            continue
        if letters_of(left.tokens) or letters_of(right.tokens):
            true = _identity(left, right, pair.relation, text) if pair.length > 1 else None
            found = None if true is None else (true, "the two sides are not the same expression", ())
        else:
            found = _verdict(left, right, pair.relation, pair.modulus, text)
        if found is not None:
            start, end = left.tokens[0].start, right.tokens[-1].end
            yield Statement(start, end, " ".join(text[start:end].split()), *found)


def _identity(left: Piece, right: Piece, relation: Token, text: str) -> bool | None:
    """Whether neighbours in a chain of expressions with letters are one expression; None where that cannot be said.

    A lone equality with letters may be a condition. In a chain it is hardly one where both sides have all letters.
    """
    same = letters_of(left.tokens) == letters_of(right.tokens)
    if relation.text != "=" or not same or not (left.operations and right.operations):
        return None
    if any(token.text in ANGLES for token in (*left.tokens, *right.tokens)):
        return None  # sin A = 2 cos A is a condition even there
    true = identical(left.tokens, right.tokens, [(USUAL, USUAL), *readings(left.tokens, right.tokens)])
    if true is not False:
        return true
    sentence = around(text, left.tokens[0].start, right.tokens[-1].end)
    return None if not (left.clear and right.clear) or GIVEN.search(sentence) else False


def _verdict(
    left: Piece, right: Piece, relation: Token, modulus: Number | None, text: str
) -> tuple[bool, str, tuple[Number, ...]] | None:
    """Whether two pieces are equal, and what is right; None where that cannot be said."""
    if (calm := _unexclaimed(right)) is not None:
        found = _verdict(left, calm, relation, modulus, text)
        if found is not None and found[0]:
            return found
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
    start, end = left.tokens[0].start, right.tokens[-1].end
    if not (left.clear and right.clear) or excused(left, right, relation, value, last) or taken_back(text, end):
        return None
    if relation.text != "~" and doubtful(text, start, end):
        return None
    return False, f"the left side is {shown(value)}", (value, last)


def _unexclaimed(piece: Piece) -> Piece | None:
    """A side without the exclamation mark at its end, which may be no factorial: `= 120! Great.`; None without one."""
    tokens = piece.tokens
    while tokens[-1].kind == "fact" and len(tokens) > 1:
        tokens = tokens[:-1]
    return None if tokens == piece.tokens else replace(piece, tokens=tokens)


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
        "degrees": bool(names & ANGLES.keys()),
        "radians": any(token.kind == "degree" for token in left) != any(token.kind == "degree" for token in right),
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
    percent = right.tokens[-1].kind == "percent"
    if percent:  # 2/3 = 67%: two digits more are shown, whichever way it is read
        scale = 1 if second.percent else 100
        value, last, decimals = value / scale, last / scale, max(decimals, 0) + 2
    if relation.text == "~" and _to_place(value, last, right):
        return True
    inexact = (
        percent
        or relation.text == "~"
        or any(token.decimals > 0 for token in (*left.tokens, *right.tokens))
        or isinstance(value, float)
        or isinstance(last, float)
    )
    if inexact and (unit := _unit_of_power(right, last)) is not None and abs(float(value) - float(last)) <= unit:
        return True
    return equal(value, last, decimals if inexact else None, relation.text == "~")


def _to_place(value: Number, last: Number, right: Piece) -> bool:
    """Whether a value is about a round number, to its last digit but zeros: `1024` and `10^3`, `1924` and `2000`."""
    if not isinstance(last, Fraction) or not last or not _small(value, last):
        return False
    unit = last_place(last)
    difference = abs(float(value) - float(last))
    power = any(token.text == "^" for token in right.tokens)
    return difference <= unit / 2 and (power or difference <= abs(float(last)) / 10)


def last_place(value: Fraction) -> float:
    """What the last digit of a number that is no zero counts: 1000 of 2000, 0.1 of 0.3."""
    unit = Fraction(1)
    while value.denominator != 1 and unit > Fraction(1, 10**40):
        value, unit = value * 10, unit / 10
    while value.denominator == 1 and value % 10 == 0 and unit < 10**300:
        value, unit = value / 10, unit * 10
    return float(unit)


def _unit_of_power(right: Piece, last: Number) -> float | None:
    r"""What the last digit shown counts in `3.5 \times 10^8`; None for anything else."""
    tokens = right.tokens
    if len(tokens) < 5 or [token.text for token in tokens[1:4]] != ["*", "10", "^"]:
        return None
    if tokens[0].kind != "num" or not tokens[0].value or not _small(last, last):
        return None
    return abs(float(last) / float(tokens[0].value)) * 10.0 ** -max(tokens[0].decimals, 0)


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
    if (isinstance(value, float) or isinstance(shown, float)) and difference <= VERY_CLOSE * max(size, 1.0):
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
