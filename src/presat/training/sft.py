"""Supervised fine-tuning on reasoning traces (Thinking) or on solutions alone (Non-Thinking).

Section 4 and METHOD section 6: both see the same prompts; a Thinking target is `<think>` trace `</think>` and then the
solution. The loss is on the response only. Examples over `max_length` are dropped, as in the paper.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from presat.config.schema import SftConfig, TaskConfig
from presat.errors import DataError
from presat.models import load_model_and_tokenizer
from presat.tasks.lab import lab_problems, targets
from presat.training.session import open_session
from presat.training.supervised import IGNORED, Row, fit, row
from presat.types import Message

Example = tuple[Sequence[Message], str]
"""The chat turns before the response, and the response."""


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
        model, tokenizer = load_model_and_tokenizer(
            config.model.name, config.model.dtype, attention=config.model.attention
        )
        examples = read_examples(config.data, config.thinking)
        rows = [tokenised(messages, response, tokenizer) for messages, response in examples]
        kept = [item for item in rows if len(item.input_ids) <= config.max_length]
        if not kept:
            raise DataError(f"None of the {len(rows)} examples fits max_length ({config.max_length} tokens): raise it.")
        counts = sizes(kept, len(rows) - len(kept))
        batch = min(config.batch, len(kept))
        steps = max(1, round(config.epochs * len(kept) / batch))
        if run.writer is not None and not run.done:
            run.writer.append(0, counts)
        fit(config, run, model, tokenizer, kept, steps, batch)
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
    """Read `lab/NAME`, or a .jsonl or .parquet file (see `example_of` for its columns), the first `count` rows of it.

    Raises:
        DataError: no such file, or a malformed row (which row, which field).
    """
    if data.source.startswith("lab/"):
        problems = lab_problems(data.source.removeprefix("lab/"), data.count or 1000, data.seed, **data.options)
        return [(problem.messages, target) for problem, target in targets(problems, thinking)]
    import polars

    path = Path(data.source)
    if not path.is_file() or path.suffix not in (".jsonl", ".parquet"):
        raise DataError(f"There are no examples at {data.source}: give `lab/NAME` or a .jsonl or .parquet file.")
    if path.suffix == ".parquet":
        records = polars.read_parquet(path).to_dicts()
    else:
        records = [_read_line(line, path, n) for n, line in enumerate(path.read_text("utf-8").splitlines(), 1) if line]
    return [example_of(record, thinking, data.columns, f"{path} row {n}") for n, record in enumerate(records, 1)][
        : data.count
    ]


def example_of(record: Mapping[str, Any], thinking: bool, columns: Mapping[str, str], where: str) -> Example:
    """Return one example from a row with `question`, `trace` and `solution`, or with `messages`.

    In `messages` the last turn is the assistant's response, its reasoning between `<think>` and `</think>`. `columns`
    renames the fields.

    Raises:
        DataError: a field is missing or empty.
    """
    messages = record.get(columns.get("messages", "messages"))
    if messages:
        if messages[-1].get("role") != "assistant" or not messages[-1].get("content"):
            raise DataError(f"{where}: the last of `messages` should be the assistant's response.")
        response = messages[-1]["content"]
        if not thinking:
            response = re.sub(r"<think>.*?</think>\s*", "", response, flags=re.DOTALL)
        elif "</think>" not in response:
            raise DataError(f"{where}: the response has no <think>...</think>, which a Thinking target needs.")
        return [Message(role=turn["role"], content=turn["content"]) for turn in messages[:-1]], response
    fields = {}
    for name in ("question", "solution", *(("trace",) if thinking else ())):
        fields[name] = record.get(columns.get(name, name))
        if not fields[name]:
            raise DataError(f"{where}: field `{columns.get(name, name)}` is missing or empty (set `data.columns`).")
    response = f"<think>\n{fields['trace']}\n</think>\n\n{fields['solution']}" if thinking else fields["solution"]
    return [Message(role="user", content=fields["question"])], response


def _read_line(line: str, path: Path, number: int) -> Mapping[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{path} row {number} is not valid JSON: {error}") from error
    if not isinstance(record, dict):
        raise DataError(f"{path} row {number} should be an object with named fields.")
    return record
