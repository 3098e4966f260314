r"""Inequalities between numbers: `7 > 9`, `26/41 < 5/9`, `162 - 108 - 45 - 6 - 3 \neq 0`.

Sound reasoning states false ones, to rule them out; so words that say anything of that kind, near by, are enough.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator

from presat.diagnosis.algebra import letters_of
from presat.diagnosis.arithmetic import USUAL, Number, Unreadable, evaluate
from presat.diagnosis.doubts import wanted
from presat.diagnosis.sides import Piece, comparisons
from presat.diagnosis.statements import VERY_CLOSE, Statement, readings, shown

_HOLDS = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}


def inequalities(text: str) -> Iterator[Statement]:
    """Every inequality between numbers in a text, with its verdict."""
    for left, relation, right in comparisons(text):
        if letters_of(left.tokens) or letters_of(right.tokens):
            continue
        start, end = left.tokens[0].start, right.tokens[-1].end
        try:
            values = evaluate(left.tokens), evaluate(right.tokens)
        except Unreadable:
            continue
        true = _holds(left, right, relation.text)
        if true or (
            left.clear
            and right.clear
            and not (left.units or right.units)
            and not wanted(text, start, end, relation.text)
        ):
            said = f"the left side is {shown(values[0])}, the right side {shown(values[1])}"
            yield Statement(start, end, " ".join(text[start:end].split()), true, said, calculated=False)


def _holds(left: Piece, right: Piece, sign: str) -> bool:
    """Whether an inequality holds in one reading of its sides, or nearly."""
    for first, second in ((USUAL, USUAL), *readings(left.tokens, right.tokens)):
        try:
            if _compare(evaluate(left.tokens, first), evaluate(right.tokens, second), sign):
                return True
        except (Unreadable, OverflowError):
            continue
    return False


def _compare(a: Number, b: Number, sign: str) -> bool:
    near = abs(float(a) - float(b)) <= VERY_CLOSE * max(1.0, abs(float(a)), abs(float(b)))
    if sign == "!=":
        return not near
    return near if sign in ("<=", ">=") and near else _HOLDS[sign](a, b)
