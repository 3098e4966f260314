r"""One way to write an answer: what people and models write differently and mean the same, before Math-Verify reads it.

Math-Verify reads LaTeX. It takes `1e5` for a product with Euler's number, `72 dollars` for a product of eight letters,
and nothing at all from `½`. The normal form is LaTeX that it does read. Gold and answer are brought to it alike. Every
rule is a pass or two of a regular expression: answers are hostile text.
"""

# ruff: noqa: RUF001  (look-alikes of other characters are what this is about)
from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from fractions import Fraction

from presat.answers.dress import labelled, undressed, with_unit
from presat.answers.money import priced

LONGEST = 2000
"""Answers of more characters are left as they are."""
MOST_DIGITS = 15
"""Numbers with larger exponents keep their power of ten."""

_SYMBOLS = str.maketrans(
    {
        "−": "-", "‐": "-", "‑": "-", "–": "-", "﹣": "-",
        "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "÷": r"\div ", "±": r"\pm ", "∓": r"\mp ",
        "∞": r"\infty ", "π": r"\pi ", "°": r"^\circ ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "∈": r"\in ",
        "∪": r"\cup ", "∩": r"\cap ", "∅": r"\emptyset ", "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ",
        "θ": r"\theta ", "λ": r"\lambda ", "μ": r"\mu ", "φ": r"\phi ", "ω": r"\omega ",
        "’": "'", "⁄": "/", "￥": "¥", "￡": "£", "。": ".", "、": ",",
        "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u2003": " ",
    }
)  # fmt: skip
_FULL_WIDTH = str.maketrans({chr(ord(" ") + place + 0xFEE0): chr(ord(" ") + place) for place in range(1, 95)})
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True))
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True))
_SUPER = re.compile(f"[{''.join(_SUPERSCRIPTS)}]+")
_SUB = re.compile(f"[{''.join(_SUBSCRIPTS)}]+")
_DIGIT = re.compile(r"(?![0-9])\d")
"""Digits of other scripts and type faces."""
_VULGAR = re.compile(r"(\d*)\s*([¼-¾⅐-⅞])")
_ROOT = re.compile(r"√\s*(?:\(([^()]*)\)|\{([^{}]*)\}|(\d+(?:\.\d+)?|[A-Za-z]|\\[A-Za-z]+))")

