r"""Reads final answers out of responses: the last balanced `\boxed{}`.

Section 3 of the paper asks for the final answer in `\boxed{}`. Only `\boxed` counts (`\fbox` is ordinary LaTeX
framing, which no prompt asks for). Braces are balanced, escaped braces (`\{`, `\}`) belong to the content, and a
box that is never closed (a response cut at the length limit) is no answer, though a closed box inside it is.
White space may stand before the brace, as LaTeX allows. Everything here takes one pass over the text, whatever it is.

This is the one place that says what a box is and which one is read: the verifier and the format gates both ask here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

_LISTED = re.compile(r"\$?\s*(?:,|;|,?\s*(?:and|or|\\text\{\s*(?:and|or)\s*\}|\\quad))?\s*\$?")
"""What may stand between boxes that are one answer together: `$\boxed{3}$, $\boxed{5}$ and $\boxed{7}$`."""
_TOKEN = re.compile(r"\\boxed\s*\{|\\.|[{}]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Box:
    """A balanced box: its content without white space around it, and its place (`text[start:end]` is the whole box)."""

    content: str
    start: int
    end: int


def boxes(text: str) -> list[Box]:
    r"""Return the outermost balanced boxes of `text`, in order.

    A box inside a box counts as part of it; a box inside one that is never closed stands for itself.
    """
    outermost: list[_Span] = []
    for span in _spans(text):
        while outermost and outermost[-1].start > span.start:
            outermost.pop()
        outermost.append(span)
    return [Box(text[span.inner : span.close].strip(), span.start, span.close + 1) for span in outermost]


def extract_boxed(text: str) -> str | None:
    """Return the content of the box the answer is read from (see `answer_box`), None when there is none."""
    box = answer_box(text)
    return None if box is None else box.content


def boxed_answer(text: str) -> str | None:
    """Return the answer in boxes: that of the last one, or, where a list of boxes ends in it, all of theirs."""
    last = answer_box(text)
    if last is None:
        return None
    if not last.content:
        return ""
    listed, start = [last.content], last.start
    for box in reversed(boxes(text)[:-1]):
        between = text[box.end : start]
        if "\n\n" in between or not box.content or not _LISTED.fullmatch(between):
            break
        listed.append(box.content)
        start = box.start
    return ", ".join(dict.fromkeys(reversed(listed)))


def answer_box(text: str) -> Box | None:
    r"""Return the box the answer is read from: the last balanced `\boxed{}` of `text`, None when there is none.

    The content of a box that holds nothing but another box is that one's.
    """
    spans = _spans(text)
    if not spans:
        return None
    by_start = {span.start: span for span in spans}
    inside: _Span | None = spans[-1]  # the last to be closed: no other box is around it
    first = end = 0
    while inside is not None:
        first, end = inside.inner, inside.close
        while first < end and text[first].isspace():
            first += 1
        while first < end and text[end - 1].isspace():
            end -= 1
        inside = by_start.get(first)
        if inside is not None and inside.close + 1 != end:
            inside = None
    return Box(text[first:end], spans[-1].start, spans[-1].close + 1)


class _Span(NamedTuple):
    """Where a balanced box stands: its first character, the first of its content, and its closing brace."""

    start: int
    inner: int
    close: int


@lru_cache(maxsize=4)  # a response is looked at several times in a row
def _spans(text: str) -> tuple[_Span, ...]:
    """All balanced boxes, nested ones too, in the order in which they are closed."""
    if "\\boxed" not in text:
        return ()
    found: list[_Span] = []
    open_braces: list[tuple[bool, int, int]] = []  # is it a box; where it starts; where its content starts
    for token in _TOKEN.finditer(text):
        word = token.group()
        if word.endswith("{") and not word.startswith("\\{"):
            open_braces.append((word != "{", token.start(), token.end()))
        elif word == "}" and open_braces:
            is_box, start, inner = open_braces.pop()
            if is_box:
                found.append(_Span(start, inner, token.start()))
    return tuple(found)
