"""Exact values of expressions, read from tokens by recursive descent: fractions stay fractions, roots become floats.

People write one thing in several ways: `2 1/2` may be a sum, `1/2(3)` divides by two or by six, `25%` is 25 or a
quarter. `Reading` says which way is taken; who asks tries the others before calling a statement false.
Everything is bounded: the depth of brackets, the size of powers and factorials.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from presat.diagnosis.tokens import Token

Number = Fraction | float

DEEPEST = 30
MOST_BITS = 4000
MOST_FACTORIAL = 150


class Unreadable(Exception):  # noqa: N818  (not a fault of anyone's)
    """The tokens are not one expression that has a value."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How what can be meant in two ways is read; the first value of each is the usual one.

    Attributes:
        percent: a percent sign divides by 100; otherwise it is a unit.
        tight: what is written side by side binds closer than a division sign.
        mixed: a whole number before a fraction is added to it; otherwise it multiplies it.
        negative: `-3^2` is -9; otherwise 9.
        degrees: angles without a sign are radians; otherwise degrees.
        radians: a degree sign is a unit; otherwise it turns degrees into radians.
        base: `log` is to base 10; otherwise natural.
    """

    percent: bool = True
    tight: bool = False
    mixed: bool = True
    negative: bool = True
    degrees: bool = False
    radians: bool = False
    base: bool = True


USUAL = Reading()
ANGLES = {
    "sin": math.sin, "cos": math.cos, "tan": math.tan,
    "cot": lambda x: 1 / math.tan(x), "sec": lambda x: 1 / math.cos(x), "csc": lambda x: 1 / math.sin(x),
}  # fmt: skip


def evaluate(tokens: Sequence[Token], reading: Reading = USUAL, values: Mapping[str, Number] | None = None) -> Number:
    """The value of tokens that are one expression.

    Args:
        tokens: numbers, operators, brackets, functions, letters.
        reading: which way to take what has two meanings.
        values: of letters; a letter without one cannot be read.

    Raises:
        Unreadable: they are not one expression, it has no value, or it is too large.
    """
    parser = _Parser(tokens, reading, values or {})
    try:
        value = parser.sum()
    except (ZeroDivisionError, OverflowError, ValueError) as error:
        raise Unreadable(str(error)) from None
    if parser.place != len(tokens) or (isinstance(value, float) and not math.isfinite(value)):
        raise Unreadable("more than one expression")
    if (
        isinstance(value, Fraction)
        and max(value.numerator.bit_length(), value.denominator.bit_length()) > 2 * MOST_BITS
    ):
        raise Unreadable("too large")  # to be written in digits
    return value


class _Parser:
    def __init__(self, tokens: Sequence[Token], reading: Reading, values: Mapping[str, Number]) -> None:
        self.tokens, self.reading, self.values = tokens, reading, values
        self.place = self.depth = 0

    def peek(self, ahead: int = 0) -> Token | None:
        place = self.place + ahead
        return self.tokens[place] if place < len(self.tokens) else None

    def take(self) -> Token:
        token = self.peek()
        if token is None:
            raise Unreadable("it breaks off")
        self.place += 1
        return token

    def is_op(self, signs: str) -> bool:
        token = self.peek()
        return token is not None and token.kind == "op" and token.text in signs

    def sum(self) -> Number:
        value = self.product()
        while self.is_op("+-"):
            sign = self.take().text
            term = self.product()
            value = value + term if sign == "+" else value - term
        if (token := self.peek()) and token.kind == "op" and token.text == "mod":
            self.take()
            by = self.product()
            if not isinstance(value, Fraction) or not isinstance(by, Fraction) or by.denominator != 1 or by <= 0:
                raise Unreadable("mod")
            return value % by
        return value

    def product(self) -> Number:
        value = self.side_by_side(self.signed())
        while self.is_op("*/"):
            divides = self.take().text == "/"
            factor = self.signed()
            if self.reading.tight or not divides:
                factor = self.side_by_side(factor)
            value = value / factor if divides else value * factor
            value = self.side_by_side(value)  # `6/2(3)` goes on from the left
        return value

    def side_by_side(self, value: Number) -> Number:
        while (token := self.peek()) is not None and not token.apart:
            before = self.tokens[self.place - 1]
            if not (token.kind in ("open", "letter", "func") or (token.kind == "num" and before.text == "}")):
                break
            value = value * self.power()
        return value

    def signed(self) -> Number:
        if self.is_op("+-"):
            sign = self.take().text
            self.nest()
            if sign == "-" and not self.reading.negative:
                value = self.power(negate=True)
            else:
                value = self.signed()
                value = -value if sign == "-" else value
            self.depth -= 1
            return value
        return self.power()

    def nest(self) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable("too deep")

    def power(self, negate: bool = False) -> Number:
        base = self.postfix()
        base = -base if negate else base
        if self.is_op("^"):
            self.take()
            self.nest()
            exponent = self.signed() if self.is_op("+-") else self.power()
            self.depth -= 1
            return power(base, exponent)
        return base

    def postfix(self) -> Number:
        value = self.atom()
        while (token := self.peek()) is not None and token.kind in ("fact", "percent", "degree"):
            self.take()
            if token.kind == "fact":
                if (after := self.peek()) is not None and after.kind == "fact":
                    raise Unreadable("n!!")
                value = factorial(value)
            elif token.kind == "percent" and self.reading.percent:
                value = value / 100
            elif token.kind == "degree" and self.reading.radians:
                value = math.radians(value)
        return value

    def atom(self) -> Number:
        token = self.take()
        if token.kind == "num":
            return self.number(token)
        if token.kind == "open":
            return self.bracket(token)
        if token.kind == "func":
            self.nest()
            value = self.function(token.text)
            self.depth -= 1
            return value
        if token.kind == "letter" and token.text in self.values:
            return self.values[token.text]
        raise Unreadable(token.text)

    def number(self, token: Token) -> Number:
        value: Number = token.value
        after = self.peek()
        if after is not None and after.kind == "base":
            self.take()
            return in_base(token, int(after.text))
        if after is None or token.decimals or after.apart:
            return value
        vulgar = after.kind == "num" and after.decimals == -1
        if vulgar or (after.kind == "func" and after.text == "frac"):
            part = self.atom()
            return value + part if self.reading.mixed else value * part
        if after.kind == "num" and not after.decimals:  # 2 1/2
            slash, bottom = self.peek(1), self.peek(2)
            if slash and bottom and slash.text == "/" and bottom.kind == "num" and not bottom.decimals:
                if after.value >= bottom.value:
                    raise Unreadable("no mixed number")
                self.place += 3
                return value + after.value / bottom.value
        return value

    def bracket(self, opened: Token) -> Number:
        self.nest()
        value = self.sum()
        closed = self.take()
        if closed.kind != "close" or _PAIRS[opened.text] != closed.text:
            raise Unreadable("brackets do not match")
        self.depth -= 1
        return value

    def group(self) -> Number:
        """The argument of a LaTeX command: braces, or one digit."""
        token = self.peek()
        if token is not None and token.kind == "num" and not token.decimals and len(token.text) > 1:
            raise Unreadable("\\frac12")
        return self.atom()

    def function(self, name: str) -> Number:
        if name == "pi":
            return math.pi
        if name == "frac":
            if (pair := self.digits()) is not None:
                return Fraction(pair[0], pair[1])
            return self.group() / self.group()
        if name == "sqrt":
            return self.root()
        if name == "binom":
            pair = self.digits()
            return binomial(*(pair or (self.group(), self.group())))
        if name in ("gcd", "lcm", "max", "min"):
            return self.several(name)
        if name in ("floor", "ceil"):
            value = self.atom()
            return Fraction(math.floor(value) if name == "floor" else math.ceil(value))
        if name in ("log", "ln"):
            return self.logarithm(name)
        if name in ANGLES:
            return self.angle(name)
        raise Unreadable(name)

    def digits(self) -> tuple[Fraction, Fraction] | None:
        r"""The two digits of `\frac12`."""
        token = self.peek()
        if token is None or token.kind != "num" or len(token.text) != 2 or not token.text.isdecimal():
            return None
        self.take()
        return Fraction(token.text[0]), Fraction(token.text[1])

    def root(self) -> Number:
        index: Number = Fraction(2)
        token = self.peek()
        if token is not None and token.text == "[":
            index = self.bracket(self.take())
        value = self.atom()
        return power(value, 1 / index)

    def several(self, name: str) -> Number:
        opened = self.take()
        if opened.text != "(":
            raise Unreadable(name)
        values = [self.sum()]
        while (token := self.peek()) is not None and token.kind == "comma":
            self.take()
            values.append(self.sum())
        if self.take().text != ")":
            raise Unreadable(name)
        if name in ("max", "min"):
            return max(values) if name == "max" else min(values)
        whole = [int(value) for value in values if isinstance(value, Fraction) and value.denominator == 1]
        if len(whole) != len(values):
            raise Unreadable(name)
        return Fraction(math.gcd(*whole) if name == "gcd" else math.lcm(*whole))

    def logarithm(self, name: str) -> Number:
        token = self.peek()
        base = math.e if name == "ln" or not self.reading.base else 10.0
        if token is not None and token.kind == "base":
            base = float(self.take().text)
        value = self.argument()
        if base <= 0 or base == 1 or value <= 0:
            raise Unreadable("logarithm")
        return math.log(value) / math.log(base)

    def angle(self, name: str) -> Number:
        exponent: Number = Fraction(1)
        if self.is_op("^"):
            self.take()
            exponent = self.group()
            if exponent != 2:
                raise Unreadable("an inverse or a power of a function")
        value = float(self.argument())
        signed = self.tokens[self.place - 1].kind == "degree" and not self.reading.radians
        in_degrees = signed or self.reading.degrees
        found = ANGLES[name](math.radians(value) if in_degrees else value)
        if abs(found) > 1e12:
            raise Unreadable("no value")
        return found if exponent == 1 else found * found

    def argument(self) -> Number:
        r"""What a function without brackets is of: `\sin 2\pi x`, up to the next function."""
        token = self.peek()
        value = self.postfix()
        if token is not None and token.kind != "open":
            while (token := self.peek()) is not None and (token.kind == "letter" or token.text in ("pi", "frac")):
                value = value * self.postfix()
            if self.is_op("/"):
                raise Unreadable("sin a/b")
        return value


_PAIRS = {"(": ")", "[": "]", "{": "}"}


def power(base: Number, exponent: Number) -> Number:
    """A power, exact where it is a fraction of bounded size.

    Raises:
        Unreadable: no real value, or too large.
    """
    if isinstance(base, Fraction) and isinstance(exponent, Fraction):
        if exponent.denominator == 1:
            size = max(base.numerator.bit_length(), base.denominator.bit_length())
            if size * abs(exponent) > MOST_BITS:
                raise Unreadable("too large")
            return base ** int(exponent)
        if base >= 0 and (root := exact_root(base, exponent.denominator)) is not None:
            return power(root, Fraction(exponent.numerator))
    if base < 0:
        raise Unreadable("a root of a negative number")
    value = float(base) ** float(exponent)
    return float(value)


def exact_root(value: Fraction, index: int) -> Fraction | None:
    """The root of a fraction where that is a fraction; None otherwise."""
    if index > 12 or value.numerator.bit_length() > MOST_BITS:
        return None
    parts = []
    for part in (value.numerator, value.denominator):
        guess = math.isqrt(part) if index == 2 else round(float(part) ** (1 / index)) if part < 10**300 else -1
        if guess < 0 or guess**index != part:
            return None
        parts.append(guess)
    return Fraction(parts[0], parts[1])


def factorial(value: Number) -> Fraction:
    """Factorial: n! of a small whole number.

    Raises:
        Unreadable: of anything else.
    """
    if not isinstance(value, Fraction) or value.denominator != 1 or not 0 <= value <= MOST_FACTORIAL:
        raise Unreadable("factorial")
    return Fraction(math.factorial(int(value)))


def binomial(n: Number, k: Number) -> Fraction:
    """Binomial: n over k of small whole numbers.

    Raises:
        Unreadable: of anything else.
    """
    for value in (n, k):
        if not isinstance(value, Fraction) or value.denominator != 1 or not 0 <= value <= 1000:
            raise Unreadable("binomial")
    return Fraction(math.comb(int(n), int(k)))


def in_base(token: Token, base: int) -> Fraction:
    """A whole number written in another base.

    Raises:
        Unreadable: a digit that the base does not have.
    """
    if token.decimals or not 2 <= base <= 16 or any(int(digit) >= base for digit in token.text):
        raise Unreadable("base")
    return Fraction(int(token.text, base))
