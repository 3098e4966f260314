r"""What Math-Verify takes for equal and is not: each refusal with its reason.

It compares numbers to six decimals, drops units and bases, and reads letters as factors in any order.
"""

from __future__ import annotations

import re
from typing import Any

from presat.answers.units import quantity

OTHER_QUANTITY = "another quantity"
OTHER_BASE = "another base"
OTHER_ORDER = "another order"
OTHER_SIZE = "numbers of another size"
FALSE_EQUATION = "an equation that does not hold"
DENIED = "the answer is denied"

RELATIVE = 1e-5
"""Numbers that differ by more than this share of the larger one are not equal, however small they are."""

_BASE = re.compile(r"([0-9A-Fa-f]+)_\{?(\d+)\}?")
_LETTERS = re.compile(r"[A-Z]{2,}")
_LIST = re.compile(r"[A-Z](?:\s*[,<>]\s*[A-Z])+")
_DENIAL = re.compile(r"\b(?:not|isn't|never|cannot|no longer)\b", re.IGNORECASE)


def refuse_text(gold: str, answer: str) -> str | None:
    """Return why two answers in normal form differ by their text alone, None where that says nothing."""
    if _DENIAL.search(answer) and not _DENIAL.search(gold):
        return DENIED
    bases = [_BASE.fullmatch(text.replace(" ", "")) for text in (gold, answer)]
    if all(bases) and len({found.groups() for found in bases if found}) > 1:
        return OTHER_BASE
    if all(_LETTERS.fullmatch(text) for text in (gold, answer)) and gold != answer:
        return OTHER_ORDER
    if all(_LIST.fullmatch(text) for text in (gold, answer)):
        ours, theirs = (re.findall(r"[A-Z]", text) for text in (gold, answer))
        if ours != theirs and (ours != sorted(ours) or "<" in gold or ">" in gold):
            return OTHER_ORDER
    sizes = [quantity(text) for text in (gold, answer)]
    return OTHER_QUANTITY if all(sizes) and sizes[0] != sizes[1] else None


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
