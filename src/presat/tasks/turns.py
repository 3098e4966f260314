"""Chat turns as rows hold them: role and text. What a prompt of text cannot show is refused, what it drops is counted.

A turn is {role, content}, or {from, value} where those are known. Its content is text, or a list of parts that are all
text. Calls of tools, images and roles that chat templates pass over in silence would make another prompt of it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

from presat.errors import DataError
from presat.text import brief, printable
from presat.types import Message

LOG = logging.getLogger("presat")

ROLES = ("system", "user", "assistant")
_SHAREGPT = {"human": "user", "gpt": "assistant"}
_CALLS = ("tool_calls", "function_call")
_UNSHOWN = ("image", "images", "video", "videos", "audio", "audios", "tools")


def read_turns(
    value: Any, where: str, field: str, left_out: Counter[str] | None = None, sharegpt: bool = False
) -> tuple[Message, ...]:
    """Return the chat turns of a row's field.

    Args:
        value: the field's value: a list of turns, or one.
        where: names the row in errors.
        field: names the field.
        left_out: counts the keys of turns that hold something and are not shown to a model (`name`), by name.
        sharegpt: whether turns may be written as {from, value}, with the roles human and gpt.

    Raises:
        DataError: no turns, or one that cannot be shown to a model of text as it is.
    """
    turns = value if isinstance(value, list | tuple) else [value]
    read = [_turn(turn, f"{where}: field '{field}'", left_out, sharegpt) for turn in turns]
    if not read:
        raise DataError(f"{where}: field '{field}' holds no turns.")
    return tuple(read)


def _turn(turn: Any, field: str, left_out: Counter[str] | None, sharegpt: bool) -> Message:
    keys = turn if isinstance(turn, Mapping) else {}
    role_key, content_key = ("from", "value") if sharegpt and "role" not in keys else ("role", "content")
    role, content = keys.get(role_key), keys.get(content_key)
    if call := next((name for name in _CALLS if keys.get(name)), None):
        raise DataError(f"{field} holds a turn with `{call}`, which the prompt would lose. Leave such rows out.")
    if isinstance(content, list | tuple):
        content = _text_of(content, field)
    if not isinstance(role, str) or not isinstance(content, str):
        raise DataError(f"{field} should be a list of {{role, content}} turns; it holds {brief(turn, 80)}.")
    role = _SHAREGPT.get(role, role) if sharegpt else role
    if role not in ROLES:
        raise DataError(
            f"{field} holds a turn of the role {brief(role, 40)}; known are {', '.join(ROLES)}: a chat template may "
            "leave out any other without a word. Leave such rows out."
        )
    if left_out is not None:
        left_out.update(str(key) for key, item in keys.items() if key not in (role_key, content_key) and item)
    return {"role": role, "content": content}


def _text_of(parts: Any, field: str) -> str:
    """The text of a content that is a list of parts."""
    for part in parts:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if not isinstance(part, Mapping) or kind != "text" or not isinstance(part.get("text"), str):
            shown = f"a part of the type {brief(kind, 40)}" if kind else brief(part, 80)
            raise DataError(f"{field} holds {shown}; a model of text can be shown text alone. Leave such rows out.")
    return "".join(part["text"] for part in parts)


def count_unshown(row: Mapping[str, Any], left_out: Counter[str]) -> None:
    """Count the columns of a row that belong to its prompt and are not shown to a model of text: images, tools."""
    left_out.update(name for name in _UNSHOWN if row.get(name) not in (None, "", "[]", [], {}))


def warn_of_left_out(source: str, left_out: Mapping[str, int]) -> None:
    """Say once for a source what its rows and turns hold that no model is shown, with counts."""
    if left_out:
        counts = ", ".join(f"`{printable(name)[:60]}` {count} times" for name, count in left_out.items())
        LOG.warning("%s: the prompts leave out what its rows hold beside text: %s.", printable(source), counts)
