r"""What stands around an answer and is no part of it: a label, a colour, a unit outside the math.

`\boxed{The answer is 72}`, `Ans: 72`, `= 72`, `\approx 72`, `\color{red}{72}`, `$72$ clips` and `9 (apples)` are 72
and 9. Gold answers have it as often as responses.
"""

from __future__ import annotations

import re

_LABEL = re.compile(
    r"(?:\\text\s*\{\s*)?(?:(?:so|thus|therefore|hence),?\s+)?(?:"
    r"(?:the\s+)?(?:(?:final|correct|right)\s+)?ans(?:wer)?\.?(?:\s+is\s*:?|\s*[:=])|"
    r"\u7b54\u6848\s*[\u662f\u4e3a\u70ba]?\s*:?|=|\\approx(?![A-Za-z])|\\simeq(?![A-Za-z])|\u2248|"
    r"(?:approximately|approx\.?|about|around|roughly)\s+(?=[\d$\\.+-]))\s*\}?\s*(?=\S)",
    re.IGNORECASE,
)
_COLOUR = re.compile(r"\\(?:text)?color\s*\{[A-Za-z0-9!]*\}\s*")
_UNDERLINE = re.compile(r"\\underline(?=\s*\{)")
_WORDS = r"(?!(?:or|and|not|is|if|to|mod|base|pi)\b)[A-Za-z][A-Za-z]+\.?(?:[ /-][A-Za-z]+\.?){0,3}"
_OUTSIDE = re.compile(rf"(?:\$(?P<dollars>[^$]+)\$|\\\((?P<brackets>[^()]+)\\\)|\*\*(?P<bold>[^*]+)\*\*)\s+({_WORDS})")
_BRACKETED = re.compile(rf"(?P<value>.*[\d}}])\s+\(({_WORDS})\)", re.DOTALL)
_DEGREES = re.compile(
    r"\s*(?:\^\s*\{?\s*\\circ\s*\}?|degrees?)\s*(?:\\(?:text|mathrm)\s*\{\s*)?(C|F|Celsius|Fahrenheit)\s*\}?", re.I
)
_BASE = re.compile(r"\(([0-9A-Fa-f]+)\)\s*(_.*)", re.DOTALL)
_SPACED = re.compile(r"([^\d/]*)(\d{1,3}(?: \d{3})+)((?:\.\d+)?[^\d/]*)")
_RUPEES = re.compile(r"\u20b9|\bRs\b|\bINR\b|\brupees?\b")
_LAKHS = re.compile(r"(?<![\d,])\d{1,2}(?:,\d{2})+,\d{3}(?![\d,])")


def undressed(text: str) -> str:
    """Return an answer without colours and underlines."""
    return _UNDERLINE.sub("", _COLOUR.sub("", text)) if "\\" in text else text


def labelled(text: str) -> str:
    """Return an answer without the label before it, which is none where `text` begins with something else."""
    label = _LABEL.match(text)
    if not label:
        return text
    opened = label[0].count("{") - label[0].count("}")
    return text[label.end() :].removesuffix("}" * opened) if opened >= 0 else text


def with_unit(text: str) -> str:
    r"""Return an answer with its unit as a text command, and with plain digits."""
    if outside := _OUTSIDE.fullmatch(text):
        text = rf"{outside[1] or outside[2] or outside[3]}\text{{ {outside[4]}}}"
    elif bracketed := _BRACKETED.fullmatch(text):
        text = rf"{bracketed[1]}\text{{ {bracketed[2]}}}"
    if "(" in text and (based := _BASE.fullmatch(text)):
        text = based[1] + based[2]
    if degrees := re.search(_DEGREES.pattern + r"\Z", text, re.I):
        scale = "celsius" if degrees[1].lower().startswith("c") else "fahrenheit"
        text = rf"{text[: degrees.start()]}\text{{ {scale}}}"
    if spaced := _SPACED.fullmatch(text):
        text = spaced[1] + spaced[2].replace(" ", "") + spaced[3]
    return _LAKHS.sub(lambda found: found[0].replace(",", ""), text) if _RUPEES.search(text) else text
