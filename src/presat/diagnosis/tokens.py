r"""The words of mathematics in a text, plain or LaTeX: numbers, signs, letters, words, and what ends a statement.

One pass of one regular expression, every alternative of which is linear: traces are hostile text. Nothing is refused
here. What has no known meaning becomes `opaque`, and no statement that holds it is read.
"""

# ruff: noqa: RUF001  (look-alikes of other characters are what this is about)
from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from presat.diagnosis.vocabulary import words

MOST_DIGITS = 60
"""Longer numbers are opaque."""


class Token(NamedTuple):
    r"""One word of mathematics.

    Attributes:
        kind: num, op, rel, open, close, letter, func, word, percent, degree, fact, comma, break, opaque or base.
        text: what it is, in the one way to write it.
        start: where it begins in the text.
        end: where it ends.
        apart: a delimiter of mathematics (`$`, `\(`) stands before it: it does not multiply what came before.
        value: of a number.
        decimals: digits that a number shows behind its point; -1 for a fraction in one character (½).
    """

    kind: str
    text: str
    start: int
    end: int
    apart: bool = False
    value: Fraction = Fraction(0)
    decimals: int = 0


FUNCTIONS = frozenset(
    ("frac", "sqrt", "binom", "gcd", "lcm", "max", "min", "floor", "ceil", "sin", "cos", "tan", "cot", "sec", "csc",
     "log", "ln", "abs")
)  # fmt: skip
_RENAMED = {"dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "dbinom": "binom", "tbinom": "binom", "lg": "log"}
_OPERATORS = {
    "times": "*", "cdot": "*", "ast": "*", "div": "/", "×": "*", "·": "*", "⋅": "*", "∙": "*", "÷": "/", "−": "-",
    "–": "-", "∗": "*", "✕": "*",
}  # fmt: skip
_RELATIONS = {
    "approx": "~", "approxeq": "~", "simeq": "~", "doteq": "~", "thickapprox": "~", "≈": "~", "≅": "~", "equiv": "%",
    "≡": "%",
    "neq": "!=", "ne": "!=", "≠": "!=", "!=": "!=", "lt": "<", "<": "<", "gt": ">", ">": ">", "le": "<=", "leq": "<=",
    "leqslant": "<=", "≤": "<=", "<=": "<=", "ge": ">=", "geq": ">=", "geqslant": ">=", "≥": ">=", ">=": ">=",
    "=": "=", "==": "=", ":=": "?", "~": "~", "propto": "?", "sim": "?", "in": "?", "∈": "?", "cong": "?", "=?": "?",
}  # fmt: skip
INEQUALITIES = frozenset(("<", ">", "<=", ">=", "!="))
_ARROWS = frozenset(
    ("implies", "Rightarrow", "rightarrow", "to", "iff", "Leftrightarrow", "Longrightarrow", "longrightarrow", "mapsto",
     "therefore", "because", "quad", "qquad", "longmapsto", "Longleftrightarrow", "land", "lor", "wedge", "vee", "mid",
     "begin", "end", "hline", "item")
)  # fmt: skip
_GREEK = words(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau "
    "upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell angle triangle"
)
_UNSEEN = frozenset(
    ("left", "right", "big", "Big", "bigg", "Bigg", "bigl", "bigr", "Bigl", "Bigr", "displaystyle", "textstyle",
     "cancel", "limits", "phantom", "underline", "mathbf", "boldsymbol", "nonumber", "color", "large",
     "Large", "tag", "label", "biggl", "biggr", "Biggl", "Biggr", "bf")
)  # fmt: skip
_BOXES = ("boxed", "fbox")
_COMPLETE = frozenset(("num", "close", "letter", "fact", "percent", "degree", "base"))
"""Behind these, a box with the answer begins something new."""
_VULGAR = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5",
    "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8",
}  # fmt: skip
_POWERS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True))

