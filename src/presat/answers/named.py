r"""Values with names or labels: `x=1, y=2`, `Alice: 5, Bob: 3`, `5 red, 3 blue`. Which value is whose is the answer.

Values with one name (`x=3, x=5`) or one unit (`3 cm, 4 cm`) are a list like any other and are not read here.
"""

from __future__ import annotations

import re
from itertools import permutations

_AND = r"\s*(?:,?\s*\\text\s*\{\s*,?\s*and\s*\}|,?\s*\band\b|[,;](?!\d{3}(?!\d)))\s*"
_SPLIT = re.compile(_AND + r"|([(\[{])|([)\]}])")
_NAMED = re.compile(r"([A-Za-z\\][\w\\{}'() -]{0,60}?)\s*[=:]\s*([^=:]+)", re.DOTALL)
_LABELLED = re.compile(
    r"([+-]?(?:\d[\d,]*(?:\.\d+)?|\\frac\{\d+\}\{\d+\}))\s*(?:\\(?:text|mathrm|textrm|mbox)\s*\{([^{}]*)\}|"
    r"\s([A-Za-z][A-Za-z' -]+))"
)
_TUPLE = re.compile(r"\(([^()]*)\)\s*=\s*\((.*)\)", re.DOTALL)
_OR = re.compile(r"\bor\b|\\(?:lor|vee)(?![A-Za-z])")
_MOST = 6
"""Parts whose order is tried; more are compared by their names alone."""

Parts = list[tuple[str, str]]


def named_parts(text: str) -> Parts | None:
    """Return the names and values in an answer in normal form; None where it is no list of values with names."""
    if _OR.search(text):
        return None
    if found := _TUPLE.fullmatch(text):
        names, values = parts_of(found[1]), parts_of(found[2])
        parts = list(zip(names, values, strict=True)) if len(names) == len(values) else []
    else:
        parts = [one for part in parts_of(text) if (one := _named(part))]
        parts = parts if len(parts) == len(parts_of(text)) else []
    names = {name for name, _ in parts}
    return parts if len(parts) > 1 and len(names) == len(parts) else None


def parts_of(text: str) -> list[str]:
    """Return the parts of a list, or of a tuple, outside all brackets."""
    text = text.strip()
    if text.startswith("(") and text.find(")") == len(text) - 1:
        text = text[1:-1]
    parts, depth, start = [], 0, 0
    for found in _SPLIT.finditer(text):
        if found[1] or found[2]:
            depth += 1 if found[1] else -1
        elif depth == 0:
            parts.append(text[start : found.start()].strip())
            start = found.end()
    return [*parts, text[start:].strip()]


def paired(gold: Parts, answer: Parts) -> list[tuple[str, str]] | None:
    """Return the values of two lists that have one name, in pairs; None where the names differ."""
    if len(gold) != len(answer):
        return None
    if {name for name, _ in gold} == {name for name, _ in answer}:
        values = dict(answer)
        return [(value, values[name]) for name, value in gold]
    if len(gold) > _MOST:
        return None
    orders = [
        order
        for order in permutations(answer)
        if all(_alike(ours, theirs) for (ours, _), (theirs, _) in zip(gold, order, strict=True))
    ]
    if len(orders) != 1:
        return None
    return [(ours, theirs) for (_, ours), (_, theirs) in zip(gold, orders[0], strict=True)]


def _named(part: str) -> tuple[str, str] | None:
    if found := _NAMED.fullmatch(part):
        return _plain(found[1]), found[2].strip()
    if found := _LABELLED.fullmatch(part):
        label = _plain(found[2] or found[3])
        return (label, found[1]) if len(label) > 1 else None
    return None


def _plain(name: str) -> str:
    name = " ".join(re.sub(r"\\text|\\mathrm|[{}]", "", name).split())
    return name if len(name) < 2 else " ".join(word.removesuffix("s") for word in name.split())


def _alike(one: str, other: str) -> bool:
    """Whether one label is part of the other: `red` and `red ball`."""
    ours, theirs = set(one.lower().split()), set(other.lower().split())
    return bool(ours) and bool(theirs) and (ours <= theirs or theirs <= ours)
