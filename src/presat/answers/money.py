r"""Prices written one way: a currency's sign or code beside a number becomes its name behind it, which is a unit.

`€5`, `5 €`, `\text{€}5` and `EUR 5` are `5\text{ euros}`; `presat.answers.units` compares prices as it compares metres
and feet. A sign that stands for several currencies (`¥`) gets a name that stands for them too.
"""

from __future__ import annotations

import re

_NAMES = {
    "euros": ("€", r"\euro", r"\texteuro", "EUR"),
    "sterling": ("£", r"\pounds", r"\mathsterling", r"\textsterling", "GBP", "pounds sterling"),
    "yenoryuan": ("¥", r"\yen", r"\textyen"),
    "yen": ("JPY",),
    "yuan": ("CNY", "RMB"),
    "rupees": ("₹", "INR", "Rs", "Rs."),
    "won": ("₩", "KRW"),
    "dollars": (r"US\$", "US$", r"\$", "$", r"\textdollar", "USD", "US dollars", "U.S. dollars"),
    "cents": ("¢",),
}
_NAME_OF = {sign: name for name, signs in _NAMES.items() for sign in signs}
_NUMBER = (
    r"[+-]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+|\\frac\s*\{[^{}]*\}\s*\{[^{}]*\})(?:\s*/\s*\d+)?"
    r"(?=\s*(?:$|[;)\]}]|,(?!\d)|\\text|\s[A-Za-z]))"  # a number that is all there is of a term
)
_SPACE = r"(?:\s|\{\})*"
_LEFT = re.compile("[€£¥₹₩¢]")
_MATHS = re.compile(r"(?<!\\)\$(?=\S)[^$]*(?<=[^\s\\])\$(?!\d)")
"""Math between dollars, which are no currency then."""


class _Patterns:
    """How the signs of currencies stand: in a text command, before a number, behind one."""

    def __init__(self, bare_dollar: bool) -> None:
        signs = sorted(sign for sign in _NAME_OF if bare_dollar or sign not in ("$", "US$"))
        sign = "|".join(
            rf"(?<![A-Za-z\\]){re.escape(sign)}{'(?![A-Za-z])' if sign[-1].isalpha() else ''}"
            for sign in sorted(signs, key=len, reverse=True)
        )
        self.any = re.compile(sign)
        self.wrapped = re.compile(rf"\\(?:text|mathrm|textrm|mbox)\s*\{{\s*({sign})\s*\}}")
        self.before = re.compile(rf"({sign}){_SPACE}({_NUMBER})")
        self.behind = re.compile(rf"(?<=[\d}}]){_SPACE}({sign})(?![\d.])")


_WITH_DOLLAR, _WITHOUT = _Patterns(True), _Patterns(False)


def priced(text: str) -> str:
    """Return an answer with every currency that stands beside a number as a name behind it; other signs are dropped."""
    signs = _WITHOUT if _MATHS.search(text) else _WITH_DOLLAR
    if not signs.any.search(text):
        return text
    text = signs.wrapped.sub(lambda found: found[1], text)
    text = signs.before.sub(lambda found: f"{found[2]}{_named(found[1])}", text)
    return _LEFT.sub("", signs.behind.sub(lambda found: _named(found[1]), text))


def _named(sign: str) -> str:
    return rf"\text{{ {_NAME_OF[sign]}}}"