_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ("**", "**"), ("`", "`"))
_WRAPPED = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|boldsymbol|bm|mbox)\s*\{([^{}]*)\}")
_SIZES = re.compile(r"\\(?:left|right|big|Big|bigg|Bigg|displaystyle|textstyle)(?![A-Za-z])\s*")
_SPACES = re.compile(r"(?<!\\)\\[,;:!> ]|\\q?quad(?![A-Za-z])|(?<!\\)~")
_SCIENTIFIC = re.compile(r"(?<![\w.\\])([+-]?(?:\d+\.?\d*|\.\d+))[eE]([+-]?\d{1,6})(?![\w.])")
_REPEATING = re.compile(r"(\d+)\.(\d*)(?:\\(?:overline|bar)\s*\{(\d+)\}|\((\d+)\))")
_MIXED = re.compile(r"(-?)\s*(\d+)\s+(\d+)\s*/\s*(\d+)")
_SCALES = {
    "hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12, "quadrillion": 15, "quintillion": 18,
    "sextillion": 21, "lakh": 5, "lac": 5, "crore": 7,
}  # fmt: skip
_SCALE = re.compile(
    r"(?<![\w.,])(?P<digits>\d[\d,]*(?:\.\d+)?)\s*(?P<wrapped>\\text\s*\{\s*)?"
    rf"(?P<scales>(?:(?:{'|'.join(_SCALES)})s?(?![A-Za-z])\s*){{1,3}})(?(wrapped)\}})",
    re.IGNORECASE,
)
"""`5 million`, `5 hundred thousand`; letters for scales are read beside the gold answer (`presat.answers.scales`)."""
_OTHER_NAMES = (
    ("**", "^"), ("+/-", r"\pm "), (r"\degree", r"^\circ"), (r"\varnothing", r"\emptyset"), (r"\lbrace", r"\{"),
    (r"\rbrace", r"\}"), (r"\dfrac", r"\frac"), (r"\tfrac", r"\frac"), (r"\nicefrac", r"\frac"), (r"\sfrac", r"\frac"),
)  # fmt: skip
_LESS_OR_MORE = re.compile(r"\\([lg])eq(?:slant)?(?![A-Za-z])\s*|(?<![<>=])([<>])=\s*")
_BARE_POWER = re.compile(r"\^(-\d+)")
_LEADING_ZEROS = re.compile(r"([+-]?)0+(?=\d)([\d.]*)")
_PLAIN_ROOT = re.compile(r"(?<![\\A-Za-z])sqrt\s*(?:\(([^()]*)\)|\{([^{}]*)\})")
_PLAIN_EXP = re.compile(r"(?<![A-Za-z])\\?exp\s*(?:\(([^()]*)\)|\{([^{}]*)\})")
_PLAIN_PI = re.compile(r"(?<![\\A-Za-z])pi(?![A-Za-z])", re.IGNORECASE)
_PLAIN_INFINITY = re.compile(r"(?<![\\A-Za-z])(?:infinity|inf|oo)(?![A-Za-z])", re.IGNORECASE)
_ARTICLE = re.compile(r"(?:the|a|an)\s+(?=[a-z])", re.IGNORECASE)
_WORDS = re.compile(r"[A-Za-z][a-z]+(?:[ '-][A-Za-z][a-z]*)*")
_NOTHING = re.compile(
    r"(?:there\s+(?:is|are)\s+)?no\s+(?:real\s+)?solutions?|dne|does\s+not\s+exist|(?:the\s+)?empty\s+set|"
    r"(?:[A-Za-z]\s*(?:=|\\in)\s*)?(?:\\emptyset|\\\{\s*\\\})",
    re.IGNORECASE,
)
"""The ways to say that nothing is the answer, or that there is none."""
_BRACE = re.compile(r"(?<!\\)[{}]")


def normal_form(answer: str) -> str:
    """Return an answer, as text or LaTeX, in the one way to write it."""
    text = answer.strip()
    if len(text) > LONGEST:
        return text
    text = " ".join(text.split())  # runs of spaces would make the patterns slow, and mean nothing
    text = unwrapped(labelled(undressed(_plain(_symbols(text)))))
    text = unwrapped(_SPACES.sub(" ", _SIZES.sub("", text)).strip())  # `\displaystyle \text{east}`
    if _NOTHING.fullmatch(text):
        return r"\emptyset"
    if _WORDS.fullmatch(text):
        return _ARTICLE.sub("", text, count=1).lower() if len(text) > 1 else text
    return priced(_numbers(_functions(with_unit(text))))


def unwrapped(text: str) -> str:
    """Return text without math delimiters, emphasis, braces or a text command around all of it."""
    before = None
    while text != before:
        before = text
        for opening, closing in _DELIMITERS:
            inner = text[len(opening) : len(text) - len(closing)]
            if len(text) > len(opening + closing) and text.startswith(opening) and text.endswith(closing):
                text = inner.strip() if opening not in inner.replace(r"\$", "") else text
        text = _ended(text)
        if whole := _WRAPPED.fullmatch(text):
            text = whole[1].strip()
        elif text.startswith("{") and _closing(text) == len(text) - 1 and r"\choose" not in text:
            text = text[1:-1].strip()  # a group of LaTeX around all of an answer: its braces are not printed
    return text


def _closing(text: str) -> int | None:
    """Where the group ends that `text` begins with."""
    depth = 0
    for brace in _BRACE.finditer(text):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return brace.start()
    return None


