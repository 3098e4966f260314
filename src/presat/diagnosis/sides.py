"""Where the sides of an equality begin and end in a text: chains of them, and what of a side can be read.

A side in running text is cut at words, commas and brackets that open elsewhere; units and words in brackets are left
out of it. What makes its ends doubtful is kept with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from presat.diagnosis.arithmetic import Number
from presat.diagnosis.tokens import INEQUALITIES, Token, tokens_of
from presat.diagnosis.vocabulary import DOUBT_AFTER, DOUBT_BEFORE, NO_UNITS, OPERATIONS, UNITS

LONGEST_SIDE = 160
"""Tokens; longer sides are not read."""
LONGEST_TEXT = 40_000
"""Characters; the rest of a text is not read."""
DECIMAL_COMMA = "1,5"
MOST_WORDS = 4
"""Words of a unit."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A readable end of one side: what of it touches a relation.

    Attributes:
        tokens: the expression.
        clear: whether where it begins (or ends) is beyond doubt.
        units: kinds of units that were left out.
        counted: every word that was left out as what is counted, without its plural.
        operations: how much there is to calculate.
    """

    tokens: tuple[Token, ...]
    clear: bool
    units: frozenset[int]
    counted: frozenset[str]
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


def equalities(text: str) -> list[Pair]:
    """Every relation of equality in a text with what stands on its sides, in order."""
    found: list[Pair] = []
    for sides, relations in chains(tokens_of(text[:LONGEST_TEXT])):
        modulus, begin = _modulus(sides[-1])
        sides[-1] = sides[-1][:begin]
        lefts, rights = [_left_piece(side) for side in sides[:-1]], [_right_piece(side) for side in sides[1:]]
        first = 0
        for index in range(len(relations)):  # runs of them that words do not part: `a = 2 and b = 3`
            if index + 1 < len(relations) and _tokens(rights[index]) == _tokens(lefts[index + 1]):
                continue
            final, length = rights[index], index + 1 - first
            end = final.tokens[-1].end if final is not None else relations[index].end
            for place in range(first, index + 1):
                pair = Pair(lefts[place], rights[place], relations[place], length, final, end, modulus)
                found.append(pair)
            first = index + 1
    return found


def comparisons(text: str) -> list[tuple[Piece, Token, Piece]]:
    """Every inequality in a text of which both sides can be read: the left one, its sign, the right one."""
    found: list[tuple[Piece, Token, Piece]] = []
    for sides, relations in chains(tokens_of(text[:LONGEST_TEXT]), frozenset("?")):
        for place, relation in enumerate(relations):
            if relation.text in INEQUALITIES:
                left, right = _left_piece(sides[place]), _right_piece(sides[place + 1])
                if left is not None and right is not None:
                    found.append((left, relation, right))
    return found


def _tokens(piece: Piece | None) -> tuple[Token, ...] | None:
    return None if piece is None else piece.tokens


def chains(
    tokens: Sequence[Token], parting: frozenset[str] = INEQUALITIES | frozenset("?")
) -> Iterator[tuple[list[list[Token]], list[Token]]]:
    """Sides and the relations between them, of every run of tokens with a relation in it.

    Args:
        tokens: of a text.
        parting: relations that are in no run: the sides of an inequality are each other's neighbours.
    """
    sides: list[list[Token]] = [[]]
    relations: list[Token] = []
    depth = 0
    for place, token in enumerate(tokens):
        after = tokens[place + 1] if place + 1 < len(tokens) else None
        depth += (token.kind == "open") - (token.kind == "close")
        if token.kind == "comma" and after is not None and sides[-1] and tight(sides[-1][-1], token, after):
            token = token._replace(text=DECIMAL_COMMA)
        ends = token.kind == "break" and not _goes_on(token, sides[-1], after, relations)
        if ends or (token.kind == "comma" and depth <= 0):
            if relations:
                sides[-1].append(token)
                yield sides, relations
            sides, relations = [[token]], []
            depth = 0
        elif token.kind == "rel" and token.text in parting:
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


def tight(before: Token, comma: Token, after: Token) -> bool:
    """Whether a comma stands between digits without a space: it may be a decimal one."""
    return before.kind == after.kind == "num" and before.end == comma.start and comma.end == after.start


def _goes_on(token: Token, side: Sequence[Token], after: Token | None, relations: Sequence[Token]) -> bool:
    """Whether a statement goes on across this end of a line."""
    if token.text != "line":
        return False
    if after is not None and after.kind == "rel":
        return True
    return bool(relations) and not side and after is not None and after.kind in ("num", "open", "func", "letter")


def _modulus(side: Sequence[Token]) -> tuple[Number | None, int]:
    r"""The n of a last `(mod n)`, and where in the side it begins; zero where it cannot be read."""
    for place, token in enumerate(side):
        if token.text == "mod" and token.kind == "op":
            rest = [item for item in side[place + 1 :] if item.kind in ("num", "letter")]
            begin = place - 1 if place and side[place - 1].kind == "open" else place
            return (rest[0].value if rest and rest[0].kind == "num" else Fraction(0)), begin
    return None, len(side)


def _left_piece(side: Sequence[Token]) -> Piece | None:
    """What of a side stands left of a relation: its readable end."""
    tokens, units, counted = without_units(side)
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
    if before is not None and before.text == DECIMAL_COMMA:
        return None
    if before is not None and before.kind == "word" and piece and before.end == piece[0].start:  # cost(2)
        return None
    clear = before is None or before.kind != "word" or before.text.lower() not in DOUBT_BEFORE
    if before is not None and before.kind == "word" and len(piece) == 1:
        clear = clear and before.text.lower() in NO_UNITS  # Day 2 = 5 + 3
    if before is not None and before.kind == "open":
        clear = clear and (cut < 2 or tokens[cut - 2].kind in ("break", "comma", "word"))
    if piece and piece[0].kind == "op" and not piece[0].apart:
        sign, begins = piece[0].text, before is None or before.text == "line"
        if begins and len(piece) > 1 and piece[1].start > piece[0].end:  # the point of a list, or a sign
            piece, clear = piece[1:], False
        elif sign != "-" or (before is not None and before.kind in ("word", "break")):
            return None
    return _piece(piece, clear, units, counted)


def _right_piece(side: Sequence[Token]) -> Piece | None:
    tokens, units, counted = without_units(side)
    cut, depth = len(tokens), 0
    for place, token in enumerate(tokens):
        depth += (token.kind == "open") - (token.kind == "close")
        if depth < 0 or token.kind in ("word", "break", "rel") or (token.kind == "comma" and depth == 0):
            if depth > 0:
                return None
            cut = place
            break
    after = tokens[cut] if cut < len(tokens) else None
    if after is not None and after.text == DECIMAL_COMMA:
        return None
    if after is not None and after.kind == "word" and cut and after.text.lower() not in UNITS:
        product = after.start == tokens[cut - 1].end or after.text.isupper()  # its letters
        if product:
            return None
    clear = after is None or after.kind != "word" or after.text.lower() not in DOUBT_AFTER
    if after is not None and after.text == "and" and cut + 1 < len(tokens):  # `8 and a half`, not `8 and y = 3`
        goes_on = tokens[cut + 1]
        clear = goes_on.kind in ("func", "open", "letter") and goes_on.text not in ("a", "frac")
    return _piece(tokens[:cut], clear, units, counted)


def _piece(tokens: Sequence[Token], clear: bool, units: frozenset[int], counted: frozenset[str]) -> Piece | None:
    if not tokens or len(tokens) > LONGEST_SIDE or any(token.kind in ("opaque", "break") for token in tokens):
        return None
    operations = sum(
        token.kind in ("fact", "percent", "base", "func") or (token.kind == "op" and place > 0)
        for place, token in enumerate(tokens)
    )
    return Piece(tuple(tokens), clear, units, counted, operations)


def without_units(side: Sequence[Token]) -> tuple[list[Token], frozenset[int], frozenset[str]]:
    """A side without the units behind its numbers and words in brackets; the kinds of those units; their words."""
    found: list[Token] = []
    units: set[int] = set()
    counted: set[str] = set()
    place = 0
    while place < len(side):
        token = side[place]
        closing = _comment(side, place) if found and token.text == "(" else None
        if closing is not None:
            place = closing + 1
        elif token.kind != "word":
            found.append(token)
            place += 1
        else:
            end = place
            while end < len(side) and side[end].kind == "word" and end - place < MOST_WORDS:
                end += 1
            units.update(UNITS[word.text.lower()] for word in side[place:end] if word.text.lower() in UNITS)
            before, run = len(found), side[place:end]
            place = _take_words(side, place, end, found)
            if len(found) == before:
                counted.update(word.text.lower().removesuffix("s") for word in run)
    return found, frozenset(units), frozenset(counted)


def _take_words(side: Sequence[Token], place: int, end: int, found: list[Token]) -> int:
    """Put what the words of a side from `place` to `end` stand for behind what was found; return where to go on."""
    run = side[place:end]
    after = side[end] if end < len(side) else None
    said = " ".join(word.text.lower() for word in run)
    behind_number = bool(found) and found[-1].kind in ("num", "close", "percent")
    if len(found) > 1 and found[-1].text == "/" and found[-2].kind in ("num", "close"):  # $6.00/plate
        found.pop()
    elif (
        behind_number
        and said in OPERATIONS
        and (said != "of" or _is_part(found))
        and after is not None
        and after.kind in ("num", "open", "func")
    ):
        found.append(run[0]._replace(kind="op", text=OPERATIONS[said]))
    elif behind_number and _is_unit(run, found[-1], after):
        if after is not None and after.text == "^":  # cm^2: the power goes with it
            return end + (4 if end + 1 < len(side) and side[end + 1].kind == "open" else 2)
    else:
        found.extend(run)
    return end


def _is_part(found: Sequence[Token]) -> bool:
    """Whether what ends here is a part `of` something: a percentage or a fraction."""
    return found[-1].kind in ("percent", "close") or (len(found) > 1 and found[-2].text == "/")


def _is_unit(words: Sequence[Token], before: Token, after: Token | None) -> bool:
    """Whether words behind a number are what is counted: not the letters of a product, nor words that calculate."""
    names = [word.text.lower() for word in words]
    if any(name in DOUBT_BEFORE or name in DOUBT_AFTER or name in NO_UNITS for name in names):
        return False
    glued = words[0].start == before.end  # `3ab`
    if (glued or words[0].text.isupper()) and names[0] not in UNITS:
        return False
    if after is not None and after.text == "^":
        return names[-1] in UNITS
    return after is None or after.kind in ("op", "close", "rel", "break", "comma")


def _comment(side: Sequence[Token], place: int) -> int | None:
    """Where the bracket that opens here closes, if only words stand in it."""
    for end in range(place + 1, min(place + 12, len(side))):
        if side[end].kind == "close":
            return end if end > place + 1 and any(item.kind == "word" for item in side[place + 1 : end]) else None
        if side[end].kind not in ("word", "letter", "comma"):
            return None
    return None
