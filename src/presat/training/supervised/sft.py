"""Supervised fine-tuning on reasoning traces (Thinking) or on solutions alone (Non-Thinking).

Section 4 and appendix B: both see the same prompts; a Thinking target is `<think>` trace `</think>` and then the
solution. The loss is on the response only. Examples over `max_length` are dropped, as in the paper.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from presat.config.schema import SftConfig, TaskConfig
from presat.errors import ConfigError, DataError, nearest
from presat.models import load_model_and_tokenizer
from presat.tasks.files import read_rows
from presat.tasks.lab import targets
from presat.tasks.load import load_task
from presat.training.runtime.session import open_session
from presat.training.supervised.fit import IGNORED, Row, fit, row
from presat.types import Message

Example = tuple[Sequence[Message], str]
"""The chat turns before the response, and the response."""
LAB_COUNT = 1000
"""How many lab examples are made when nothing says."""


def run_sft(config: SftConfig, quiet: bool = False) -> Path:
    """Fine-tune on reasoning traces or solutions and return the run directory.

    The data's size is logged at step 0: `data/examples`, `data/too_long`, `data/prompt_tokens`, `data/response_tokens`.
    Under `torchrun` process 0 writes. A finished run that is resumed is left as it is.

    Args:
        config: the resolved configuration.
        quiet: show no progress line.

    Raises:
        ConfigError: a batch that does not divide over processes.
        DataError, ModelError: the examples cannot be read, or none is short enough; the model cannot be loaded.
        RunError: the run directory is busy or holds a run and `resume` is not set, or the loss is not a number.
    """
    with open_session(config, "sft", quiet) as run:
        examples = read_examples(config.data, config.thinking)  # what is quick to refuse comes before the model
        model, tokenizer = load_model_and_tokenizer(
            config.model.name, config.model.dtype, config.model.attention, template=config.model.chat_template
        )
        rows = [tokenised(messages, response, tokenizer) for messages, response in examples]
        kept = [item for item in rows if len(item.input_ids) <= config.max_length]
        if not kept:
            raise DataError(f"None of the {len(rows)} examples fits max_length ({config.max_length} tokens): raise it.")
        counts = sizes(kept, len(rows) - len(kept))
        batch = min(config.batch, len(kept))
        steps = max(1, round(config.epochs * len(kept) / batch))
        fit(config, run, model, tokenizer, kept, steps, batch, counts=counts)
        if run.writer is not None:
            tokens = counts["data/response_tokens"]
            run.writer.finish("finished", f"{steps} steps over {len(kept)} examples, {tokens} response tokens an epoch")
    return config.run


def sizes(rows: Sequence[Row], too_long: int) -> dict[str, int]:
    """Return the metrics that say how much data there is: examples, and tokens of one pass over them."""
    response_tokens = sum(int((item.labels != IGNORED).sum()) for item in rows)
    return {
        "data/examples": len(rows),
        "data/too_long": too_long,
        "data/prompt_tokens": sum(len(item.input_ids) for item in rows) - response_tokens,
        "data/response_tokens": response_tokens,
    }


def tokenised(messages: Sequence[Message], response: str, tokenizer: Any) -> Row:
    """Return the example as a row: the prompt through the chat template, then the response and the end of sequence."""
    prompt = tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, return_dict=True)["input_ids"]
    ids = tokenizer(response, add_special_tokens=False)["input_ids"]
    return row(prompt, [*ids, tokenizer.eos_token_id])


def read_examples(data: TaskConfig, thinking: bool) -> list[Example]:
    """Read `lab/NAME`, or the first `count` rows of a file, folder or data set (see `example_of` for its columns).

    Raises:
        ConfigError: no source, an unknown lab task, or an option that is not known.
        DataError: no such file, or a malformed row (which row, which field).
    """
    if not data.source:
        raise ConfigError("No examples are given; set `data.source` to lab/chains or to a .parquet or .jsonl file.")
    if data.source.startswith("lab/"):
        problems = load_task(data, **({} if data.count else {"count": LAB_COUNT}))
        return [(problem.messages, target) for problem, target in targets(problems, thinking)]
    for name in data.options:
        if name != "subset":
            raise ConfigError(f"{data.source} takes no option '{name}'.{nearest(name, ['subset'])}")
    rows = read_rows(data.source, data.split, data.options.get("subset"))
    return [example_of(record, thinking, data.columns, where) for where, record in itertools.islice(rows, data.count)]


def example_of(record: Mapping[str, Any], thinking: bool, columns: Mapping[str, str], where: str) -> Example:
    """Return one example from a row with `question`, `trace` and `solution`, or with `messages`.

    In `messages` the last turn is the assistant's response, its reasoning between `<think>` and `</think>`. `columns`
    renames the fields.

    Raises:
        DataError: a field is missing, empty or of the wrong kind.
    """
    name = columns.get("messages", "messages")
    if record.get(name):
        return _from_messages(record[name], thinking, f"{where}, field `{name}`")
    fields = {}
    for role in ("question", "solution", *(("trace",) if thinking else ())):
        name = columns.get(role, role)
        fields[role] = record.get(name)
        if not isinstance(fields[role], str | None):
            raise DataError(f"{where}: field `{name}` should be text; it is {fields[role]!r:.60}.")
        if not (fields[role] or "").strip():
            raise DataError(
                f"{where}: field `{name}` is missing or empty. The row has {', '.join(record)}; `data.columns` says "
                "which is which."
            )
    response = f"<think>\n{fields['trace']}\n</think>\n\n{fields['solution']}" if thinking else fields["solution"]
    return [Message(role="user", content=fields["question"])], response


def _from_messages(messages: Any, thinking: bool, where: str) -> Example:
    if not isinstance(messages, Sequence) or not all(_is_turn(turn) for turn in messages):
        raise DataError(f"{where}: should be a list of turns, each with a `role` and a `content` of text.")
    *prompt, last = messages
    if last["role"] != "assistant" or not prompt:
        raise DataError(f"{where}: the last turn should be the assistant's response, after at least one other.")
    response = last["content"]
    if not thinking:
        response = re.sub(r"<think>.*?</think>\s*", "", response, flags=re.DOTALL)
    elif "</think>" not in response:
        raise DataError(f"{where}: the response has no <think>...</think>, which a Thinking target needs.")
    if not response.strip():
        raise DataError(f"{where}: the response has no solution beside its reasoning.")
    return [Message(role=turn["role"], content=turn["content"]) for turn in prompt], response


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, Mapping) and all(isinstance(turn.get(name), str) for name in ("role", "content"))
