"""Rows of data files and the problems in them: the published verl record format, and plain question / answer tables.

A verl row has `data_source`, `prompt` (chat turns), `ability`, `reward_model` = {ground_truth, style}, `extra_info` (a
mapping, or a JSON string) and, in the paper's release, `difficulty`. All columns but the prompt stay in the problem's
metadata exactly as they came.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from numbers import Number
from typing import Any

from presat.errors import ConfigError, DataError, nearest
from presat.tasks.cells import field_names, sound
from presat.tasks.golds import answer_text, gold_of, written
from presat.tasks.gym import gym_names
from presat.tasks.markup import unwrap_chat
from presat.tasks.prompts import chat
from presat.tasks.turns import prompt_turns, whole_question
from presat.text import brief
from presat.types import Message, Problem

Row = Mapping[str, Any]

EXTRA_COLUMN = "presat"
"""What verl has no column for, as JSON: id, gold, domain and verifier. A column of its own beside the columns of a verl
row; a key of `extra_info`, which verl hands to rewards, in rows of any other make, whose metadata it holds too."""
CHAT_COLUMNS = ("messages", "conversations")
QUESTION_COLUMNS = ("question", "problem", "query", "instruction", "input", "prompt")
ANSWER_COLUMNS = (
    "answer", "gold", "ground_truth", "final_answer", "expected_answer", "correct_answer", "target", "solution",
    "solutions", "answers",
)  # fmt: skip
INSTRUCTED = "output"
"""Holds the answer beside an `instruction` (Alpaca); elsewhere it is what some model said."""
ROLES = ("question", "answer", "id")
"""What a column of a question / answer table can be named as."""
_SCIENCE = ("scp", "gpqa", "supergpqa", "scibench", "mmlu-sci", "mmlu_sci", "science")


def extra_info(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row's `extra_info` as a mapping, parsed where it is a JSON string; empty when there is none."""
    return _mapping(metadata.get("extra_info")) or {}


def _mapping(value: Any) -> Mapping[str, Any] | None:
    """A mapping, or the JSON object in a string (blank text is an empty one); None for anything else."""
    if isinstance(value, str):
        try:
            value = json.loads(value if value.strip() else "{}")
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, Mapping) else None


def is_labelled(problem: Problem) -> bool:
    """Whether a response to a problem can be judged: it has a gold answer, or a scorer that needs none."""
    return problem.gold is not None or problem.verifier == "reasoning_gym"


def original_gold(problem: Problem) -> str | None:
    """Return the true answer a label-noise set keeps beside the wrong one; None when the source says nothing of it.

    The published Graph sets keep it only in Reasoning Gym's metadata, as `solution` or `solution_path`.
    """
    extra = extra_info(problem.metadata)
    value = problem.metadata.get("original_ground_truth")
    value = extra.get("original_ground_truth") if value is None else value
    if value is None and extra.get("source_dataset") in ("largest_island", "quantum_lock"):
        path = extra.get("solution_path")
        value = " → ".join(path) if path else extra.get("solution")
    return answer_text(value)


def repeats_of(problem: Problem) -> int:
    """Return how often a problem stood in its source, and is written: its metadata's `repeats`, 1 without.

    Raises:
        DataError: a field of the source is called so, and holds no such number.
    """
    value = problem.metadata.get("repeats")
    try:
        count = 1 if value is None else int(value)
    except (TypeError, ValueError, OverflowError):
        count = 0
    if count < 1:
        raise DataError(
            f"Problem {problem.id}: field 'repeats' says how often to write a problem; it is {brief(value, 60)}. "
            "Rename the column if it means something else."
        )
    return count


