"""Math-Verify made quicker without another verdict, in a worker.

Three things it does over and over, or at more length than its verdict takes:

- It reads LaTeX with the full context of the grammar. ANTLR's quick mode (SLL) finds the same tree or none; where it
  finds none the full one is asked, as before.
- It simplifies the difference of two expressions to see whether that is zero. One that has a value other than zero is
  not, however it is simplified.
- It keeps what it read of the last 20 texts; more of them are kept here.

`tests/verify/test_quick.py` holds both ways to equal verdicts.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any

import math_verify.grader
import math_verify.parser
import sympy
from antlr4 import PredictionMode
from latex2sympy2_extended import latex2sympy2

KEPT = 4096
"""Texts whose reading is kept."""
POINTS = (101, 103, 107, 109, 113, 127, 131, 137)
"""Values of the variables, in the order of their names: every variable of a response may have them."""
DEGREE, BITS = 64, 10_000
"""Powers and numbers beyond these are not worked out."""

_Reader: Any = latex2sympy2._Latex2Sympy
_PLAIN: dict[tuple[Any, str], Any] = {
    (_Reader, "create_parser"): _Reader.create_parser,
    (math_verify.grader, "simplify"): math_verify.grader.simplify,
    (math_verify.parser, "parse_latex_cached"): math_verify.parser.parse_latex_cached,
    (math_verify.parser, "parse_expr_cached"): math_verify.parser.parse_expr_cached,
}


def quicken() -> None:
    """Have Math-Verify work the quick way in this process."""
    quick: dict[str, Callable[..., Any]] = {"create_parser": _create_parser, "simplify": _simplify}
    for (owner, name), plain in _PLAIN.items():
        setattr(owner, name, quick.get(name) or lru_cache(KEPT)(plain.__wrapped__))


def slow_down() -> None:
    """Have Math-Verify work as it does by itself."""
    for (owner, name), plain in _PLAIN.items():
        setattr(owner, name, plain)


def _create_parser(reader: Any, latex: str) -> Any:
    """Return a parser whose rule `math` tries the quick mode first."""
    create = _PLAIN[_Reader, "create_parser"]
    parser = create(reader, latex)
    whole = parser.math

    def math() -> Any:
        quick = create(reader, latex)
        quick._interp.predictionMode = PredictionMode.SLL
        try:
            return quick.math()
        except Exception:  # noqa: BLE001  (the full mode says what there is to say)
            return whole()

    parser.math = math
    return parser


def _simplify(difference: Any) -> Any:
    """Return the simplified difference, or the difference as it is where it is surely not zero."""
    return difference if differs(difference) else _PLAIN[math_verify.grader, "simplify"](difference)


def differs(difference: Any) -> bool:
    """Whether an expression is surely not zero.

    That is known of exact constants, by sympy's own judgement, and of sums, products and whole powers of exact numbers
    and variables, by their value at one point.
    """
    if not isinstance(difference, sympy.Expr) or difference.has(sympy.Float):
        return False
    if not difference.free_symbols:
        return difference.is_zero is False
    names = sorted(difference.free_symbols, key=str)
    if len(names) > len(POINTS):
        return False
    return bool(_value(difference, dict(zip(names, map(Fraction, POINTS), strict=False))))


def _value(expression: Any, at: dict[Any, Fraction]) -> Fraction | None:
    """The exact value of an expression; None where it has another part than these, or a large one."""
    if isinstance(expression, sympy.Rational):
        return Fraction(int(expression.p), int(expression.q))
    if type(expression) is sympy.Symbol:
        return at.get(expression)
    if type(expression) not in (sympy.Add, sympy.Mul, sympy.Pow):
        return None
    values = [_value(part, at) for part in expression.args]
    if None in values:
        return None
    first, *others = (value for value in values if value is not None)
    if isinstance(expression, sympy.Pow):
        return _power(first, others[0])
    step = Fraction.__add__ if isinstance(expression, sympy.Add) else Fraction.__mul__
    for total in itertools.accumulate(others, step, initial=first):
        if _bits(total) > BITS:
            return None
        first = total
    return first


def _power(base: Fraction, exponent: Fraction) -> Fraction | None:
    if exponent.denominator != 1 or abs(exponent) > DEGREE or (not base and exponent < 0):
        return None
    return base ** int(exponent) if _bits(base) * abs(exponent) <= BITS else None


def _bits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()
