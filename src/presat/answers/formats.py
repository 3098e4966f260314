r"""Where a response says its answer: the formats that prompts ask for.

- `boxed`: the last balanced `\boxed{}`, or the boxes that stand in one list with it (`\boxed{3}$ and $\boxed{5}`).
- `tag`: the last `<answer>...</answer>`.
- `hash`: the last line that begins with `####`.
- `line`: the last `Answer: ...` or `The answer is ...`, to the end of its sentence.
- `auto`: what is stated last in any of these; else the response itself, where it is an answer and nothing more.

A remark about the answer (`The answer is correct`), a sentence and a heading are statements only where there is no
other. Reasoning up to the last `</think>` is no place for any but `boxed`'s box; one that is never closed leaves none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from presat.answers.boxes import answer_box, boxed_answer, boxes, extract_boxed

Format = Literal["auto", "boxed", "tag", "hash", "line"]

_TAG = re.compile(r"<(/?)answer>", re.IGNORECASE)
_HASH = "####"
_LINE = re.compile(
    r"(?P<lead>\b(?:answers?|(?:correct|right|best|final)[ \t]+(?:option|choice))|\u7b54\u6848)"
    r"(?:[ \t]*[*_]{1,2})?[ \t]*(?:(?:(?:is|are)(?![\w'])|[\u662f\u4e3a\u70ba])[ \t]*[:\uff1a]?|[:\uff1a=])"
    r"(?:[ \t]*[*_]{2})?[ \t]*(?:\n[ \t]*)?"
    r"(?:(?:therefore|thus|simply|just|actually|indeed|now|instead|equal[ \t]to)[ \t]+)?"
    r"|^[ \t#*_]*(?:final[ \t]+)?answer[ \t*_:\uff1a]*\n\s*",
    re.IGNORECASE | re.MULTILINE,
)
_PROSE = re.compile(r"(?:is|are)[ \t]*(?:\w+[ \t]+)?\Z", re.IGNORECASE)
"""How a mark ends that is part of a sentence, and no label (`Answer:`)."""
_SENTENCE_END = re.compile(
    r"[.!?](?:[ \t]+(?!(?:or|and)\b)[^\W\d_]|$)|\u3002|,?[ \t](?:because|since|as|which|so|where)\b|</answer>"
)
_NO_ANSWER = re.compile(r"(?:right|correct|unique|wrong|incorrect|above|below)\b", re.IGNORECASE)
"""What is said of an answer, and is none."""
_SMALL_WORD = re.compile(r"(?!(?:yes|no|true|false|sqrt|pi|ln|log|sin|cos|tan|exp)(?![a-z]))[a-z]{2,}")
_AFTER_HASH = re.compile(r"(?!\d+[.):](?:\s|$))(?:[$(\[+*-]*\.?\d|\$?\\[a-z(])")
"""How an answer begins after `####` in the middle of a response, and no heading."""
_THINKS, _THOUGHT = "<think>", "</think>"
_LONGEST_ALONE = 100
_MOST_PIECES = 8
_NOT_ALONE = ("\n", "?", r"\boxed", "<")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_MATHS = re.compile(r"[\d\\^=πθ∞√½¼¾]")
_MOST_WORDS = 2
"""Words beside numbers in a response that is an answer and nothing more: `5 square meters`."""


class _Statement(NamedTuple):
    """An answer that is stated, with the places of its end and its beginning: the last one ends last.

    Attributes:
        sure: whether it is an answer whatever else is stated; a remark, a sentence or a heading may be none.
        answer: None where the response was cut off within it.
    """

    sure: bool
    end: int
    start: int
    answer: str | None


def read_answer(text: str, form: Format, lists: bool = True) -> str | None:
    """Return the final answer that a response states in a format; None where it states none there.

    Args:
        text: the response.
        form: see the module.
        lists: whether boxes in one list are one answer; else the last of them is.
    """
    if form == "boxed":
        return boxed_answer(text) if lists else extract_boxed(text)
    said = _said(text)
    if form != "auto":
        last = _READERS[form](said)
        return last.answer if last else None
    name, last = _last(said)
    if last is None:
        return _alone(said)
    return extract_boxed(said) if name == "boxed" and not lists else last.answer


def format_of(text: str) -> Format | None:
    """Return the format in which a response states its answer; None where it uses none of them."""
    return _last(_said(text))[0]


def _last(said: str) -> tuple[Format | None, _Statement | None]:
    """The statement that counts in `auto`, and its format."""
    found: list[tuple[Format, _Statement]] = [(name, one) for name, read in _READERS.items() if (one := read(said))]
    return max(found, key=lambda one: one[1][:3], default=(None, None))


def _boxed(said: str) -> _Statement | None:
    box = answer_box(said)
    return _Statement(True, box.end, box.start, boxed_answer(said)) if box else None


def _tagged(said: str) -> _Statement | None:
    start, found = None, None
    for tag in _TAG.finditer(said):
        if tag[1] and start is not None:
            found = _Statement(True, tag.end(), start, _unboxed(said[start : tag.start()].strip()))
        start = None if tag[1] else tag.end()
    return found


def _hashed(said: str) -> _Statement | None:
    """The last line with `####` that is surely an answer, else the last one."""
    end, unsure = len(said), None
    last = True  # line with anything on it
    for line in reversed(said.split("\n")):
        text = line.strip()
        if text.startswith(_HASH) and (answer := text.removeprefix(_HASH).strip()):
            sure = last or bool(_AFTER_HASH.match(answer))
            found = _Statement(sure, end, end - len(line), _unboxed(answer))
            if sure:
                return found
            unsure = unsure or found
        last = last and not text
        end -= len(line) + 1
    return unsure


def _lined(said: str) -> _Statement | None:
    """The last line that is surely an answer, else the last one."""
    within = [(box.start, box.end) for box in boxes(said)]
    unsure, limit = None, len(said)  # an answer line ends where the next begins
    for mark in reversed(list(_LINE.finditer(said))):
        while within and within[-1][0] > mark.start():
            within.pop()
        if within and mark.start() < within[-1][1]:
            continue
        line, limit = said[mark.end() : limit].partition("\n")[0], mark.start()
        end = _SENTENCE_END.search(line)
        line = line[: end.start()] if end else line
        answer = line.strip().strip("*_ \t")
        if not answer or _NO_ANSWER.match(answer):
            continue
        found = _Statement(_is_sure(answer, mark[0]), mark.end() + len(line), mark.start(), _unboxed(answer))
        if found.sure:
            return found
        unsure = unsure or found
    return unsure


def _is_sure(answer: str, mark: str) -> bool:
    """Whether what stands in an answer line is an answer, and no sentence or remark about one."""
    if r"\boxed" in answer or answer.startswith(("$", r"\(")):
        return True
    return _is_short(answer) and not (_PROSE.search(mark) and _SMALL_WORD.match(answer))


def _unboxed(said: str) -> str | None:
    """What is said without the box around it; nothing where that box is never closed: the response was cut off."""
    return boxed_answer(said) if r"\boxed" in said else said


def _alone(said: str) -> str | None:
    """The response itself, where it is an answer and nothing more."""
    said = said.strip()
    return said if _is_short(said) and not any(mark in said for mark in _NOT_ALONE) else None


def _is_short(said: str) -> bool:
    """Whether this is one word, or something to compute with at most two words beside it."""
    if not 0 < len(said) <= _LONGEST_ALONE or len(said.split()) > _MOST_PIECES:
        return False
    return len(_WORD.findall(said)) <= (_MOST_WORDS if _MATHS.search(said) else 1)


def _said(text: str) -> str:
    """What a response says once its reasoning is over; nothing while it is not."""
    _, closed, after = text.rpartition(_THOUGHT)
    said = after if closed else text
    return "" if _THINKS in said else said


_READERS: dict[Format, Callable[[str], _Statement | None]] = {
    "boxed": _boxed, "tag": _tagged, "hash": _hashed, "line": _lined,
}  # fmt: skip