def _ended(text: str) -> str:
    """Text without the full stop, comma or semicolon of the sentence it stood in."""
    return text.rstrip(" .,;:\n").removesuffix("\\").rstrip() if text.rstrip(" .,;:\n") else text


def _symbols(text: str) -> str:
    """Text with LaTeX in place of Unicode's mathematical characters."""
    if text.isascii():
        return text
    text = _DIGIT.sub(lambda found: str(unicodedata.decimal(found[0])), _VULGAR.sub(_vulgar, text))
    text = _SUPER.sub(lambda found: "^{" + "".join(map(_SUPERSCRIPTS.__getitem__, found[0])) + "}", text)
    text = _SUB.sub(lambda found: "_{" + "".join(map(_SUBSCRIPTS.__getitem__, found[0])) + "}", text)
    text = _ROOT.sub(lambda found: rf"\sqrt{{{found[1] or found[2] or found[3] or ''}}}", text)
    return of_usual_width(text).translate(_SYMBOLS)


def of_usual_width(text: str) -> str:
    """Return text with the Latin letters, digits and signs of full width in their usual width."""
    return text.translate(_FULL_WIDTH)


def _plain(text: str) -> str:
    """LaTeX in place of what keyboards have for it, and of its own other names."""
    for theirs, ours in _OTHER_NAMES:
        text = text.replace(theirs, ours)
    text = _LESS_OR_MORE.sub(lambda found: rf"\{found[1] or 'lg'['<>'.index(found[2])]}e ", text)
    return _BARE_POWER.sub(r"^{\1}", text)


def _vulgar(found: re.Match[str]) -> str:
    value = Fraction(unicodedata.normalize("NFKC", found[2]).replace("⁄", "/")) + int(found[1] or 0)
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


def _functions(text: str) -> str:
    """Plain words of calculators in LaTeX."""
    text = _PLAIN_ROOT.sub(lambda found: rf"\sqrt{{{found[1] or found[2] or ''}}}", text)
    text = _PLAIN_EXP.sub(lambda found: f"e^{{{found[1] or found[2] or ''}}}", text)
    return _PLAIN_INFINITY.sub(r"\\infty ", _PLAIN_PI.sub(r"\\pi ", text))


def _numbers(text: str) -> str:
    """Numbers as Math-Verify reads them: without exponents, scales, repetends, mixed numbers and leading zeros."""
    text = _SCALE.sub(_scaled, text)
    text = _SCIENTIFIC.sub(_plain_power, text)
    text = _REPEATING.sub(_as_fraction, text)
    if mixed := _MIXED.fullmatch(text):
        sign, whole, top, bottom = mixed.groups()
        if int(bottom):
            value = int(whole) + Fraction(int(top), int(bottom))
            return rf"{sign}\frac{{{value.numerator}}}{{{value.denominator}}}"
    if zeros := _LEADING_ZEROS.fullmatch(text):
        return zeros[1].replace("+", "") + zeros[2]
    return text


def _scaled(found: re.Match[str]) -> str:
    scale = sum(_SCALES[word.removesuffix("s")] for word in found["scales"].lower().split())
    value = Decimal(found["digits"].replace(",", "")).scaleb(scale)
    behind = " " if found["scales"].endswith(" ") else ""
    return f"{value:f}{behind}" if len(found["digits"]) <= MOST_DIGITS else found[0]


def _plain_power(found: re.Match[str]) -> str:
    exponent = int(found[2])
    if abs(exponent) > MOST_DIGITS:
        return rf"{found[1]} \cdot 10^{{{exponent}}}"
    return f"{Decimal(f'{found[1]}e{exponent}'):f}"


def _as_fraction(found: re.Match[str]) -> str:
    whole, fixed, again = found[1], found[2], found[3] or found[4]
    if len(fixed) + len(again) > MOST_DIGITS:
        return found[0]
    scale = 10 ** len(fixed)
    value = Fraction(int(whole + fixed), scale) + Fraction(int(again), (10 ** len(again) - 1) * scale)
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
