r"""Answers that are no expressions, each compared in its own way: options, words, times, ranges, values with names.

Nothing here asks Math-Verify; `SameValue` is how two values within such answers are compared.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from presat.answers.named import named_parts, paired, parts_of
from presat.answers.units import quantities
from presat.verify.refusals import OTHER_ORDER, OTHER_QUANTITY, same_labels

Verdict = tuple[bool, str | None]
SameValue = Callable[[str, str], Verdict]

_OPTION = re.compile(r"[A-J]")
_CHOSEN = re.compile(
    r"(?:(?:[Tt]he\s+)?(?:(?:[Cc]orrect|[Rr]ight|[Bb]est|[Ff]inal)\s+)?(?:[Aa]nswer|[Oo]ption|[Cc]hoice)\s+"
    r"(?:is\s+)?)?(?:\\(?:text|mathrm|textbf)\s*\{)?\s*\(?\s*"
    r"([A-Ja-j])(?:\s*[)}])*\s*(?:$|[.:][\s}]*$|[.:)]\s*(?![A-J]\b)\S)"
)
"""An option's letter, alone or before its text: `E`, `(E)`, `E: a polygenic score`, `B. 42`."""

_OTHERS = re.compile(
    r"\([A-J]\)|(?<![A-Za-z])[A-J](?=[):])|\b(?:or|and|not|wrong|false)\s*:?\s*(?:\(?[A-J]\b|$|this)|[,/;]\s*\(?[A-J]\b|"
    r"\.\s*[Oo]r\b|^\W*(?:is\s+)?(?:wrong|false|not)\b"
)
"""Another option named after the first, or the first denied."""
_WITH_TEXT = re.compile(r"(?:\\(?:text|textbf|mathrm)\s*\{\s*)?\(([A-J])\)\s*\}?(?:\\?\s)\s*(\S.*)", re.DOTALL)
"""An option with its letter in brackets: `(B) 2`."""
_SEVERAL = re.compile(r"[A-J](?:(?:\s*(?:,|and|&)\s*)+[A-J])+|[A-J]{2,}")
_PERCENT = re.compile(r"(.*[\d)}])\s*(?:\\?%|\\text\s*\{\s*(?:percent|\\?%)\s*\}|percent)", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]{4,}(?:[ '-][A-Za-z]+)*|[A-Za-z]+(?:[ '-][A-Za-z]{2,})+")
_IN_TEXT = re.compile(r"\\(?:text|textbf|mathrm)\s*\{([A-Za-z][A-Za-z '-]*)\}")
_YES_OR_NO = re.compile(r"(?:\\text\s*\{\s*)?(yes|no)\s*[,.;:]\s+(.*)", re.IGNORECASE | re.DOTALL)
_UNDECIDED = re.compile(r"\b(?:yes|no|or|but|wait|actually|maybe|perhaps|however|wrong|false)\b", re.IGNORECASE)
_NUMBER = r"(?:\\?\$\s*)?(\d+(?:\.\d+)?)(?:\\?%)?"
_RANGE = re.compile(
    rf"(?:from\s+)?{_NUMBER}(?:-|\s*\\text\s*\{{\s*to\s*\}}\s*|\s+to\s+|\s*\\sim\s*){_NUMBER}"
    r"\s*(\\text\s*\{[^{}]*\}|\\?%|[A-Za-z][A-Za-z ./]*)?"
)
_DATE = re.compile(r"\d+(?:[-/]\d+){2,}")


def same_in_kind(gold: str, said: str, pair: tuple[str, str], same: SameValue) -> Verdict | None:
    """Return the verdict on answers that are no expressions; None on all others.

    Args:
        gold: the gold answer as it is.
        said: the answer likewise, without dollars around it.
        pair: both in normal form.
        same: compares two values.
    """
    if _OPTION.fullmatch(pair[0]) and (option := _CHOSEN.match(said) or _CHOSEN.match(pair[1])):
        return option[1].upper() == pair[0] and not _OTHERS.search(option.string, option.end(1)), None
    if found := _options(pair, same) or _same_letters(*pair):
        return found
    if _is_word(gold, pair[0]):
        return _same_word(*pair), None
    if any("-" in text and (_RANGE.fullmatch(text) or _DATE.fullmatch(text)) for text in pair):
        return _same_range(pair)
    if (alike := same_labels(*pair)) is not None:
        return alike, None if alike else OTHER_QUANTITY
    return _same_named(pair, same) or _same_range(pair) or _same_shares(pair, same)


