"""Reasoning traces as people publish them: a row's prompt, trace, solution and gold answer (section 4, appendix B).

`presat sft` and `presat data sft` both read them here, so that a file trains the same whether it went through the
second or not. Two layouts are read: columns (`problem`, `deepseek_reasoning`, `deepseek_solution`,
`ground_truth_solution` of OpenThoughts-114k's `metadata` subset, and other usual names) and chats (`messages` or
`conversations`, whose last turn holds the trace between `<think>` and `</think>`, or between OpenThoughts' own markers;
the opening one may be missing, as where the prompt ended in it). What is read holds no markers: the targets get theirs
when they are made. The prompt is the one that training would show of the same row (`presat.tasks.rows`).
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from presat.errors import ConfigError, DataError, nearest
from presat.tasks.cells import field_names
from presat.tasks.files import read_rows
from presat.tasks.golds import gold_of
from presat.tasks.prompts import chat, styled
from presat.tasks.rows import CHAT_COLUMNS, QUESTION_COLUMNS, Row, column, is_answered, question_turns
from presat.tasks.subsets import draw_places, sampled
from presat.tasks.turns import read_turns, warn_of_left_out, whole_question
from presat.text import brief
from presat.types import Message

if TYPE_CHECKING:
    from presat.config.schema import TaskConfig

COLUMNS: dict[str, tuple[str, ...]] = {
    "messages": CHAT_COLUMNS,
    "question": QUESTION_COLUMNS,
    "trace": ("trace", "deepseek_reasoning", "reasoning", "thinking"),
    "solution": ("solution", "deepseek_solution", "response"),
    "answer": ("answer", "gold", "ground_truth", "final_answer", "expected_answer", "ground_truth_solution"),
}
"""What a column can be named as, and the names that are found by themselves, the preferred first."""
_BEGIN = re.compile(r"\s*(?:<think>|<\|begin_of_thought\|>)")
_END = re.compile(r"</think>|<\|end_of_thought\|>")
_MARKERS = re.compile(r"</?think>|<\|(?:begin|end)_of_(?:thought|solution)\|>")


@dataclass(frozen=True, slots=True)
class Trace:
    """One worked problem.

    Attributes:
        prompt: the chat turns before the response.
        trace: the reasoning, without its markers; empty when the row has none.
        solution: what the response says after its reasoning.
        gold: the reference answer, or a reference solution with the answer in a box; None when there is none.
        own_prompt: whether the prompt is a chat of the row's own, which no domain or system message changes.
    """

    prompt: tuple[Message, ...]
    trace: str
    solution: str
    gold: str | None
    own_prompt: bool = False

    def thinking(self) -> list[Message]:
        """The chat of the Thinking set: `<think>` trace `</think>`, then the solution."""
        return self._chat(f"<think>\n{self.trace}\n</think>\n\n{self.solution}")

    def non_thinking(self) -> list[Message]:
        """The chat of the Non-Thinking set: the solution alone."""
        return self._chat(self.solution)

    def _chat(self, response: str) -> list[Message]:
        return [*self.prompt, Message(role="assistant", content=response)]


def read_traces(
    data: TaskConfig, thinking: bool = True, gold: bool = True, only: Mapping[str, str] | None = None
) -> Iterator[tuple[str, Trace]]:
    """Yield (where, trace) for the rows of a file, folder or data set: the first `data.count`, or random ones.

    Args:
        data: the source. With `prompt` every trace gets the system message of that style (see `with_prompt`), for
            `domain`. With the option `sample` the rows are drawn by `seed`, and stay in their order.
        thinking: as for `read_trace`.
        gold: as for `read_trace`.
        only: values that columns must have.

    Raises:
        ConfigError: a setting of `data` that means nothing here.
        DataError: the source cannot be read, holds too few rows to draw from, or a row is malformed.
    """
    if data.prompt == "think_opened":
        raise ConfigError("`data.prompt: think_opened` leaves out what a target begins with: use `thinking`.")
    if data.prompt and "system" in data.options:
        raise ConfigError("`prompt` and `system` both say what the system message is: leave one of them out.")
    for name in data.options:
        if name not in (known := ("subset", "sample", "system")):
            raise ConfigError(f"{data.source} takes no option '{name}'.{nearest(name, known)}")
    return _read_traces(data, thinking, gold, only or {}, bool(sampled(data.count, data.seed, data.options)))


def _read_traces(
    data: TaskConfig, thinking: bool, gold: bool, only: Mapping[str, str], sample: bool
) -> Iterator[tuple[str, Trace]]:
    rows = _rows(data, only)
    if sample:
        places = draw_places(sum(1 for _ in _rows(data, only)), data.source, data.count or 0, data.seed)
        chosen = set(places)
        rows = (row for place, row in enumerate(rows) if place in chosen)
    left_out: Counter[str] = Counter()
    system = data.options.get("system")
    for where, row in itertools.islice(rows, data.count):
        trace = read_trace(row, data.columns, where, thinking, gold, left_out, data.domain, system)
        if (data.domain or system is not None) and not data.prompt:
            _refuse_unused(trace, where)
        if data.prompt:
            trace = replace(trace, prompt=styled(trace.prompt, data.prompt, data.domain))
        yield where, trace
    warn_of_left_out(data.source, left_out)


def _refuse_unused(trace: Trace, where: str) -> None:
    """Refuse a `domain` or `system` for a row whose chat is its own prompt, which neither changes."""
    if trace.own_prompt:
        raise ConfigError(
            f"{where} brings its own prompt, which `data.domain` and the option `system` would not change: use "
            "`data.prompt`, or leave them out."
        )


def _rows(data: TaskConfig, only: Mapping[str, str]) -> Iterator[tuple[str, Row]]:
    """The rows of a source whose columns have the values `only` says."""
    for where, row in read_rows(data.source, data.split, data.options.get("subset")):
        for name in only:
            if name not in row:
                raise DataError(f"{where}: there is no field '{name}' (given in `where`).{nearest(name, row)}")
        if all(str(row[name]) == value for name, value in only.items()):
            yield where, row


def read_trace(
    row: Mapping[str, Any],
    columns: Mapping[str, str],
    where: str,
    thinking: bool = True,
    gold: bool = True,
    left_out: Counter[str] | None = None,
    domain: str = "",
    system: str | None = None,
) -> Trace:
    """Read one row.

    Args:
        row: the row.
        columns: names columns over the usual ones.
        where: names the row in errors.
        thinking: whether columns must hold a trace (it may be empty).
        gold: whether to read the gold answer.
        left_out: that of `read_turns`.
        domain: decides the system message of a bare question; `math` when empty.
        system: system message in its place.

    Raises:
        ConfigError: `columns` names what there is not.
        DataError: a column is missing or of the wrong kind; the message has the row and the field.
    """
    names = _names(row, columns, where)
    asked: str | None = None
    if "messages" in names:
        prompt, response = _from_chat(row[names["messages"]], where, names["messages"], left_out)
        if (name := names.get("question")) and is_answered(row[names["messages"]], row[name]):
            question = whole_question(row, name, where).strip()
            asked, prompt = question, question_turns(question, where, name, domain, system)
        trace, solution = _split(response)
        # beside a chat, a column `solution` is the reference; other names are the response's, which would verify itself
        answer = names.get("answer") or columns.get("solution") or ("solution" if "solution" in row else None)
    else:
        question, trace, solution = _from_columns(row, names, where, thinking)
        asked, prompt = question, question_turns(question, where, names["question"], domain, system)
        answer = names.get("answer")
    own_prompt = asked is None or prompt != chat(asked, domain, system)  # or it holds a whole chat
    return Trace(prompt, trace, solution, _gold(row, answer, where) if gold else None, own_prompt)


def _split(response: str) -> tuple[str, str]:
    """The trace and the solution of a response, without markers; a response without any is a solution."""
    end = _END.search(response)
    if end is not None:
        return _bare(response[: end.start()]), _bare(response[end.end() :])
    cut_off = _BEGIN.match(response) is not None
    return (_bare(response), "") if cut_off else ("", _bare(response))


def _bare(text: str) -> str:
    return _MARKERS.sub("", text).strip()


def _from_columns(row: Mapping[str, Any], names: Mapping[str, str], where: str, thinking: bool) -> tuple[str, str, str]:
    """The question, the trace and the solution of columns; where none has the trace, the solution's may hold it."""
    question, trace, response = (_text(row, names.get(role), where) for role in ("question", "trace", "solution"))
    own, solution = _split(response)
    missing = [role for role in ("question", "solution") if role not in names]
    missing += ["trace"] if thinking and "trace" not in names and not own else []
    if missing:
        raise DataError(
            f"{where}: no {missing[0]} among the fields {field_names(row)}; name it with `data.columns`: "
            f"{{{missing[0]}: NAME}}."
        )
    if not question:
        raise DataError(f"{where}: field '{names['question']}' is empty.")
    return whole_question(row, names["question"], where).strip(), _bare(trace) or own, solution


