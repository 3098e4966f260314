r"""Reads final answers out of responses: the last balanced `\boxed{}`.

Section 3 of the paper asks for the final answer in `\boxed{}`. Only `\boxed` counts (`\fbox` is ordinary LaTeX
framing, which no prompt asks for). Braces are balanced, escaped braces (`\{`, `\}`) belong to the content, and a
box that is never closed (a response cut at the length limit) is no answer, though a closed box inside it is.
Everything here takes one pass over the text, whatever it holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(r"\\boxed\s*\{|\\.|[{}]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Box:
    """One balanced box: its content and where it stands (`text[start:end]` is the whole box)."""

    content: str
    start: int
    end: int


def boxes(text: str) -> list[Box]:
    r"""Return the outermost balanced boxes of `text`, in order.

    A box inside a box counts as part of it; a box inside one that is never closed stands for itself.
    """
    found: list[Box] = []
    open_braces: list[tuple[bool, int, int]] = []  # is it a box; where it starts; where its content starts
    for token in _TOKEN.finditer(text):
        word = token.group()
        if word.endswith("{") and not word.startswith("\\{"):
            open_braces.append((word != "{", token.start(), token.end()))
        elif word == "}" and open_braces:
            is_box, start, content = open_braces.pop()
            if is_box:
                while found and found[-1].start > start:
                    found.pop()
                found.append(Box(text[content : token.start()].strip(), start, token.end()))
    return found


def extract_boxed(text: str) -> str | None:
    r"""Return the content of the last balanced `\boxed{}` of `text`, None when there is none.

    White space around the content is dropped; a box whose whole content is another box is read as that one.
    """
    found = boxes(text)
    if not found:
        return None
    content = found[-1].content
    while (inner := boxes(content)) and inner[-1].start == 0 and inner[-1].end == len(content):
        content = inner[-1].content
    return content
