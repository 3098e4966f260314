"""Chat turns as rows hold them: role and text. What a prompt of text cannot show is refused, what it drops is counted.

A turn is {role, content}, or {from, value} where those are known. Its content is text, or a list of parts that are all
text. Calls of tools, images and roles that chat templates pass over in silence would make another prompt of it. A last
turn of the assistant is a response, most likely a worked solution, and no part of a prompt. A question in a column of
its own is shown with the texts beside it that it is about.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from presat.errors import DataError
from presat.tasks.markup import unwrap_chat
from presat.text import brief, printable
from presat.types import Message

LOG = logging.getLogger("presat")

ROLES = ("system", "user", "assistant")
_SHAREGPT = {"human": "user", "gpt": "assistant"}
_CALLS = ("tool_calls", "function_call")
_ASKED_ABOUT = ("body", "story", "passage", "passages", "article", "context", "contexts")
"""Columns that hold what a question in a column of its own is about: a text without which it cannot be answered."""
_COMPLETE = ("prompt",)
"""A column of this name holds all that a model is to be shown."""
OPENED = "<think>"
"""A last turn of the assistant that is this alone is how the response is to begin, and stays."""
RESPONSES = "last turns of the assistant"
"""What the responses left out of prompts are counted as."""


def asked_in(turns: Iterable[Mapping[str, Any]]) -> str:
    """Return what the user said in chat turns, as one text."""
    return "\n".join(turn["content"] for turn in turns if turn["role"] == "user")


def read_turns(
    value: Any,
    where: str,
    field: str,
    left_out: Counter[str] | None = None,
    sharegpt: bool = False,
    as_shown: bool = False,
) -> tuple[Message, ...]:
    """Return the chat turns of a row's field.

    Args:
        value: the field's value: a list of turns, or one.
        where: names the row in errors.
        field: names the field.
        left_out: counts the keys of turns that hold something and are not shown to a model (`name`), by name.
        sharegpt: whether turns may be written as {from, value}, with the roles human and gpt.
        as_shown: whether marks of chat templates stay; else a turn that holds a whole chat becomes its turns.

    Raises:
        DataError: no turns, or one that cannot be shown to a model of text as it is.
    """
    turns = value if isinstance(value, list | tuple) else [value]
    place = f"{where}: field '{field}'"
    read: list[Message] = []
    for turn in turns:
        one = _turn(turn, place, left_out, sharegpt)
        inner = None if as_shown else unwrap_chat(one["content"], place)
        read += [one] if inner is None else [_turn(item, place, left_out, False) for item in inner]
    if not read:
        raise DataError(f"{place} holds no turns.")
    return tuple(read)


def prompt_turns(
    value: Any,
    where: str,
    field: str,
    left_out: Counter[str] | None = None,
    sharegpt: bool = False,
    as_shown: bool = False,
) -> tuple[Message, ...]:
    """Return the chat turns of a row's field that are its prompt: all but the assistant's response at their end.

    Args:
        value: as for `read_turns`, as are the others.
        where: names the row in errors.
        field: names the field.
        left_out: also counts the responses, as `RESPONSES`.
        sharegpt: whether turns may be written as {from, value}.
        as_shown: whether the turns are what a model is shown, just as they are.

    Raises:
        DataError: as `read_turns`, or nothing but a response.
    """
    turns = read_turns(value, where, field, left_out, sharegpt, as_shown)
    kept = turns
    while not as_shown and kept and kept[-1]["role"] == "assistant" and kept[-1]["content"].strip() != OPENED:
        kept = kept[:-1]
    if not kept:
        raise DataError(f"{where}: field '{field}' holds turns of the assistant alone, and nothing that is asked.")
    if left_out is not None and len(kept) < len(turns):
        left_out[RESPONSES] += 1
    return kept


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


def count_unshown(row: Mapping[str, Any], left_out: Counter[str], names: Sequence[str]) -> None:
    """Count those of some columns that hold something, and belong to a prompt that does not show them."""
    left_out.update(name for name in names if holds(row.get(name)))


def whole_question(row: Mapping[str, Any], field: str, where: str, as_shown: bool = False) -> str:
    """Return a question with the texts of its row that it is about: they come first, an `input` after its instruction.

    A text that the question holds already is not repeated.

    Args:
        row: the row.
        field: the column with the question, a text.
        where: names the row in errors.
        as_shown: whether the question is what a model is shown, just as it is.

    Raises:
        DataError: the question holds marks of a chat template and is no whole chat.
    """
    question: str = row[field]
    if as_shown or field.lower() in _COMPLETE or unwrap_chat(question, f"{where}: field '{field}'") is not None:
        return question
    texts = [row[name] for name in _about(row, field) if isinstance(row[name], str)]
    before = [text.strip() for text in texts if text.strip() and text.strip() not in question]
    given = _under(row, "input") if field.lower() == "instruction" else None  # Alpaca's
    after = [row[given].strip()] if given and isinstance(row[given], str) and row[given].strip() else []
    after = [text for text in after if text not in question]
    return "\n\n".join([*before, question.strip(), *after]) if before or after else question


def count_unshown_text(row: Mapping[str, Any], messages: Sequence[Message], left_out: Counter[str]) -> None:
    """Count those columns that a question is usually asked about, and that its prompt does not show."""
    names = _about(row, "")
    if _under(row, "instruction") and (given := _under(row, "input")):
        names.append(given)
    asked = asked_in(messages)
    hidden = [name for name in names if not (isinstance(text := row[name], str) and text.strip() in asked)]
    count_unshown(row, left_out, hidden)


def _about(row: Mapping[str, Any], field: str) -> list[str]:
    """The columns of a row, beside its question's, that hold what is asked about."""
    found = (_under(row, name) for name in _ASKED_ABOUT)
    return [name for name in found if name is not None and name != field]


def _under(row: Mapping[str, Any], name: str) -> str | None:
    """What a row calls a column, however that is capitalised."""
    return next((own for own in row if isinstance(own, str) and own.lower() == name), None)


def holds(value: Any) -> bool:
    """Whether a field holds anything; arrays of tables count by their length."""
    return value is not None and not (isinstance(value, str | list | tuple | Mapping) and (not value or value == "[]"))


def warn_of_left_out(source: str, left_out: Mapping[str, int]) -> None:
    """Say once for a source what its rows and turns hold that no model is shown, with counts."""
    rest = dict(left_out)
    if responses := rest.pop(RESPONSES, 0):
        LOG.warning(
            "%s: %d rows end in a turn of the assistant, a response (a worked solution?), which is no part of the "
            "prompt and was left out. The option `as_shown` keeps it.",
            printable(source), responses,
        )  # fmt: skip
    if rest:
        counts = ", ".join(f"`{printable(name)[:60]}` {count} times" for name, count in rest.items())
        LOG.warning("%s: the prompts leave out what its rows hold beside the question: %s.", printable(source), counts)
