r"""What Math-Verify takes for equal and is not: each refusal with its reason.

It compares numbers to six decimals, drops units and bases, and reads letters as factors in any order.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from presat.answers.units import quantities, unit_at_end, unit_symbol, units_differ

OTHER_QUANTITY = "another quantity"
OTHER_BASE = "another base"
OTHER_ORDER = "another order"
OTHER_SIZE = "numbers of another size"
FALSE_EQUATION = "an equation that does not hold"
NO_STATEMENT = "an equation that says nothing"
DENIED = "the answer is denied"
NOT_SOLVED = "an equation that is not solved"
OTHER_RELATION = "another relation"
OPEN_LIST = "a list that is left open"
BOX_WITHIN = "a box within the answer"
OVERGROWN = "no answer is so long"
NOT_SHOWN = "a number that is not shown as it stands"

LONG, DEEP = 300, 40
"""Characters and brackets within brackets beyond which an answer is none, unless its gold one is as long."""

RELATIVE = 1e-5
"""Numbers that differ by more than this share of the larger one are not equal, however small they are."""

_BASE = re.compile(r"\(?([0-9A-Fa-f]+)\)?_\{?\(?(?:\\text\{)?(\w+?)\}?\)?\}?")
_WORDS = {
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
}
_LETTERS = re.compile(r"[A-Z]{2,}")
_LIST = re.compile(r"[A-Z](?:\s*[,<>]\s*[A-Z])+")
_DENIAL = re.compile(r"\b(?:not|isn't|never|cannot|no longer)\b|\\(?:neq?|not)(?![A-Za-z])", re.IGNORECASE)
_ELLIPSIS = re.compile(r"\\[lc]?dots(?![A-Za-z])|\.\.\.|…")
_OPEN_END = re.compile(r"(?:\.\.\.|…)[\s$.})]{0,9}$")
_HIDDEN = re.compile(r"\\(?:[hv]?phantom|[xb]?cancel|sout|st)(?![A-Za-z])")
_PRIMED = re.compile(r"[\d)}]\s?(?:'|\^\s?\{?\s?\\prime)['}\s]*$")
_BARRED = re.compile(
    r"\\(?:bar|overline|(?:wide)?(?:hat|tilde)|check|vec|d?dot|breve|acute|grave)\s?(?:\d|\{\s?\d+\s?\})"
)
_REPEATING = re.compile(r"\d\s*\\(?:bar|overline)")
_RELATION = re.compile(r"[<>~]|\\(?:[lg]eq?|[lg]t|ll|gg|subset(?:eq)?|in|propto|neg)(?![A-Za-z])")
_QUALIFIERS = {
    "plus", "minus", "times", "squared", "cubed", "factorial", "inverse", "reciprocal", "half", "halves", "third",
    "thirds", "tenth", "tenths", "hundredth", "hundredths", "dozen", "hundred", "negative", "below", "wrong", "false",
    "incorrect", "otherwise", "i", "pi", "less", "more", "fewer", "least", "most", "doubled", "tripled", "quadrupled",
    "halved", "twice", "thrice", "double", "triple", "quarter", "quarters", "fourth", "fourths", "fifth", "fifths",
    "sixth", "sixths", "seventh", "sevenths", "eighth", "eighths", "ninth", "ninths", "permille", "mille", "ppm",
    "ppb", "except", "exceeds", "thousandth", "thousandths", "millionth", "millionths", "billionth", "billionths",
    "twentieth", "twentieths",
}  # fmt: skip
"""Words beside a number that make another of it; Math-Verify drops them as it drops units."""
_ASKED_FOR = {"permille", "mille", "ppm", "ppb", "more", "less", "fewer"}
"""Those that a gold answer may have alone: the question names them."""
_OF_UNITS = {"squared", "cubed"}
_TEXT = re.compile(r"\\(?:text|mathrm|textrm|mbox)\s*\{([^{}]*)\}")
_CLOCK = re.compile(r"(\d?\d:\d\d)\s*(?:\\text\s*\{)?\s*([ap])?\.?\s*m?\.?\s*\}?", re.IGNORECASE)
_FULL_HOUR = re.compile(r"(\d?\d)\s*(?:\\text\s*\{)?\s*([ap])\.?\s*m\.?\s*\}?", re.IGNORECASE)
_RATIO = re.compile(r"\d+(?:\.\d+)?(?:\s*:\s*\d+(?:\.\d+)?)+")
_TO = re.compile(r"\d+(?:\.\d+)?(?:\s*(?:\\(?:text|mathrm)\s*\{\s*to\s*\}|\bto\b)\s*\d+(?:\.\d+)?)+")
_QUOTIENT = re.compile(r"\d+\s*/\s*\d+|\\frac\s*\{\d+\}\s*\{\d+\}")
_DECIMAL = re.compile(r"\d+(?:\.\d+)?")
_REMAINDER = re.compile(
    r"(\d{1,15})\s*,?\s*(?:\\(?:text|mathrm|textrm)\s*\{\s*)?"
    r"(?:R\.?|r\.?|(?:with |and )?\s*(?:a )?rem(?:ainder|\.)?(?: of)?)\s*\}?"
    r"\s*(\d{1,15})"
)
"""`7 remainder 2`, `7 R 2`, `7r2`."""
_UNSOLVED = re.compile(r"\s*(?:[+-]?\d|-)|.*\^|.*/|\s*\\(?:frac|sqrt|log|ln|sin|cos|tan)(?![A-Za-z])", re.DOTALL)
_PLAIN = re.compile(r"[+-]?\d+(?:\.\d+)?")


def refuse_unread(gold: str, answer: str) -> str | None:
    """Return why an answer is none as it stands: too long or too deep to be read for seconds, or left open."""
    if _OPEN_END.search(answer) and not _ELLIPSIS.search(gold):
        return OPEN_LIST
    depth = deepest = 0
    for character in answer:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    long = len(answer) > LONG and len(answer) > 10 * len(gold)
    return OVERGROWN if deepest > DEEP or long else None


def refuse_text(gold: str, answer: str) -> str | None:
    """Return why two answers in normal form differ by their text alone, None where that says nothing."""
    if "\\boxed" in answer:
        return BOX_WITHIN
    for mark, reason in ((_DENIAL, DENIED), (_ELLIPSIS, OPEN_LIST)):
        if mark.search(answer) and not mark.search(gold):
            return reason
    if _hidden(answer) and not _hidden(gold):
        return NOT_SHOWN
    if _RELATION.match(answer) and not (_RELATION.search(gold) or gold[:1] in "(["):
        return OTHER_RELATION
    if _letters_differ(gold, answer):
        return OTHER_ORDER
    ours, theirs = _qualifiers(gold), _qualifiers(answer)
    if theirs not in (ours, (ours[0] - _ASKED_FOR, ours[1])):
        return OTHER_QUANTITY
    return _of_numbers(gold, answer) or _unsolved(gold, answer)


def _hidden(text: str) -> bool:
    """Whether a number has a mark that hides it or makes another of it: a phantom, a prime, a bar."""
    barred = _BARRED.search(text) and not _REPEATING.search(text)
    return bool(_HIDDEN.search(text) or _PRIMED.search(text) or barred)


def _letters_differ(gold: str, answer: str) -> bool:
    """Whether letters that stand for points or people, and mean something in their order, stand in another one."""
    if all(_LETTERS.fullmatch(text.replace(" ", "")) for text in (gold, answer)) and _LETTERS.fullmatch(gold):
        return gold != answer
    if not all(_LIST.fullmatch(text) for text in (gold, answer)):
        return False
    ours, theirs = (re.findall(r"[A-Z]", text) for text in (gold, answer))
    return ours != theirs and (ours != sorted(ours) or "<" in gold or ">" in gold)


def _qualifiers(text: str) -> tuple[set[str], bool]:
    """Words that change a number, and whether there are digits in a text command."""
    words = {word.lower() for part in _TEXT.findall(text) for word in re.findall(r"[A-Za-z]+", part)}
    plain = _TEXT.sub(" ", text)
    words |= {word.lower() for word in re.findall(r"(?<![\\A-Za-z])[A-Za-z]{3,}", plain)}
    if unit_at_end(text):
        words -= _OF_UNITS
    return words & _QUALIFIERS, any(re.search(r"\d", part) for part in _TEXT.findall(text))


def _of_numbers(gold: str, answer: str) -> str | None:
    """Another base or another quantity."""
    bases = [_BASE.fullmatch(text.replace(" ", "")) for text in (gold, answer)]
    named = [(found[1], _WORDS.get(found[2], found[2])) if found else None for found in bases]
    if named[1] and named[0] != named[1] and (named[0] or named[1][1] != "10") and (named[0] or gold.isalnum()):
        return OTHER_BASE
    ours, theirs = quantities(gold), quantities(answer)
    if ours and theirs:
        return None if ours & theirs else OTHER_QUANTITY
    differ = units_differ(gold, answer)
    if differ is not None:
        return OTHER_QUANTITY if differ else None
    symbols = [unit_symbol(text) for text in (gold, answer)]
    return OTHER_QUANTITY if all(symbols) and symbols[0] != symbols[1] else None


def same_labels(gold: str, answer: str) -> bool | None:
    """Whether numbers with a role each (a time of day, a ratio, a remainder) are the same; None where none are."""
    ours, theirs = _clock(gold), _clock(answer)
    if ours and (theirs or ":" in gold):
        return theirs is not None and ours[0] == theirs[0] and _same_half(ours[1], theirs[1])
    left = [_REMAINDER.fullmatch(text) for text in (gold, answer)]
    if left[0] or (left[1] and _PLAIN.fullmatch(gold)):
        return bool(left[0] and left[1] and [*map(int, left[0].groups())] == [*map(int, left[1].groups())])
    ratios = [_ratio(text) for text in (gold, answer)]
    said = [bool(_TO.fullmatch(text)) for text in (gold, answer)]
    if not any(said) and not any(ratio and len(ratio) > 2 for ratio in ratios):
        return None
    first, second = ratios
    if not first or not second or all(said):  # `3 to 6` may be a range
        return first == second and first is not None
    return len(first) == len(second) and all(a * second[0] == b * first[0] for a, b in zip(first, second, strict=True))


def _ratio(text: str) -> tuple[Fraction, ...] | None:
    """The numbers of a ratio as they are written: `3:1`, `3 to 1`, `3/1`."""
    said = _TO.fullmatch(text) or _RATIO.fullmatch(text) or _QUOTIENT.fullmatch(text)
    return tuple(Fraction(number) for number in _DECIMAL.findall(text)) if said else None


def _same_half(one: str, other: str) -> bool:
    """Whether two halves of the day may be one: either may be left out, but 15:00 is not 3:00."""
    return one.lower() == other.lower() or ("" in (one, other) and not (one + other).isupper())


def _clock(text: str) -> tuple[int, str] | None:
    """A time of day: minutes on a clock's face, and `a` or `p` where it is said, `A` or `P` where its hours say it."""
    found = _CLOCK.fullmatch(text) or _FULL_HOUR.fullmatch(text)
    if not found:
        return None
    hours, _, minutes = found[1].partition(":")
    half = (found[2] or "").lower()
    if not half and (int(hours) > 12 or int(hours) == 0):
        half = "P" if int(hours) else "A"
    return int(hours) % 12 * 60 + int(minutes or 0), half