def _names(row: Mapping[str, Any], columns: Mapping[str, str], where: str) -> dict[str, str]:
    """Which column of this row is what."""
    for role, name in columns.items():
        if role not in COLUMNS:
            raise ConfigError(f"columns can name {', '.join(COLUMNS)}; there is no '{role}'.{nearest(role, COLUMNS)}")
        if name not in row:
            raise DataError(f"{where}: there is no field '{name}' (given as the {role}).{nearest(name, row)}")
    found = {role: column(row, usual) for role, usual in COLUMNS.items()}
    if found["messages"] and not row[found["messages"]]:  # null, in rows of other makes
        found["messages"] = None
    if "question" in columns and "messages" not in columns:  # the columns are meant, whatever else the row has
        found["messages"] = None
    return {role: name for role, name in {**found, **columns}.items() if name is not None}


def _from_chat(turns: Any, where: str, field: str, left_out: Counter[str] | None) -> tuple[tuple[Message, ...], str]:
    """The prompt's turns and the response of a chat written as {role, content} or {from, value}."""
    *prompt, response = read_turns(turns, where, field, left_out, sharegpt=True)
    if not prompt or response["role"] != "assistant":
        raise DataError(f"{where}: field '{field}': the last turn should be the assistant's response, after another.")
    return tuple(prompt), response["content"]


def _text(row: Mapping[str, Any], name: str | None, where: str) -> str:
    value = row[name] if name is not None else None
    if value is not None and not isinstance(value, str):
        raise DataError(f"{where}: field '{name}' should be text; it is {brief(value, 60)}.")
    return (value or "").strip()


def _gold(row: Mapping[str, Any], name: str | None, where: str) -> str | None:
    return None if name is None else gold_of(row[name], where, name)