def _options(pair: tuple[str, str], same: SameValue) -> Verdict | None:
    """Options with their letter before them, against each other, against the letter and against the text alone."""
    ours, theirs = (_WITH_TEXT.fullmatch(text) for text in pair)
    if not (ours or theirs):
        return None
    for option in (ours, theirs):
        if option and _OTHERS.search(option[2]):
            return (True, None) if pair[0] == pair[1] else (False, None)
    if ours and theirs and ours[1] != theirs[1]:
        return False, None
    if ours and (letter := re.fullmatch(r"\(?([A-J])[).:]*", pair[1])):
        return letter[1] == ours[1], None
    return same(ours[2] if ours else pair[0], theirs[2] if theirs else pair[1])


def _same_letters(gold: str, answer: str) -> Verdict | None:
    """Several options, as one word and as a list: `ABD` is `A, B, D`; letters out of order stand for something else."""
    if not all(_SEVERAL.fullmatch(text) for text in (gold, answer)) or gold.isalpha() == answer.isalpha():
        return None
    ours, theirs = (re.findall("[A-J]", text) for text in (gold, answer))
    if sorted(set(ours)) != ours:
        return None
    return ours == sorted(theirs), None if ours == sorted(theirs) else OTHER_ORDER


def _same_word(gold: str, answer: str) -> bool:
    decided = _YES_OR_NO.fullmatch(answer) if gold.lower() in ("yes", "no") else None
    if decided and not _UNDECIDED.search(decided[2]):
        answer = decided[1]
    return _folded(gold) == _folded(answer)


def _same_named(pair: tuple[str, str], same: SameValue) -> Verdict | None:
    """Values with names: each is compared with that of its name, or with that in its place where there are none."""
    if all(quantities(text) for text in pair):
        return None
    ours, theirs = (named_parts(text) for text in pair)
    if not (ours or theirs):
        return None
    if ours and theirs:
        values = paired(ours, theirs)
    else:
        named, plain = (ours, pair[1]) if ours else (theirs, pair[0])
        others = parts_of(plain)
        if not ours and not plain.startswith("("):  # a gold list without names is a set
            return None
        if not named or len(named) != len(others) or plain.startswith("\\{"):
            return False, OTHER_QUANTITY
        if not ours:
            named = sorted(named)
        values = [(value, other) if ours else (other, value) for (_, value), other in zip(named, others, strict=True)]
    right = values is not None and all(same(*value)[0] for value in values)
    return right, None if right else OTHER_QUANTITY


def _same_range(pair: tuple[str, str]) -> Verdict | None:
    """Dates, scores and ranges are no sums: `10-15` is `10 to 15` and nothing else."""
    if any(_DATE.fullmatch(text) for text in pair):
        return pair[0] == pair[1], None if pair[0] == pair[1] else OTHER_QUANTITY
    ours, theirs = (_RANGE.fullmatch(text) for text in pair)
    if not (ours or theirs):
        return None
    if not (ours and theirs) or ours.groups()[:2] != theirs.groups()[:2]:
        return False, OTHER_QUANTITY
    units = [re.sub(r"\\text|[\\{}]", "", found[3] or "").strip() for found in (ours, theirs)]
    known = [quantities(f"1 {unit}") for unit in units]
    right = "" in units or units[0] == units[1] or bool(known[0] & known[1])
    return right, None if right else OTHER_QUANTITY


def _same_shares(pair: tuple[str, str], same: SameValue) -> Verdict | None:
    """Compare percentages: 50% is 50 where the question asks for percent, and 0.5."""
    shares = [_PERCENT.fullmatch(text) for text in pair]
    if not any(shares):
        return None
    gold, answer = (found[1].strip() if found else text for found, text in zip(shares, pair, strict=True))
    value, reason = same(gold, answer)
    if value or all(shares):
        return value, reason
    hundredth = (rf"\frac{{{gold}}}{{100}}", answer) if shares[0] else (gold, rf"\frac{{{answer}}}{{100}}")
    value = same(*hundredth)[0]
    return value, None if value else reason


def _is_word(gold: str, normal: str) -> bool:
    """Whether a gold answer is words, which no arithmetic with their letters makes right."""
    text = _IN_TEXT.fullmatch(gold.strip().strip("$"))
    named = _WORD.fullmatch(normal) and not normal.isupper()  # points in capitals may be a product
    return bool(named or (text and len(text[1].strip()) > 1)) or normal.lower() in ("yes", "no")


def _folded(text: str) -> str:
    return " ".join(text.strip("\"' ").casefold().split())
