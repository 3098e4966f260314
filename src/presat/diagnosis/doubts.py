"""Why an equality that does not hold may still not be a mistake: what people write that is meant otherwise.

Numbers that were rounded before, the pages 5-12, sums that go on (`5 + 3 = 8 + 2 = 10`), what is asked or taken back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from presat.diagnosis.arithmetic import Number, Unreadable, evaluate
from presat.diagnosis.sides import Piece
from presat.diagnosis.tokens import Token
from presat.diagnosis.vocabulary import DOUBT_AROUND

_PARTS = frozenset(("part", "share", "unit", "portion", "ratio"))
"""What is worth something else: `2 + 3 parts = 50`."""
_SIMPLE = (3, 6, 7, 9, 11, 12)
"""Denominators of fractions that people round before they calculate on with them."""
_ASKED = re.compile(r"(?:[^.!?\n]|\.(?=\d)){0,60}\?")
_TAKEN_BACK = re.compile(
    r"(?:[^.!?\n]{0,40}[.!?\n…—-][\s.!?…—-]*|[^\w\n]{0,10})"
    r"(?:[✗✘❌]|(?:no|nope|wait|hmm+|oops|actually|sorry|scratch|correction|let me (?:re|correct|check|redo))\b)",
    re.IGNORECASE,
)


LONGEST_REST = 8
"""Letters and digits behind a statement from which on its paragraph says what there is to say of it."""
_NEEDED = re.compile(
    r"need|must|should|require|\bif\b|suppos|assum|\btr[yi]|contradict|impossib|absurd|violat|invalid|reject|discard|fail|"
    r"wrong|false|mistake|whether|until|while|loop|\bwant|\bmod|condition|verif|check|claim|order|rank",
    re.IGNORECASE,
)
"""Around an inequality, these say that it is asked for, tried or ruled out."""


def wanted(text: str, start: int, end: int, sign: str) -> bool:
    """Whether words around an inequality say that it is asked for, tried or ruled out, in its sentence or the next.

    Args:
        text: where it stands.
        start: where it begins.
        end: where it ends.
        sign: its sign: what is said to differ goes together with `not` without any doubt.
    """
    after = text[end : end + 120]
    first = after.split("\n\n", maxsplit=1)[0]
    if sum(character.isalnum() for character in first) >= LONGEST_REST:
        after = first  # what stands by itself is spoken of in the next paragraph
    before = text[max(0, start - 80) : start]
    sentence = re.split(r"[.]\s", before)[-1]
    denied = sign != "!=" and DOUBT_AROUND.search(sentence + " # " + after) is not None
    return denied or _NEEDED.search(before + " # " + after) is not None or taken_back(text, end)


def excused(left: Piece, right: Piece, sign: Token, value: Number, last: Number) -> bool:
    """Whether two sides that differ may have been meant to.

    Args:
        left: the left side.
        right: the right side.
        sign: the relation between them.
        value: of the left side.
        last: of the right side.
    """
    return (
        len(left.units | right.units) > 1
        or _is_worth(left, right)
        or _goes_on_from(value, right)
        or _whole_part(value, last, left, right)
        or _takes_percent(left)
        or _takes_percent(right)
        or _is_range(left, right)
        or _of_rounded(left, last)
        or _of_thousands(left, right)
        or (left.tokens[-1].kind == "fact" and left.tokens[-1].end == sign.start)  # 3!=5: they differ
    )


def doubtful(text: str, start: int, end: int) -> bool:
    """Whether words around a statement say that it is rounded, tried, supposed or denied."""
    return DOUBT_AROUND.search(around(text, start, end)) is not None


def taken_back(text: str, end: int) -> bool:
    """Whether a statement that ends there is a question, or is taken back right behind: `3 * 7 = 22? No, 21`."""
    after = text[end : end + 100]
    return _ASKED.match(after) is not None or _TAKEN_BACK.match(after) is not None


def around(text: str, start: int, end: int) -> str:
    """The sentence that a statement stands in, as far as 80 characters before and 60 after it."""
    before = re.split(r"\n|\. ", text[max(0, start - 80) : start])[-1]
    after = re.split(r"\n\n|\. ", text[end : end + 60])[0]
    return before + " # " + after


def _is_worth(left: Piece, right: Piece) -> bool:
    """Whether a side says what something is worth, and not how much of it there is: `4 hours = 4 * 60`."""
    if any(len(piece.tokens) == 1 and piece.units for piece in (left, right)) and left.units != right.units:
        return True
    alone = len(left.tokens) == 1 and bool(left.counted)
    return (alone or bool(left.counted & _PARTS)) and left.counted != right.counted


def _goes_on_from(value: Number, right: Piece) -> bool:
    """Whether the right side calculates on from the left one's value: `5 + 3 = 8 + 2 = 10`, sloppy, and understood."""
    lead = right.tokens[1:] if right.tokens[0].text == "-" else right.tokens
    sign = -1 if len(lead) < len(right.tokens) else 1
    return len(lead) > 1 and lead[0].kind == "num" and lead[1].kind == "op" and sign * lead[0].value == value


