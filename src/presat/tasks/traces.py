"""Reasoning traces as people publish them: one row's prompt, trace, solution and gold answer (section 4, appendix B).

Two layouts are read: columns (`problem`, `deepseek_reasoning`, `deepseek_solution`, `ground_truth_solution` of
OpenThoughts-114k's `metadata` subset, and other usual names) and chats (`messages` or `conversations`, whose last turn
holds the trace between `<think>` and `</think>`, or between OpenThoughts' own markers).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Number
from typing import Any

from presat.errors import ConfigError, DataError, nearest
from presat.tasks.rows import answer_text, final_answer
from presat.types import Message

COLUMNS: dict[str, tuple[str, ...]] = {
    "messages": ("messages", "conversations"),
    "question": ("question", "problem", "prompt"),
    "trace": ("trace", "deepseek_reasoning", "reasoning", "thinking"),
    "solution": ("solution", "deepseek_solution", "response"),
    "answer": ("answer", "gold", "ground_truth", "final_answer", "ground_truth_solution"),
}
"""What a column can be named as, and the names that are found by themselves, the preferred first."""
_THOUGHT = re.compile(
    r"(?:<think>|<\|begin_of_thought\|>)(?P<trace>.*?)(?:</think>|<\|end_of_thought\|>)(?P<rest>.*)", re.DOTALL
)
_MARKERS = re.compile(r"<\|(?:begin|end)_of_solution\|>")
_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}


@dataclass(frozen=True, slots=True)
class Trace:
    """One worked problem.

    Attributes:
        prompt: the chat turns before the response.
        trace: the reasoning, without its markers; empty when the row has none.
        solution: what the response says after its reasoning.
        gold: the reference answer, or a reference solution with the answer in a box; None when there is none.
    """

    prompt: tuple[Message, ...]
    trace: str
    solution: str
    gold: str | None

    def thinking(self) -> list[Message]:
        """The chat of the Thinking set: `<think>` trace `</think>`, then the solution."""
        return self._chat(f"<think>\n{self.trace}\n</think>\n\n{self.solution}")

    def non_thinking(self) -> list[Message]:
        """The chat of the Non-Thinking set: the solution alone."""
        return self._chat(self.solution)

    def _chat(self, response: str) -> list[Message]:
        return [*self.prompt, Message(role="assistant", content=response)]


def read_trace(row: Mapping[str, Any], columns: Mapping[str, str], where: str) -> Trace:
    """Read one row; `columns` names columns over the usual ones.

    Raises:
        ConfigError: `columns` names what there is not.
        DataError: a column is missing or of the wrong kind; the message has the row and the field.
    """
    names = _names(row, columns, where)
    if "messages" in names:
        prompt, response = _from_chat(row[names["messages"]], f"{where}, field '{names['messages']}'")
        found = _THOUGHT.search(response)
        trace, rest = (found["trace"], found["rest"]) if found else ("", response)
        # beside a chat, a column `solution` is the reference; other names are the response's, which would verify itself
        gold = names.get("answer") or columns.get("solution") or ("solution" if "solution" in row else None)
        return Trace(prompt, trace.strip(), _MARKERS.sub("", rest).strip(), _gold(row, gold, where))
    for role in ("question", "trace", "solution"):
        if role not in names:
            raise DataError(
                f"{where}: no {role} among the fields {', '.join(row)}; name it with `data.columns`: {{{role}: NAME}}."
            )
    question, trace, solution = (_text(row, names[role], where) for role in ("question", "trace", "solution"))
    if not question:
        raise DataError(f"{where}: field '{names['question']}' is empty.")
    trace = trace.removeprefix("<think>").removesuffix("</think>").strip()
    return Trace((Message(role="user", content=question),), trace, solution, _gold(row, names.get("answer"), where))


def _names(row: Mapping[str, Any], columns: Mapping[str, str], where: str) -> dict[str, str]:
    """Which column of this row is what."""
    for role, name in columns.items():
        if role not in COLUMNS:
            raise ConfigError(f"columns can name {', '.join(COLUMNS)}; there is no '{role}'.{nearest(role, COLUMNS)}")
        if name not in row:
            raise DataError(f"{where}: there is no field '{name}' (given as the {role}).{nearest(name, row)}")
    found = {role: next((name for name in usual if name in row), None) for role, usual in COLUMNS.items()}
    if "question" in columns and "messages" not in columns:  # the columns are meant, whatever else the row has
        found["messages"] = None
    return {role: name for role, name in {**found, **columns}.items() if name is not None}


def _from_chat(turns: Any, where: str) -> tuple[tuple[Message, ...], str]:
    """The prompt's turns and the response of a chat written as {role, content} or {from, value}."""
    read: list[Message] = []
    for turn in turns if isinstance(turns, Sequence) and not isinstance(turns, str) else [turns]:
        role = turn.get("role", turn.get("from")) if isinstance(turn, Mapping) else None
        content = turn.get("content", turn.get("value")) if isinstance(turn, Mapping) else None
        if role not in _ROLES or not isinstance(content, str):
            raise DataError(f"{where}: should be a list of chat turns; it holds {turn!r:.80}.")
        read.append(Message(role=_ROLES[role], content=content))
    if len(read) < 2 or read[-1]["role"] != "assistant":
        raise DataError(f"{where}: the last turn should be the assistant's response, after at least one other.")
    return tuple(read[:-1]), read[-1]["content"]


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    value = row[name]
    if value is not None and not isinstance(value, str):
        raise DataError(f"{where}: field '{name}' should be text; it is {value!r:.60}.")
    return (value or "").strip()


def _gold(row: Mapping[str, Any], name: str | None, where: str) -> str | None:
    value = row[name] if name is not None else None
    if value is None:
        return None
    if not isinstance(value, str | Number):
        raise DataError(f"{where}: field '{name}' should hold the answer; it is {value!r:.60}.")
    text = answer_text(value.strip() if isinstance(value, str) else value)
    return final_answer(text) if text else None
