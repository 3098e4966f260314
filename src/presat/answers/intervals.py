r"""Intervals said as inequalities: `0 \le x < 1` is `[0,1)`, `x<2 \text{ or } x>3` is `(-\infty,2)\cup(3,\infty)`."""

from __future__ import annotations

import re

_LESS = r"(?:<=|\\leq?(?:slant)?(?![A-Za-z])|<|\\lt(?![A-Za-z]))"
_MORE = r"(?:>=|\\geq?(?:slant)?(?![A-Za-z])|>|\\gt(?![A-Za-z]))"
_NAME = r"(?:[a-zA-Z]|\\[a-z]+)"
_END = r"[^<>=]+?"
_BETWEEN = re.compile(rf"({_END})\s*({_LESS})\s*({_NAME})\s*({_LESS})\s*({_END})")
_BETWEEN_DOWN = re.compile(rf"({_END})\s*({_MORE})\s*({_NAME})\s*({_MORE})\s*({_END})")
_BELOW = re.compile(rf"({_NAME})\s*({_LESS})\s*({_END})")
_ABOVE = re.compile(rf"({_NAME})\s*({_MORE})\s*({_END})")
_OR = re.compile(r"\s*(?:,?\s*\bor\b\s*|,?\s*\\text\s*\{\s*,?\s*or\s*\}\s*|\\lor\b\s*|\\vee\b\s*)")
_IN = re.compile(rf"{_NAME}\s*\\in(?![A-Za-z])\s*(.+)", re.DOTALL)
_INTERVAL = re.compile(r"[\[(].*[\])]", re.DOTALL)


def interval_pair(gold: str, answer: str) -> tuple[str, str] | None:
    """Bring a pair of an interval and an inequality to two intervals; None where it is no such pair."""
    gold, answer = (found[1] if (found := _IN.fullmatch(text)) else text for text in (gold, answer))
    forms = [text if _INTERVAL.fullmatch(text) else None for text in (gold, answer)]
    if (forms[0] is None) == (forms[1] is None):
        return (gold, answer) if forms[0] else None
    ours, theirs = forms[0] or _as_intervals(gold), forms[1] or _as_intervals(answer)
    return (ours, theirs) if ours and theirs else None


def _as_intervals(text: str) -> str | None:
    parts = [_as_interval(part.strip()) for part in _OR.split(text)]
    return r"\cup".join(part for part in parts if part) if all(parts) else None


def _as_interval(text: str) -> str | None:
    if found := _BETWEEN.fullmatch(text):
        low, left, _, right, high = found.groups()
    elif found := _BETWEEN_DOWN.fullmatch(text):
        high, right, _, left, low = found.groups()
    elif found := _BELOW.fullmatch(text):
        low, left, right, high = r"-\infty", "<", found[2], found[3]
    elif found := _ABOVE.fullmatch(text):
        low, left, right, high = found[3], found[2], ">", r"\infty"
    else:
        return None
    return f"{'(' if _strict(left) else '['}{low.strip()},{high.strip()}{')' if _strict(right) else ']'}"


def _strict(relation: str) -> bool:
    return relation in ("<", ">", r"\lt", r"\gt")