def _unsolved(gold: str, answer: str) -> str | None:
    """An equation for the answer that gives something else than it, or gives it two values."""
    if "=" not in answer:
        return None
    if "=" in gold:
        letters = [re.search(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+", "", text)) for text in (gold, answer)]
        return NO_STATEMENT if letters[0] and not letters[1] else None
    left, *rest = answer.split("=")
    if any(part.strip() == left.strip() for part in rest):
        return NO_STATEMENT
    numbers = [part.strip() for part in (left, *rest) if _PLAIN.fullmatch(part.strip())]
    if len({float(number) for number in numbers}) > 1:
        return FALSE_EQUATION
    return NOT_SOLVED if re.search(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+", "", left)) and _UNSOLVED.match(left) else None


def refuse_values(golds: list[Any], answers: list[Any]) -> str | None:
    """Return why two parsed answers that Math-Verify takes for equal are not, None where nothing is against it.

    Args:
        golds: what Math-Verify parsed the gold answer to, expressions first.
        answers: likewise.
    """
    from sympy import Eq, Expr

    gold, answer = golds[0], answers[0]
    if isinstance(answer, Eq) and not isinstance(gold, Eq) and not answer.free_symbols and _far(answer.lhs, answer.rhs):
        return FALSE_EQUATION
    if isinstance(answer, Eq):
        answer = answer.rhs
    both = isinstance(gold, Expr) and isinstance(answer, Expr)
    return OTHER_SIZE if both and not (gold.free_symbols or answer.free_symbols) and _far(gold, answer) else None


def _far(one: Any, other: Any) -> bool:
    """Whether two numbers differ by more than rounding explains."""
    one, other = one.doit(), other.doit()
    gap = (one / other - 1 if other != 0 else one).evalf(20)
    size = gap.as_real_imag() if gap.is_number and gap.is_finite else ()
    return any(abs(part) > RELATIVE for part in size)
