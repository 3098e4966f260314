r"""Prompts that went through a chat template before: the next one would wrap them a second time.

A text that is a whole chat in the marks of ChatML, Llama 3 or Gemma becomes its turns again. Any other text with such
marks in it is refused: nobody knows what the model was meant to be shown.
"""

from __future__ import annotations

import re

from presat.errors import DataError
from presat.types import Message

_OPENERS = (
    re.compile(r"<\|im_start\|>[ \t]*(\w+)[ \t]*\n"),
    re.compile(r"<\|start_header_id\|>[ \t]*(\w+)[ \t]*<\|end_header_id\|>\s*"),
    re.compile(r"<start_of_turn>[ \t]*(\w+)[ \t]*\n"),
)
_ENDS = ("<|im_end|>", "<|eot_id|>", "<end_of_turn>")
_FIRST = re.compile(r"\s*(?:<\|begin_of_text\|>|<bos>)?\s*")
_MARK = re.compile(
    r"<\|im_(?:start|end)\|>|<\|(?:start|end)_header_id\|>|<\|eot_id\|>|<\|begin_of_text\|>|<(?:start|end)_of_turn>"
    r"|\[/?INST\]|<\|(?:system|user|assistant)\|>|<\uff5c(?:User|Assistant)\uff5c>"
)
_ROLES = {"model": "assistant"}


def unwrap_chat(text: str, field: str) -> list[Message] | None:
    """Return the turns of a text that is a whole chat in a template's marks; None for a text without such marks.

    Args:
        text: the text.
        field: names it in errors.

    Raises:
        DataError: marks that make no whole chat.
    """
    mark = _MARK.search(text)
    if mark is None:
        return None
    for opener, end in zip(_OPENERS, _ENDS, strict=True):
        if turns := _turns(text, opener, end):
            return turns
    raise DataError(
        f"{field} holds marks of a chat template (`{mark[0]}`), which the model's own template would wrap again. Write "
        "the chat as a list of {role, content} turns, or remove the marks."
    )


def _turns(text: str, opener: re.Pattern[str], end: str) -> list[Message]:
    """The turns of one kind of marks; none where the text is anything more or less than such turns."""
    first = _FIRST.match(text)
    openers = list(opener.finditer(text))
    if not openers or first is None or openers[0].start() != first.end():
        return []
    turns: list[Message] = []
    stops = [found.start() for found in openers[1:]] + [len(text)]
    for found, stop in zip(openers, stops, strict=True):
        content, closed, after = text[found.end() : stop].partition(end)
        if after.strip() or _MARK.search(content) or (not closed and stop != len(text)):
            return []
        role = _ROLES.get(found[1].lower(), found[1].lower())
        if closed or content.strip():  # else the opened turn of the response to come
            turns.append({"role": role, "content": content.strip() if closed else content})
    return turns
