"""Whether what a trace finds for its letters solves the equations it wrote down before: `16 + x = 27 ... x = 8`.

Letters are used again for something else, tried, and told apart in cases. So only a letter that is given one value in
the whole trace counts, only an equation before that value and, with several letters, one that is linear in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from presat.diagnosis.algebra import applies_function, letters_of, linear_root
from presat.diagnosis.arithmetic import USUAL, Number, Unreadable, evaluate
from presat.diagnosis.doubts import doubtful, taken_back
from presat.diagnosis.sides import Pair
from presat.diagnosis.statements import Statement, equal, readings, shown
from presat.diagnosis.vocabulary import ALTERNATIVES

MOST_LETTERS = 4
DECIMALS = 2
"""Digits behind the point to which sides need to agree: solutions may be rounded."""
_GOES_ON = re.compile(r"[\s\\)$}]*(?:,|or\b|and\b)\s*[-\\($]*\d")


@dataclass(slots=True)
class _Letter:
    """What a trace says a letter is: its values, the place of the first, and whether all of it was read."""

    values: set[Number] = field(default_factory=set)
    place: int = 0
    known: bool = True


def solutions(text: str, pairs: Sequence[Pair]) -> Iterator[Statement]:
    """Every equation whose letters are all found later, with the verdict whether it holds for what was found.

    Args:
        text: the trace.
        pairs: its equalities.
    """
    found = _letters(text, pairs)
    values = {name: next(iter(letter.values)) for name, letter in found.items() if letter.known}
    for pair in pairs:
        left, right = pair.left, pair.right
        if left is None or right is None or pair.relation.text != "=" or pair.length > 1 or _is_value(pair):
            continue
        tokens = (*left.tokens, *right.tokens)
        letters = letters_of(tokens)
        if (
            not 0 < len(letters) <= min(MOST_LETTERS, len(values))
            or not letters <= set(values)
            or applies_function(tokens)
        ):
            continue
        end = right.tokens[-1].end
        if any(found[letter].place < end for letter in letters) or not (left.clear and right.clear):
            continue
        if (verdict := _holds(pair, values)) is None:
            continue
        doubts = not _trusted(pair, letters) or doubtful(text, left.tokens[0].start, end) or taken_back(text, end)
        if not verdict[0] and doubts:
            continue
        yield _statement(text, pair, {letter: values[letter] for letter in sorted(letters)}, verdict, found)


def _statement(
    text: str,
    pair: Pair,
    values: Mapping[str, Number],
    verdict: tuple[bool, Number, Number],
    found: Mapping[str, _Letter],
) -> Statement:
    assert pair.left is not None and pair.right is not None  # noqa: PT018, S101  (looked at before)
    equation = " ".join(text[pair.left.tokens[0].start : pair.right.tokens[-1].end].split())
    place = max(found[letter].place for letter in values)
    said = ", ".join(f"{letter} = {shown(value)}" for letter, value in values.items())
    true, a, b = verdict
    should = f"its left side is then {shown(a)}, its right side {shown(b)}"
    return Statement(place, place + 1, f"{said} in {equation}", true, should)


def _letters(text: str, pairs: Sequence[Pair]) -> dict[str, _Letter]:
    """The letters that a trace gives values."""
    found: dict[str, _Letter] = {}
    for pair in pairs:
        if not _is_letter(pair):
            continue
        assert pair.left is not None  # noqa: S101
        token = pair.left.tokens[0]
        letter = found.setdefault(token.text, _Letter(place=token.start))
        value = _value(pair)
        if value is None:
            letter.known = letter.known and pair.right is not None and bool(letters_of(pair.right.tokens))
            continue
        letter.values.add(value)
        end = pair.end
        before = text[max(0, token.start - 40) : token.start]
        letter.known &= len(letter.values) == 1 and not _GOES_ON.match(text, end) and not ALTERNATIVES.search(before)
    return {name: letter for name, letter in found.items() if letter.values}


def _value(pair: Pair) -> Number | None:
    """The number at the end of `x = ... = 3`; None where there is none."""
    if pair.final is None or letters_of(pair.final.tokens) or not pair.final.clear:
        return None
    try:
        return evaluate(pair.final.tokens)
    except Unreadable:
        return None


def _is_letter(pair: Pair) -> bool:
    return pair.left is not None and len(pair.left.tokens) == 1 and pair.left.tokens[0].kind == "letter"


def _is_value(pair: Pair) -> bool:
    return _is_letter(pair) and pair.right is not None and not letters_of(pair.right.tokens)


def _holds(pair: Pair, values: Mapping[str, Number]) -> tuple[bool, Number, Number] | None:
    """Whether an equation holds for values, in one reading of it; and its sides as usually read."""
    assert pair.left is not None and pair.right is not None  # noqa: PT018, S101
    sides: tuple[Number, Number] | None = None
    for first, second in ((USUAL, USUAL), *readings(pair.left.tokens, pair.right.tokens)):
        try:
            a, b = evaluate(pair.left.tokens, first, values), evaluate(pair.right.tokens, second, values)
        except Unreadable:
            continue
        if equal(a, b, DECIMALS):
            return True, a, b
        sides = sides or (a, b)
    return None if sides is None else (False, *sides)


def _trusted(pair: Pair, letters: frozenset[str]) -> bool:
    """Whether an equation is surely one about the letters' final values: not the curve that a point is sought on."""
    assert pair.left is not None and pair.right is not None  # noqa: PT018, S101
    if len(letters) == 1:
        return True
    if _is_letter(pair):
        return False
    for letter in letters:
        others = {name: Fraction(index + 3) for index, name in enumerate(sorted(letters - {letter}))}
        try:
            if linear_root(pair.left.tokens, pair.right.tokens, letter, USUAL, others) is None:
                return False
        except Unreadable:
            return False
    return True