_SCAN = re.compile(
    r"""
      (?P<text>\\(?:text|textbf|textit|textrm|mathrm|mbox|operatorname|textnormal)\s*\{(?P<inner>[^{}\\$]*)\})
    | (?P<env>\\(?:begin|end)\s*\{[^{}]*\}(?:\{[^{}\n]{0,20}\})?)
    | (?P<degree>\^\s*\{?\s*\\circ\s*\}?|°)
    | (?P<delim>\\[()]|\$(?!\$))
    | (?P<display>\\[\[\]]|\$\$)
    | (?P<line>\\\\)
    | (?P<escaped>\\[%$])
    | (?P<space>\\[,;:!>\ ]|~(?=\s*\\?[a-z])|&|[ \t\r\u00a0\u2009\u202f]+)
    | (?P<mod>\\pmod|\\bmod|\\mod|\b[mM]od(?:ulo)?\b)
    | (?P<command>\\[A-Za-z]+)
    | (?P<dots>\.\.\.+|…)
    | (?P<ordinal>\d+(?:st|nd|rd|th)\b|\d+-[A-Za-z]{3,})
    | (?P<repeating>\d+\.\d*(?:\s*\\(?:overline|bar|dot|ldots|dots|cdots)\b|\.\.|…))
    | (?P<clock>\d+:\d[\d:]*)
    | (?P<num>\d{1,3}(?:(?:,|\{,\}|,\\!|\\,)\d{3})+(?![\d])(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)
    | (?P<vulgar>[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])
    | (?P<super>[⁰¹²³⁴⁵⁶⁷⁸⁹]+)
    | (?P<root>√)
    | (?P<pi>π)
    | (?P<arrow>=>|->|-->|⇒|→|∴|⟹|⇔)
    | (?P<rel><=|>=|!=|:=|==|=\?|[=<>≤≥≠≈≡≅∈~])
    | (?P<power>\*\*|\^)
    | (?P<op>[-+*/×·⋅∙÷−–∗✕])
    | (?P<sub>_(?:\{[^{}]*\}|\w)?)
    | (?P<open>[(\[{])
    | (?P<close>[)\]}])
    | (?P<percent>%)
    | (?P<fact>!)
    | (?P<word>[A-Za-z]{2,}(?:['’-][A-Za-z]+)*)
    | (?P<letter>[A-Za-z])
    | (?P<comma>,)
    | (?P<newline>\n\s*)
    | (?P<end>[.;:?\"“”—])
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_EMPHASIS = re.compile(r"(?<![\w)*\]}])\*\*(?=\S)([^*\n]{1,400})(?<=\S)\*\*(?!\*)")


def tokens_of(text: str) -> list[Token]:
    """The tokens of a text, in order; spaces and what is only there for the eye are left out."""
    text = _EMPHASIS.sub(lambda found: f"  {found[1]}  ", text)  # as long as before: places stay
    found: list[Token] = []
    apart = False
    for match in _SCAN.finditer(text):
        kind = match.lastgroup if match.lastgroup != "inner" else "text"
        if kind == "space":
            continue
        if kind == "delim" or match.group() in ("\\$", "$"):
            apart = True
            continue
        for token in _tokens(str(kind), match, found):
            if token.kind == "letter" and token.text.startswith("_"):  # a name with its index
                found[-1] = found[-1]._replace(text=found[-1].text + token.text, end=token.end)
                continue
            found.append(token._replace(apart=apart))
            apart = False
    return [_as_times(found, place) if token.text in ("x", "X") else token for place, token in enumerate(found)]


def _as_times(tokens: Sequence[Token], place: int) -> Token:
    """The letter x as a sign between two numbers (`3 x 4`, `3x4`), where it is one."""
    before, token, after = tokens[max(0, place - 1)], tokens[place], tokens[min(place + 1, len(tokens) - 1)]
    between = token.kind == "letter" and before.kind == after.kind == "num"
    even = (before.end == token.start) == (token.end == after.start)
    return token._replace(kind="op", text="*") if between and even else token


def _tokens(kind: str, match: re.Match[str], before: list[Token]) -> list[Token]:
    r"""What one match stands for: none, one, or (the words of a `\text`) several tokens."""
    text, start, end = match.group(), match.start(), match.end()

    def one(name: str, meaning: str = text, value: Fraction = Fraction(0), decimals: int = 0) -> list[Token]:
        return [Token(name, meaning, start, end, False, value, decimals)]

    if kind == "text":
        inner = match["inner"]
        offset = match.start("inner")
        return [token._replace(start=token.start + offset, end=token.end + offset) for token in tokens_of(inner)]
    if kind == "num":
        return _number(text, one)
    if kind == "vulgar":
        return one("num", text, Fraction(_VULGAR[text]), -1)
    if kind == "super":
        digits = "".join(map(_POWERS.__getitem__, text))
        return [*one("op", "^"), *(one("num", digits, Fraction(int(digits))) if len(digits) < 9 else one("opaque"))]
    if kind == "command":
        return _box(start, before, one) if text[1:] in _BOXES else _command(text[1:], one)
    if kind == "op":
        return one("op", _OPERATORS.get(text, text))
    if kind == "rel":
        return _factorial(start, before) if text == "!=" else one("rel", _RELATIONS[text])
    if kind == "sub":
        if before and before[-1].end == start and before[-1].kind in ("num", "func"):
            inner = text[1:].strip("{}")
            return one("base", inner) if inner.isdecimal() and inner.isascii() and len(inner) < 3 else one("opaque")
        return one("letter", text) if before and before[-1].kind == "letter" else one("opaque")
    if kind in ("word", "ordinal"):
        return one("func", text) if text in ("sqrt", "gcd", "lcm", "floor", "ceil", "pi") else one("word")
    simple = {
        "power": ("op", "^"), "root": ("func", "sqrt"), "pi": ("func", "pi"), "mod": ("op", "mod"),
        "repeating": ("opaque", text), "display": ("break", "display"), "line": ("break", "line"),
        "newline": ("break", "line"),
        "env": ("break", "display"), "arrow": ("break", "arrow"), "dots": ("opaque", "..."), "clock": ("opaque", text),
        "end": ("break", text), "other": ("opaque", text), "escaped": ("percent", "%"),
    }  # fmt: skip
    return one(*simple.get(kind, (kind, text)))


def _number(text: str, one) -> list[Token]:  # pyright: ignore[reportMissingParameterType]
    digits = text.replace("{,}", "").replace(",\\!", "").replace("\\,", "").replace(",", "")
    if len(digits) > MOST_DIGITS or not digits.isascii():
        return one("opaque")
    return one("num", digits, Fraction(digits), len(digits.partition(".")[2]))


def _factorial(start: int, before: Sequence[Token]) -> list[Token]:
    """The sign `!=`: right behind a number it ends a factorial (`5!=120`)."""
    if before and before[-1].end == start and before[-1].kind in ("num", "close"):
        return [Token("fact", "!", start, start + 1), Token("rel", "=", start + 1, start + 2)]
    return [Token("rel", "!=", start, start + 2)]


def _box(start: int, before: Sequence[Token], one) -> list[Token]:  # pyright: ignore[reportMissingParameterType]
    r"""A box multiplies nothing: `2 * 5 = 10 \boxed{10}` ends before it. Right behind a number it may: `3\boxed{x}`."""
    if not before or before[-1].kind not in _COMPLETE:
        return []
    return one("opaque", "box") if before[-1].end == start else one("break", "box")


def _command(name: str, one) -> list[Token]:  # pyright: ignore[reportMissingParameterType]
    name = _RENAMED.get(name, name)
    if name in _UNSEEN:
        return []
    if name in FUNCTIONS or name == "pi":
        return one("func", name)
    if name in _OPERATORS:
        return one("op", _OPERATORS[name])
    if name in _RELATIONS:
        return one("rel", _RELATIONS[name])
    if name in _ARROWS:
        return one("break", "arrow")
    if name in ("lfloor", "lceil"):
        return [*one("func", "floor" if name == "lfloor" else "ceil"), *one("open", "(")]
    if name in ("rfloor", "rceil"):
        return one("close", ")")
    if name in ("lbrace", "rbrace", "lvert", "rvert", "vert"):
        return one("opaque", name)
    if name in ("degree", "degrees"):
        return one("degree", name)
    return one("letter", name) if name in _GREEK else one("opaque", name)
