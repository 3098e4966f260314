"""Words around mathematics, by what they mean for how it is read."""

from __future__ import annotations

import re


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


DOUBT_BEFORE = words(
    """
    half twice thrice double triple quarter third thirds fourth fifth times minus plus less more than by and from
    square root cube product sum difference ratio of to or between negative per over through percent each dividing
    multiplying subtracting adding divided multiplied subtract add multiply divide with about base if try trying
    suppose assume assuming instead not
    """
)
"""Before an expression, these may be part of what is calculated: `half of 10 + 3 = 8`."""
DOUBT_AFTER = words(
    """
    times minus plus less more half and million thousand hundred billion trillion dozen percent remainder mod
    squared cubed over per or and remaining quotient degrees divided multiplied pairs
    """
)
"""Likewise behind one: `= 8 and a half`."""
NO_UNITS = words(
    """
    is are was were be has have had at most least in for so then thus therefore hence gives give we get which that
    this it the an equals equal becomes become means mean costs cost will can if as but because since where when
    there they she he you our his her its into after before remain only also would must should makes make
    """
)
"""Behind a number, these are not what is counted."""
ALTERNATIVES = re.compile(r"\bor\b|\bcase\b|\bwhen\b|\bfor\b|\btest|\btry|\bif\b|\blet\b|\bset\b|\bplug", re.IGNORECASE)
"""Before `x = 3`, these say that it may be something else too."""
GIVEN = re.compile(r"substitut|since|given|using|recall|because|\bif\b|\bwhen\b|suppose|where", re.IGNORECASE)
"""Around an equality of expressions with letters, these say that more is known of the letters."""
DOUBT_AROUND = re.compile(
    r"round|nearest|approx|about|roughly|estimat|floor|integer part|quotient|remainder|at least|at most|contradict|"
    r"impossib|not possible|incorrect|\bnot\b|n't|wrong|mistake|error|check if|suppose|assum|\btry|\bguess|\btest|"
    r"whether|\bif\b|\bmod|base|binary|ceil|whole number|next integer|too (?:small|large|big|low|high)|\bclock|"
    r"o'clock|[ap]\.?m\.?\b|never|false|fail|significant",
    re.IGNORECASE,
)
"""In the sentence of a statement, these say that it is rounded, tried, supposed or denied."""
REDEFINED = re.compile(
    r"\bbase(?:[- ]\$?\d|[- ](?:two|three|four|five|six|seven|eight|nine|ten|twelve)\b|s\b)|"
    r"binary|octal|hexadecimal|\boperation|"
    r"\\(?:ast|star|oplus|otimes|diamond|clubsuit|heartsuit|spadesuit|bigstar)\b|[a-z]\s?\*\s?[a-z]\s?=|@|(?<![\^{])\\circ",
    re.IGNORECASE,
)
"""In a problem, these say that numbers or signs may mean something else in it."""
EXCLUSIVE = re.compile(r"\bxor\b|bitwise|\boplus\b|\\oplus|⊕|\bpython\b|\bjavascript\b", re.IGNORECASE)
"""In a problem or a response, these say that `^` may not be a power."""
SCALED = re.compile(
    r"\bscale|\bmaps?\b|\bmodel|blueprint|drawing|drawn|represent|correspond|\bratio|\brate\b|every|exchange|planet|"
    r"\bgame|\bimagin|\bdefine|convert to a new|per\b",
    re.IGNORECASE,
)
"""In a problem or a response, these say that one unit may be worth an amount of another that it is not elsewhere."""
UNITS = {
    name: index
    for index, names in enumerate(
        (
            "second seconds sec secs", "minute minutes min mins", "hour hours hr hrs", "day days", "week weeks",
            "month months", "year years yr yrs", "decade decades", "dozen dozens", "cent cents", "dollar dollars",
            "inch inches", "foot feet ft", "yard yards yd", "mile miles", "cm centimeter centimeters", "mm",
            "meter meters", "km kilometer kilometers", "kg kilogram kilograms", "gram grams", "lb lbs pound pounds",
            "oz ounce ounces", "liter liters", "ml milliliter milliliters", "gallon gallons", "quart quarts",
            "pint pints", "cup cups", "ton tons", "degree degrees", "radian radians", "quarter quarters",
            "nickel nickels", "dime dimes", "penny pennies", "pack packs", "pair pairs", "percent",
            "thousand thousands",
            "million millions", "hundred hundreds", "billion", "century centuries", "tablespoons tablespoon",
            "teaspoon teaspoons", "score", "box boxes", "set sets", "group groups", "half halves", "third thirds",
        )
    )
    for name in names.split()
}  # fmt: skip
"""Units that turn into others, with the number of their kind: two kinds in one statement may be a conversion."""
AMOUNT = r"\$?(?:\d{1,3}(?:,\d{3}){1,4}|\d{1,12})(?:\.\d{1,12})?(?!\d)"
"""A number in plain text, as an expression of `re`."""
ALONE = (
    r"(?:^|(?<=\n)|(?<=[.:;!?] )|(?<=\b[Ss]o )|(?<=\b[Tt]hen )|(?<=\b[Tt]hus )|(?<=\b[Hh]ence )|(?<=\b[Ss]ince )|"
    r"(?<=\b[Tt]hus, )|(?<=\b[Hh]ence, )|(?<=\b[Tt]herefore, ))"
)
"""Where something begins that has nothing to do with what stands before it, as an expression of `re`."""
OPERATIONS = {"times": "*", "multiplied by": "*", "plus": "+", "minus": "-", "of": "*", "divided by": "/"}
"""Between two numbers, these calculate."""
