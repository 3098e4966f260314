"""Statements with letters: identities, and values that are said to solve an equation. By trying numbers, not symbols.

An equality with letters may be an identity (`(x + 1)^2 = x^2 + 2x + 1`) or a condition (`2x = 6`). Two sides that agree
at a few odd values are identical, but for an accident of probability next to none. A linear equation is known by its
values at three places, and so is its root.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from presat.diagnosis.arithmetic import Number, Reading, Unreadable, evaluate
from presat.diagnosis.tokens import Token
from presat.diagnosis.vocabulary import words

_NEVER = words("i e d f g h P Q p q F G T S R")
_PRIMES = (13, 29, 7, 43, 19, 37, 11, 31, 23, 17, 41, 5)
_TRIALS = 3
CLOSE = 1e-9


def letters_of(tokens: Sequence[Token]) -> frozenset[str]:
    """The letters that stand in an expression."""
    return frozenset(token.text for token in tokens if token.kind == "letter")


def applies_function(tokens: Sequence[Token]) -> bool:
    """Whether a letter may be the name of a function: `f(x)`, and letters that are more than unknowns."""
    return any(
        token.kind == "letter"
        and (token.text in _NEVER or (token.text not in "xyzabcnkmrst" and _opens(tokens, place + 1)))
        for place, token in enumerate(tokens)
    )


def _opens(tokens: Sequence[Token], place: int) -> bool:
    return place < len(tokens) and tokens[place].kind == "open"


def identical(
    left: Sequence[Token], right: Sequence[Token], readings: Sequence[tuple[Reading, Reading]]
) -> bool | None:
    """Whether two expressions of the same letters are equal whatever these are; None where that cannot be said.

    Args:
        left: the tokens of one.
        right: the tokens of the other.
        readings: the ways to read them; they are identical if they are in one way.
    """
    letters = sorted(letters_of(left) | letters_of(right))
    if not letters or len(letters) > 6 or applies_function(left) or applies_function(right):
        return None
    known = False
    for first, second in readings:
        verdicts = [_same(left, right, first, second, _values(letters, trial)) for trial in range(_TRIALS)]
        if all(verdict is True for verdict in verdicts):
            return True
        known = known or False in verdicts
    return False if known else None


def _values(letters: Sequence[str], trial: int) -> Mapping[str, Number]:
    """Odd values above 1, with the first letter the largest, so that roots of differences mostly exist."""
    return {
        letter: Fraction(_PRIMES[(index * 5 + trial * 3) % len(_PRIMES)], 3) + (len(letters) - index)
        for index, letter in enumerate(letters)
    }


def _same(
    left: Sequence[Token], right: Sequence[Token], first: Reading, second: Reading, values: Mapping[str, Number]
) -> bool | None:
    try:
        a, b = evaluate(left, first, values), evaluate(right, second, values)
        return a == b or abs(float(a) - float(b)) <= CLOSE * max(1.0, abs(float(a)), abs(float(b)))
    except (Unreadable, OverflowError):
        return None


def linear_root(
    left: Sequence[Token], right: Sequence[Token], letter: str, reading: Reading, others: Mapping[str, Number]
) -> Fraction | None:
    """What a letter is by an equation that is linear in it; None for any other equation.

    Args:
        left: the tokens of its left side.
        right: the tokens of its right side.
        letter: the unknown.
        reading: how it is read.
        others: values of its other letters.

    Raises:
        Unreadable: a side has no value.
    """
    places = (2, 3, 5, 11)
    at: list[Fraction] = []
    for place in places:
        values = {**others, letter: Fraction(place)}
        difference = evaluate(left, reading, values) - evaluate(right, reading, values)
        if not isinstance(difference, Fraction):
            return None
        at.append(difference)
    slope = at[1] - at[0]
    if slope == 0 or at[2] - at[1] != 2 * slope or at[3] - at[2] != 6 * slope:
        return None
    return places[0] - at[0] / slope
