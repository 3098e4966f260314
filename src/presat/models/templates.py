"""Chat templates: turns to token ids, at every place where a prompt is written.

A template is a program that came with a model. transformers runs it in jinja's sandbox; what it raises, its own
refusals included, is said here in one sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from presat.errors import DataError, ModelError
from presat.text import brief, printable
from presat.types import Message

_DETAIL = 300
_TAIL = 16
"""Tokens at the end of a prompt that hold `<think>` and what may follow it."""


def prompt_ids(tokenizer: Any, messages: Sequence[Message], go_on: bool = False) -> list[int]:
    """Return the token ids of a prompt.

    Args:
        tokenizer: its chat template is applied.
        messages: the turns.
        go_on: leave the last turn, the assistant's, open to go on from; otherwise a new one is opened.

    Raises:
        DataError: a turn holds half a character.
        ModelError: there is no template, it does not parse, it refuses the turns, or it writes nothing.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise ModelError("The tokenizer has no chat template; add one to its folder (chat_template.jinja).")
    for message in messages:
        refuse_half_characters(message["content"], f"The {message['role']} turn of a prompt")
    ids = _written(tokenizer, messages, go_on)
    if not ids:
        raise ModelError(f"The model's chat template writes nothing for the turns {brief(_roles(messages))}.")
    return ids


def check_template(tokenizer: Any) -> None:
    """Refuse a chat template that does not even write a user's turn.

    Raises:
        ModelError: see `prompt_ids`.
    """
    prompt_ids(tokenizer, [{"role": "user", "content": "?"}])


def opens_thinking(tokenizer: Any, ids: Sequence[int]) -> bool:
    """Whether a prompt ends in an opened `<think>`, as the templates of some models write it.

    Args:
        tokenizer: the model's.
        ids: the rendered prompt.
    """
    return tokenizer.decode(list(ids)[-_TAIL:], skip_special_tokens=False).rstrip().endswith("<think>")


def refuse_half_characters(text: str, what: str) -> None:
    """Refuse text that no tokenizer takes.

    Raises:
        DataError: it holds half of a surrogate pair.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        around = text[max(0, error.start - 20) : error.start + 20]
        raise DataError(
            f"{what} holds half of a character ({brief(around)}), which no model can read: mend the text where it "
            "comes from."
        ) from error


def _written(tokenizer: Any, messages: Sequence[Message], go_on: bool) -> list[int]:
    try:
        return _apply(tokenizer, messages, go_on)
    except Exception as error:  # the template is a program: it may raise anything
        detail = printable(" ".join(str(error).split()))[:_DETAIL]
        advice = "Set `model.chat_template` to another model of its family, or to a Jinja file."
        if _takes_the_others(tokenizer, messages, go_on):
            advice = (
                "It takes them without the system message: leave that out (`options: {system: ''}`, where the data are "
                "bare questions), or set `model.chat_template`."
            )
        raise ModelError(
            f"The model's chat template cannot write the turns {brief(_roles(messages))} ({type(error).__name__}: "
            f"{detail}). {advice}"
        ) from error


def _apply(tokenizer: Any, messages: Sequence[Message], go_on: bool) -> list[int]:
    encoded = tokenizer.apply_chat_template(
        [dict(message) for message in messages],
        tokenize=True,
        return_dict=True,
        add_generation_prompt=not go_on,
        continue_final_message=go_on,
    )
    return [int(i) for i in encoded["input_ids"]]


def _takes_the_others(tokenizer: Any, messages: Sequence[Message], go_on: bool) -> bool:
    """Whether it is the system message that the template refuses."""
    others = [message for message in messages if message["role"] != "system"]
    if len(others) == len(messages):
        return False
    try:
        return bool(_apply(tokenizer, others, go_on))
    except Exception:  # noqa: BLE001 (as above; what it is, the first error has said)
        return False


def _roles(messages: Sequence[Message]) -> str:
    return ", ".join(message["role"] for message in messages)
