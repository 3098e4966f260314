r"""Multiple-choice answers: `B`, `(B)`, `Option B`, `\text{B}`, `**B**`, `B) the text` or the text of an option itself.

Needs no worker process. Which option is meant is decided before the gold answer is looked at. Answers are hostile text:
nothing here takes more than a few passes over them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from presat.answers.normal import of_usual_width
from presat.verify.reasoning_gym import plain

NO_OPTION = "none of the options"
NO_LETTER = "no option has this letter"
SEVERAL = "several options"
CONTRADICTION = "letter and text of different options"
DENIED = "the option is denied"

_PAIRS = {"{": "}", "(": ")", "[": "]", "*": "*", "_": "_", "`": "`", '"': '"', "'": "'"}
_DEPTH = 8
_ALONE = re.compile(r"([A-Za-z])\)?\s*[.:]?")
_LETTERED = re.compile(r"\(?([A-Za-z])(?!\w)\)?\s*[.:,]?\s*(?:[-–—]\s+)?(?=\S)")
_SURE = re.compile(r"\(?[A-Za-z](?:\)|:\s|\s+\()")
_PREFIX = re.compile(
    r"(?:[*_]*(?:the\s+)?(?:(?:correct|right|best|final)\s+)?(?:answer|option|choice)(?:\s+is)?\b\s*:?[*_]*\s*){1,3}",
    re.IGNORECASE,
)
_DENIED = re.compile(r"(?:is\s+)?(?:not|wrong|false|incorrect)\b", re.IGNORECASE)
_JOINED = re.compile(r"(?:or|and)\b", re.IGNORECASE)
_LETTERS_ALONE = re.compile(r"[^\w]*[A-Za-z](?:[^\w]+[A-Za-z])*[^\w]*")
_SHORT = 3
"""Options of so few characters stand in other words' sentences by chance."""
_NAMED = re.compile(r"(?<![\w\\])(?!A\s+(?!and\b|or\b)[a-z])[A-Z](?!\w)")
"""A capital letter that stands alone, but for the article in `A stone falls`."""


def letter_of(index: int) -> str:
    """The letter of an option, counted from 0."""
    return chr(ord("A") + index)


def read_choice(answer: str, choices: Sequence[str]) -> tuple[str | None, str | None]:
    """Return the letter of the option an answer means; or None, and the reason why it means none.

    A capital letter is a letter; other text is compared with the options, white space, case, emphasis and LaTeX's text
    commands aside; a small letter that is no option's text is a letter too. After `B)`, `B: ` and `B (` anything may
    follow but another option's letter or text; after `B.`, `B,` and `B -`, which also begin names and formulas, only
    the option's own text.
    """
    letters = [letter_of(index) for index in range(len(choices))]
    text = _unwrapped(plain(of_usual_width(answer)))
    alone = _ALONE.fullmatch(text)
    if alone and alone[1] in letters:
        return alone[1], None
    same = _options_of(answer, choices)
    if same:
        return (same[0], None) if len(same) == 1 else (None, SEVERAL)
    if prefix := _PREFIX.match(text):
        text = _unwrapped(text[prefix.end() :])
        if same := _options_of(text, choices):
            return (same[0], None) if len(same) == 1 else (None, SEVERAL)
        alone = _ALONE.fullmatch(text)
    if alone:
        return (alone[1].upper(), None) if alone[1].upper() in letters else (None, NO_LETTER)
    return _lettered(text, letters, choices)


def _lettered(text: str, letters: Sequence[str], choices: Sequence[str]) -> tuple[str | None, str | None]:
    """Read a letter with text after it."""
    found = _LETTERED.match(text)
    if found and (letter := found[1].upper()) in letters:
        rest = text[found.end() :]
        same = _options_of(rest, choices)
        if letter in same:
            return letter, None
        if _SURE.match(text):
            if same:
                return None, CONTRADICTION
            if _DENIED.match(rest):
                return None, DENIED
            return (None, SEVERAL) if _names_another(rest, letter, letters, choices) else (letter, None)
    if len(set(_NAMED.findall(text)) & set(letters)) > 1:
        return None, SEVERAL
    return None, NO_LETTER if _SURE.match(text) else NO_OPTION


def _names_another(rest: str, letter: str, letters: Sequence[str], choices: Sequence[str]) -> bool:
    """Whether what follows an option's letter names another option, by letter or by its text within a longer one."""
    if set(_NAMED.findall(rest)) & set(letters) - {letter} or _JOINED.match(rest):
        return True
    if _LETTERS_ALONE.fullmatch(rest) and {one.upper() for one in re.findall("[A-Za-z]", rest)} != {letter}:
        return True
    said, options = f" {_bare(re.sub(r'[,;]', ' ', rest))} ", zip(letters, map(_bare, choices), strict=True)
    return any(f" {option} " in said for other, option in options if other != letter and len(option) > _SHORT)


def _options_of(text: str, choices: Sequence[str]) -> list[str]:
    """The letters of the options that say this text, as it is or else without the brackets around all of it."""
    options = [_bare(choice) for choice in choices]
    for form in (_bare(text), _bare(_unwrapped(plain(text)))):
        if same := [letter_of(index) for index, option in enumerate(options) if option == form]:
            return same
    return []


def _unwrapped(text: str) -> str:
    """The text without the brackets, quotes and emphasis around all of it."""
    text = text.strip()
    for _ in range(_DEPTH):
        if len(text) < 2 or _PAIRS.get(text[0]) != text[-1]:
            break
        text = text[1:-1].strip()
    return text


def _bare(text: str) -> str:
    return " ".join(plain(text).split()).rstrip(".").lower()
