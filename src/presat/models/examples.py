"""A worked example as a model is trained on it: its ids, and which of them carry loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from presat.models.templates import prompt_ids, refuse_half_characters
from presat.types import Message

IGNORED = -100
"""Label of tokens that carry no loss."""


@dataclass(frozen=True)
class Row:
    """One tokenised sequence; `labels` are `IGNORED` where there is no loss."""

    input_ids: np.ndarray
    labels: np.ndarray


def row(prompt_ids: Sequence[int], completion_ids: Sequence[int]) -> Row:
    """Return a row whose loss is on the completion only (on everything when there is no prompt)."""
    labels = [IGNORED] * len(prompt_ids) + list(completion_ids)
    return Row(np.array([*prompt_ids, *completion_ids], dtype=np.int64), np.array(labels, dtype=np.int64))


def tokenised(messages: Sequence[Message], response: str, tokenizer: Any) -> Row:
    """Return the example as a row: the prompt through the chat template, then the response and the end of sequence.

    Raises:
        DataError: see `prompt_ids`; also of the response.
        ModelError: see `prompt_ids`.
    """
    prompt = prompt_ids(tokenizer, messages)
    refuse_half_characters(response, "The response of an example")
    ids = tokenizer(response, add_special_tokens=False)["input_ids"]
    return row(prompt, [*ids, tokenizer.eos_token_id])


def sizes(rows: Sequence[Row], too_long: int) -> dict[str, int]:
    """Return the metrics that say how much data there is: examples, and tokens of one pass over them."""
    response_tokens = sum(int((item.labels != IGNORED).sum()) for item in rows)
    return {
        "data/examples": len(rows),
        "data/too_long": too_long,
        "data/prompt_tokens": sum(len(item.input_ids) for item in rows) - response_tokens,
        "data/response_tokens": response_tokens,
    }
