r"""Scales that an answer alone names: `5k` is 5000 and `5 pairs` are 10, beside a gold answer without them.

Which it is shows only beside the gold answer: `2k` is a product where the gold answer has a letter, `300 K` are kelvins
where it says so, and `5 pairs` are 5 where the question asks for pairs.
"""

from __future__ import annotations

import re
from decimal import Decimal

from presat.answers.normal import unwrapped

_FACTORS = {
    "k": "1e3", "K": "1e3", "M": "1e6", "B": "1e9", "mn": "1e6", "mln": "1e6", "bn": "1e9", "bln": "1e9", "tn": "1e12",
    "pair": "2", "dozen": "12", "score": "20", "gross": "144", "ppm": "1e-6", "ppb": "1e-9", "permille": "1e-3",
    "per mille": "1e-3", "per mil": "1e-3", "‰": "1e-3", r"\permil": "1e-3", r"\textperthousand": "1e-3", "‱": "1e-4",
    "parts per million": "1e-6", "parts per billion": "1e-9", "basis points": "1e-4", "bps": "1e-4",
}  # fmt: skip
_UNITS_IN_TEXT = ("K", "M", "B")
"""Kelvins, moles per liter and bytes where they stand in a text command, as units do."""
_SCALED = re.compile(
    r"(?:[A-Za-z] ?= ?)?(?P<before>[-+$€£¥₹(\\]{0,4} ?)"
    r"(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?:[ ~]|\\[,;:! ]){0,3}"
    r"(?P<text>\\(?:text|mathrm|textrm|mbox)\s?\{ ?)?(?P<scale>"
    + "|".join(re.escape(scale) for scale in sorted(_FACTORS, key=len, reverse=True))
    + r")s?(?![A-Za-z])(?P<after>(?: [A-Za-z]{2,})* ?)(?(text)\})(?P<end>[$). ]{0,4})"
)
_NUMBER = re.compile(r"[+-]?[\d.,]+|[+-]?\\frac\s*\{\d+\}\s*\{\d+\}|[+-]?\d+\s*/\s*\d+")
_LONGEST = 80


def multiplied_out(number: str, gold: str, answer: str) -> str:
    """Return an answer with its scale multiplied out where the gold answer is a number without that scale.

    Args:
        number: the gold answer's normal form without its unit.
        gold: the gold answer.
        answer: the answer.
    """
    text = unwrapped(answer.strip()) if len(answer) < _LONGEST else answer
    if len(text) > _LONGEST or not _NUMBER.fullmatch(number):
        return answer
    found = _SCALED.fullmatch(text)
    if not found or (found["text"] and found["scale"] in _UNITS_IN_TEXT):
        return answer
    scale = found["scale"]
    if re.search(rf"(?<![A-Za-z]){re.escape(scale)}s?(?![A-Za-z])", gold):
        return answer
    value = Decimal(found["number"].replace(",", "")) * Decimal(_FACTORS[scale])
    return f"{found['before']}{value:f}{found['after'].rstrip()}{found['end']}"