def content_id(messages: Sequence[Message]) -> str:
    """Return the id of a problem that has no name of its own: a hash of its chat turns."""
    text = json.dumps([[message["role"], message["content"]] for message in messages], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_verl(row: Row) -> bool:
    """Whether a row is in the verl record format."""
    return "reward_model" in row and "prompt" in row


def column(row: Row, names: Sequence[str]) -> str | None:
    """Return the row's first column of some names that holds something, however its name is capitalised."""
    known = {**{name.lower(): name for name in row if isinstance(name, str)}, **{name: name for name in row}}
    found = [known[name] for name in names if name in known]
    return next((name for name in found if row[name] is not None), found[0] if found else None)


def prompt_column(row: Row) -> str | None:
    """Return the column that holds a row's prompt: a chat, or a question where the chat is that and a response."""
    chat_column, text = (column(row, names) for names in (CHAT_COLUMNS, QUESTION_COLUMNS))
    if chat_column is None or row[chat_column] is None:
        return text
    return text if text is not None and is_answered(row[chat_column], row[text]) else chat_column


def is_answered(turns: Any, question: Any) -> bool:
    """Whether chat turns are a question and a response to it, and nothing more."""
    if not isinstance(turns, list | tuple) or len(turns) != 2 or not isinstance(question, str):
        return False
    if not all(isinstance(turn, Mapping) and {*turn} in ({"role", "content"}, {"from", "value"}) for turn in turns):
        return False
    (asker, asked), (replier, reply) = ((turn.get("role", turn.get("from")), turn.get("content", turn.get("value")))
                                        for turn in turns)  # fmt: skip
    known = asker in ("user", "human") and replier in ("assistant", "gpt")
    return known and isinstance(asked, str) and asked.split() == question.split() and isinstance(reply, str)


def question_turns(
    text: str, where: str, field: str, domain: str, system: str | None, as_shown: bool = False
) -> tuple[Message, ...]:
    """Return the prompt of a question: with the system message of its domain, or the turns of a whole chat in it.

    Raises:
        DataError: it holds marks of a chat template and is no whole chat.
    """
    if as_shown or unwrap_chat(text, f"{where}: field '{field}'") is None:
        return chat(text, domain, system)
    return prompt_turns({"role": "user", "content": text}, where, field)


def problem_of_verl(
    row: Row,
    where: str,
    domain: str = "",
    left_out: Counter[str] | None = None,
    system: str | None = None,
    as_shown: bool = False,
) -> Problem:
    """Turn a verl row into a problem.

    Args:
        row: the row.
        where: names the row in errors.
        domain: its domain, whatever the row says.
        left_out: that of `prompt_turns`.
        system: system message of a prompt that is a bare question.
        as_shown: that of `prompt_turns`.

    Raises:
        DataError: a needed field is missing or of the wrong kind.
    """
    reward_model = _mapping(row["reward_model"])
    if reward_model is None or "ground_truth" not in reward_model:
        raise DataError(
            f"{where}: field 'reward_model' should be a mapping with 'ground_truth'; it is "
            f"{brief(row['reward_model'])}."
        )
    metadata = {name: value for name, value in row.items() if name not in ("prompt", EXTRA_COLUMN)}
    if isinstance(row.get("extra_info"), str) and _mapping(row["extra_info"]) is None:
        raise DataError(
            f"{where}: field 'extra_info' is a string but not a JSON object: {brief(row['extra_info'], 80)}."
        )
    if isinstance(row.get("extra_info"), str):
        sound({"extra_info": extra_info(row)}, where)
    gold = gold_of(reward_model["ground_truth"], where, "reward_model.ground_truth")
    record = row.get(EXTRA_COLUMN) or extra_info(row).get(EXTRA_COLUMN)
    prompt = row["prompt"]
    if isinstance(prompt, str) and prompt.strip():
        messages = question_turns(prompt, where, "prompt", _domain_of(metadata, domain)[0], system, as_shown)
    else:  # what presat wrote is as its problem had it
        messages = prompt_turns(prompt, where, "prompt", left_out, as_shown=as_shown or bool(record))
    if record:
        read = Problem("", messages, gold, domain, "", metadata)
        return _restored(read, record, reward_model["ground_truth"], where)
    domain, verifier = _domain_of(metadata, domain)
    return Problem(content_id(messages), messages, gold, domain, verifier, metadata)


def problem_of_plain(
    row: Row,
    where: str,
    columns: Mapping[str, str],
    domain: str = "",
    system: str | None = None,
    left_out: Counter[str] | None = None,
    as_shown: bool = False,
) -> Problem:
    """Turn a row with a question column (text, or chat turns) and perhaps an answer column into a problem.

    The answer of a worked solution is the one it states (`final_answer`); its column stays in the metadata.

    Args:
        row: the row.
        where: names the row in errors.
        columns: which column is the `question`, the `answer` and the `id`; usual names are found by themselves.
        domain: decides the prompt; `math` when empty.
        system: system message in place of the domain's.
        left_out: that of `prompt_turns`.
        as_shown: that of `prompt_turns`.

    Raises:
        ConfigError: `columns` names something else.
        DataError: a named column is missing, no question can be found, or an answer is of the wrong kind.
    """
    domain = domain or "math"
    names = {role: name for role, name in columns.items() if name}
    for role, name in names.items():
        if role not in ROLES:
            raise ConfigError(f"columns can name {', '.join(ROLES)}; there is no '{role}'.{nearest(role, ROLES)}")
        if name not in row:
            raise DataError(f"{where}: there is no field '{name}' (given as the {role}).{nearest(name, row)}")
    question = names.get("question") or prompt_column(row)
    if question is None:
        raise DataError(f"{where}: no question among the fields {field_names(row)}; name it with columns.question.")
    usual = (*ANSWER_COLUMNS, INSTRUCTED) if question.lower() == "instruction" else ANSWER_COLUMNS
    answer = names.get("answer") or column({n: item for n, item in row.items() if n != question}, usual)
    value = row[question]
    if isinstance(value, str) and value.strip():
        value = whole_question(row, question, where, as_shown)
        messages = question_turns(value, where, question, domain, system, as_shown)
    elif isinstance(value, list):
        messages = prompt_turns(value, where, question, left_out, sharegpt=True, as_shown=as_shown)
    else:
        raise DataError(f"{where}: field '{question}' should hold the question; it is {brief(value)}.")
    gold = None if answer is None else gold_of(_answers(row[answer]), where, answer)
    identity = _identity(row[names["id"]], where, names["id"]) if "id" in names else content_id(messages)
    kept = {question} if isinstance(value, list) and len(messages) < len(value) else set()  # it holds more than that
    kept |= {answer} if answer is not None and gold != written(row[answer]) else set()
    metadata = {name: item for name, item in row.items() if name not in (question, answer) or name in kept}
    return Problem(identity, messages, gold, domain, _domain_of(metadata, domain)[1], metadata)


def _answers(value: Any) -> Any:
    """The answers of a mapping that holds their texts (SQuAD, TriviaQA); any other value as it is."""
    texts = value.get("text") if isinstance(value, Mapping) else None
    return (list(dict.fromkeys(texts)) or None) if isinstance(texts, list) else value


def row_of(problem: Problem, plain: bool = False, index: int = 0, aside: Collection[str] = ()) -> dict[str, Any]:
    """Return a problem as a verl row; the columns it came with are kept, its messages and gold are its own.

    Args:
        problem: the problem.
        plain: write the columns of verl alone, and the rest as JSON, so that rows of any sources fit one table.
        index: `extra_info.index`, verl's number of a problem, of a row that did not come with one.
        aside: columns that a table cannot give back as they are; they are kept beside it.

    Raises:
        DataError: its metadata cannot be stored.
    """
    messages = [{"content": message["content"], "role": message["role"]} for message in problem.messages]
    metadata = {name: value for name, value in problem.metadata.items() if name != "repeats"}
    raw = metadata.get("reward_model")
    if isinstance(raw, Mapping) and "ground_truth" in raw and not plain:
        row = {name: value for name, value in metadata.items() if name not in ("reward_model",)}
        kept = raw["ground_truth"]
        gold = kept if gold_of(kept, problem.id, "ground_truth") == problem.gold else problem.gold
        row |= {"prompt": messages, "reward_model": {**raw, "ground_truth": gold}}
        if aside:
            return row | {EXTRA_COLUMN: _dump(problem, {"aside": {name: metadata[name] for name in sorted(aside)}})}
        read = problem_of_verl(row, problem.id)
        if read.verifier == problem.verifier:  # else it has to travel where rewards in verl see it
            return row if _same(read, problem) else row | {EXTRA_COLUMN: _dump(problem, {})}
    return {
        "data_source": str(metadata.get("data_source", metadata.get("source_dataset", problem.domain))),
        "prompt": messages,
        "ability": problem.domain,
        "reward_model": {"ground_truth": problem.gold, "style": "rule"},
        "extra_info": {"index": index, EXTRA_COLUMN: _dump(problem, {"metadata": metadata})},
    }


def _same(a: Problem, b: Problem) -> bool:
    return (a.id, a.messages, a.gold, a.domain, a.verifier) == (b.id, b.messages, b.gold, b.domain, b.verifier)


def _dump(problem: Problem, more: Mapping[str, Any]) -> str:
    record = {"id": problem.id, "gold": problem.gold, "domain": problem.domain, "verifier": problem.verifier, **more}
    try:
        return json.dumps(record, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"Problem {problem.id} cannot be saved, its metadata does not fit into JSON: {error}."
        ) from error


def _restored(read: Problem, record: Any, gold: Any, where: str) -> Problem:
    """The problem that `_dump` wrote `record` of; `read` is what its row says without it, `gold` as it stands there.

    The row's gold counts, as it does for every other reader, but nothing is unwrapped that was the gold itself. So does
    the domain of `read`, where it has one: it was asked for.
    """
    try:
        known = json.loads(record)
        names = {name: known[name] for name in ("id", "domain", "verifier")}
        names["domain"] = read.domain or names["domain"]
        gold = known["gold"] if gold == known["gold"] else read.gold
        metadata = known.get("metadata", {**read.metadata, **known.get("aside", {})})
        return replace(read, **names, gold=gold, metadata=metadata)
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(f"{where}: field '{EXTRA_COLUMN}' is not what presat writes there.") from error


def _identity(value: Any, where: str, field: str) -> str:
    """The id of a row as text, refused where it is none."""
    if not isinstance(value, str | Number) or value != value or not str(value).strip():
        raise DataError(f"{where}: field '{field}' should hold the problem's id; it is {brief(value, 80)}.")
    return str(value)


def _domain_of(metadata: Mapping[str, Any], domain: str) -> tuple[str, str]:
    """Domain and verifier of a row: Reasoning Gym's metadata names its task, the rest goes by the source's name."""
    task = extra_info(metadata).get("source_dataset") or metadata.get("source_dataset")
    if task and task in gym_names():
        return domain or "graph", "reasoning_gym"
    if domain:
        return domain, "math"
    source = str(metadata.get("data_source", "")).lower()
    if any(word in source for word in _SCIENCE):
        return "science", "math"
    return str(metadata.get("ability") or "math").lower(), "math"
