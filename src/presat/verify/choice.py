r"""Multiple-choice answers: `B`, `(B)`, `\text{B}`, `B) the text` or the text of an option itself.

Needs no worker process. Which option is meant is decided before the gold answer is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from presat.verify.reasoning_gym import plain

_LETTER = re.compile(r"\(?([A-Za-z])\)?[.:)]?")
_LETTERED = re.compile(r"\(?([A-Z])[.:)]\s*(?=\S)")


def letter_of(index: int) -> str:
    """The letter of an option, counted from 0."""
    return chr(ord("A") + index)


def read_choice(answer: str, choices: Sequence[str]) -> str | None:
    """Return the letter of the option an answer means, or None when it means none, or several.

    A capital letter is a letter; other text is compared with the options, white space, case and LaTeX's text commands
    aside; a small letter that is no option's text is a letter too.
    """
    text = plain(answer)
    letters = [letter_of(index) for index in range(len(choices))]
    alone = _LETTER.fullmatch(text)
    if alone and alone[1] in letters:
        return alone[1]
    same = [letter for letter, choice in zip(letters, choices, strict=True) if _bare(choice) == _bare(answer)]
    if len(same) == 1:
        return same[0]
    if alone:
        return alone[1].upper() if alone[1].upper() in letters else None
    lettered = _LETTERED.match(text)
    if lettered and lettered[1] in letters:
        rest = text[lettered.end() :]
        return lettered[1] if _bare(rest) == _bare(choices[letters.index(lettered[1])]) else None
    return None


def _bare(text: str) -> str:
    return " ".join(plain(text).split()).rstrip(".").lower()
