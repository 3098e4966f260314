r"""Prices written one way: a currency's sign or code beside a number becomes its name behind it, which is a unit.

`€5`, `5 €`, `\text{€}5` and `EUR 5` are `5\text{ euros}`; `presat.answers.units` compares prices as it compares metres
and feet. A sign that stands for several currencies (`¥`) gets a name that stands for them too; a dollar of
no country is the United States'.
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
    "CAD": ("CAD", "C$", r"C\$", "CA$", r"CA\$", "Canadian dollars"),
    "AUD": ("AUD", "A$", r"A\$", "AU$", r"AU\$", "Australian dollars"),
    "NZD": ("NZD", "NZ$", r"NZ\$", "New Zealand dollars"),
    "HKD": ("HKD", "HK$", r"HK\$", "Hong Kong dollars"),
    "SGD": ("SGD", "S$", r"S\$", "Singapore dollars"),
    "CHF": ("CHF", "Swiss francs"),
    "pesos": ("MXN", "Mexican pesos"),
    "rubles": ("₽", "RUB"),
    "SEK": ("SEK",),
    "NOK": ("NOK",),
    "DKK": ("DKK",),
    "zloty": ("PLN",),
    "lira": ("₺", "TRY"),
    "reais": ("R$", r"R\$", "BRL"),
    "rand": ("ZAR",),
    "baht": ("฿", "THB"),
    "shekels": ("₪", "ILS"),
    "dong": ("₫", "VND"),
    "forint": ("HUF",),
    "naira": ("₦", "NGN"),
    "bitcoin": ("₿", "BTC"),
}
_OF_DOLLARS = ("CAD", "AUD", "NZD", "HKD", "SGD", "dollars")
"""What a dollar's sign before a number may be, where a code behind it says so."""
_NAME_OF = {sign: name for name, signs in _NAMES.items() for sign in signs}
_NUMBER = (
    r"[+-]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+|\\frac\s*\{[^{}]*\}\s*\{[^{}]*\})(?:\s*/\s*\d+)?"
    r"(?=\s*(?:$|[;)\]}]|,(?!\d)|\\text|\s[A-Za-z]|/\s*[A-Za-z]))"  # a number that is all there is of a term
)
_SPACE = r"(?:\s|\{\})*"
_LEFT = re.compile("[€£¥₹₩¢₽₺฿₪₫₦₿]")
_TWO = re.compile(r"\\text\{ ([A-Za-z]+)\}\s*\\text\{ ([A-Za-z]+)\}")
_MATHS = re.compile(r"(?<!\\)\$(?=\S)[^$]*(?<=[^\s\\])\$(?!\d)")
"""Math between dollars, which are no currency then."""


class _Patterns:
    """How the signs of currencies stand: in a text command, before a number, behind one."""

    def __init__(self, bare_dollar: bool) -> None:
        signs = sorted(sign for sign in _NAME_OF if bare_dollar or "$" not in sign.replace(r"\$", ""))
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
    for _ in range(2):  # a number may have a sign on each side, or two
        text = signs.before.sub(lambda found: f"{found[2]}{_named(found[1])}", text)
        text = signs.behind.sub(lambda found: _named(found[1]), text)
    return _LEFT.sub("", _TWO.sub(_of_two, text))


def _of_two(found: re.Match[str]) -> str:
    """One name for two beside a number: `$5 USD` and `$5 CAD` are prices, `£€5` is none."""
    one, other = found.groups()
    if not {one, other} <= _NAMES.keys():
        return found[0]
    country = other if one == "dollars" else one
    together = one == other or ("dollars" in (one, other) and country in _OF_DOLLARS)
    return rf"\text{{ {country if together else 'atodds'}}}"


def _named(sign: str) -> str:
    return rf"\text{{ {_NAME_OF[sign]}}}"
