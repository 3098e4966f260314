r"""Where a response says its answer: the formats that prompts ask for.

- `boxed`: the last balanced `\boxed{}`, or the boxes that stand in one list with it (`\boxed{3}$ and $\boxed{5}`).
- `tag`: the last `<answer>...</answer>`.
- `hash`: the last line that begins with `####`.
- `line`: the last `Answer: ...` or `The answer is ...`, to the end of its sentence.
- `auto`: the first of these that the response uses; else the response itself, where it is an answer and nothing more.

Reasoning between `<think>` and `</think>` is no place for any but a box, and one that is never closed leaves no answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from presat.answers.boxes import boxed_answer

Format = Literal["auto", "boxed", "tag", "hash", "line"]

_TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)
_HASH = "####"
_LINE = re.compile(
    r"\banswers?(?:[ \t]*[*_]{1,2})?[ \t]*(?:(?:is|are)(?![\w'])[ \t]*[:\uff1a]?|[:\uff1a=])(?:[ \t]*[*_]{2})?[ \t]*"
    r"(?:\n[ \t]*)?(?:(?:therefore|thus|simply|just|equal[ \t]to)[ \t]+)?"
    r"|^[ \t#*_]*(?:final[ \t]+)?answer[ \t*_:\uff1a]*\n\s*",
    re.IGNORECASE | re.MULTILINE,
)
_SENTENCE_END = re.compile(r"[.!?](?:[ \t]+(?!(?:or|and)\b)[^\W\d_]|$)|,?[ \t](?:because|since|as)\b")
_NO_ANSWER = re.compile(r"(?:right|correct|unique|wrong|incorrect)\b", re.IGNORECASE)
"""What is said of an answer, and is none."""
_THOUGHT = "</think>"
_LONGEST_ALONE = 100
_MOST_PIECES = 8
_NOT_ALONE = ("\n", "?", r"\boxed", "<")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_MATHS = re.compile(r"[\d\\^=πθ∞√½¼¾]")
_MOST_WORDS = 2
"""Words beside numbers in a response that is an answer and nothing more: `5 square meters`."""


def read_answer(text: str, form: Format) -> str | None:
    """Return the final answer that a response states in a format; None where it states none there.

    Args:
        text: the response.
        form: see the module.
    """
    if form != "auto":
        return _READERS[form](text)
    return next((said for read in _READERS.values() if (said := read(text)) is not None), _alone(text))


def format_of(text: str) -> Format | None:
    """Return the first format that a response states an answer in; None where it uses none of them."""
    return next((name for name, read in _READERS.items() if read(text) is not None), None)


def _tagged(text: str) -> str | None:
    said, start, answer = _said(text), None, None
    for tag in _TAG.finditer(said):
        if tag[1] and start is not None:
            answer = said[start : tag.start()]
        start = None if tag[1] else tag.end()
    return None if answer is None else _unboxed(answer.strip())


def _hashed(text: str) -> str | None:
    for line in reversed(_said(text).split("\n")):
        said = line.strip()
        if said.startswith(_HASH) and (answer := said.removeprefix(_HASH).strip()):
            return _unboxed(answer)
    return None


def _lined(text: str) -> str | None:
    said = _said(text)
    for mark in reversed(list(_LINE.finditer(said))):
        line = said[mark.end() :].partition("\n")[0].strip()
        end = _SENTENCE_END.search(line)
        answer = (line[: end.start()] if end else line).strip("*_ \t")
        if answer and not _NO_ANSWER.match(answer):
            return _unboxed(answer)
    return None


def _unboxed(said: str) -> str | None:
    """What is said without the box around it; nothing where that box is never closed: the response was cut off."""
    return boxed_answer(said) if r"\boxed" in said else said


def _alone(text: str) -> str | None:
    """The response itself, where it is one word, or something to compute with at most two words beside it."""
    said = _said(text).strip()
    if not 0 < len(said) <= _LONGEST_ALONE or any(mark in said for mark in _NOT_ALONE):
        return None
    if len(said.split()) > _MOST_PIECES:
        return None
    words = len(_WORD.findall(said))
    return said if words <= (_MOST_WORDS if _MATHS.search(said) else 1) else None


def _said(text: str) -> str:
    """What a response says once its reasoning is over; nothing while it is not."""
    _, closed, after = text.rpartition(_THOUGHT)
    return after if closed else "" if text.lstrip().startswith("<think>") else text


_READERS: dict[Format, Callable[[str], str | None]] = {
    "boxed": boxed_answer, "tag": _tagged, "hash": _hashed, "line": _lined,
}  # fmt: skip