def _whole_part(value: Number, last: Number, left: Piece, right: Piece) -> bool:
    """Whether the right side is a whole number next to the left one's quotient: `100 / 3 = 33` boxes are full."""
    near = last % 1 == 0 and value % 1 != 0 and abs(value) > 1 and abs(value - last) < 1
    return near and left.operations == 1 and len(right.tokens) == 1


def _takes_percent(piece: Piece) -> bool:
    """Whether a percentage is added or taken away, of whatever stands before it: `100 - 15% = 85`."""
    tokens = piece.tokens
    return any(
        token.kind == "percent" and place > 1 and tokens[place - 2].text in ("+", "-")
        for place, token in enumerate(tokens)
    )


def _is_range(left: Piece, right: Piece) -> bool:
    """Whether a hyphen may stand for `to`, and the right side counts what lies between: `Pages 5-12 = 8 pages`."""
    if [token.kind for token in left.tokens] != ["num", "op", "num"] or len(right.tokens) != 1:
        return False
    first, sign, final = left.tokens
    span = final.value - first.value
    if sign.text != "-" or span <= 0:
        return False
    tight = first.end == sign.start and sign.end == final.start
    return right.tokens[0].value in ((span, span + 1) if tight else (span + 1,))


def _of_rounded(left: Piece, last: Number) -> bool:
    """Whether the right side is exact once a rounded number of the left one is the fraction it stands for.

    `33% of 90 = 30`, and `0.67 * 60 = 40`.
    """
    return any(_value(tokens) == last for tokens in _unrounded(left.tokens))


def _unrounded(tokens: tuple[Token, ...]) -> Iterator[tuple[Token, ...]]:
    for place, token in enumerate(tokens):
        percent = place + 1 < len(tokens) and tokens[place + 1].kind == "percent"
        digits = token.decimals + 2 * percent
        if token.kind != "num" or token.decimals < 0 or digits < 2:
            continue
        scale = 100 if percent else 1
        for below in _SIMPLE:
            exact = Fraction(round(token.value / scale * below), below)
            if exact * scale != token.value and abs(exact - token.value / scale) < Fraction(1, 10**digits):
                yield (*tokens[:place], token._replace(value=exact * scale), *tokens[place + 1 :])


def _of_thousands(left: Piece, right: Piece) -> bool:
    """Whether both sides agree once their points part thousands, as in much of Europe: `1.000 + 500 = 1.500`."""
    a, b = (tuple(map(_whole, piece.tokens)) for piece in (left, right))
    return (a, b) != (left.tokens, right.tokens) and (value := _value(a)) is not None and value == _value(b)


def _whole(token: Token) -> Token:
    parted = token.kind == "num" and token.decimals == 3 and 1 <= token.value < 1000
    return token._replace(value=token.value * 1000, decimals=0) if parted else token


def _value(tokens: tuple[Token, ...]) -> Number | None:
    try:
        return evaluate(tokens)
    except Unreadable:
        return None
