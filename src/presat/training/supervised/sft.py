"""Supervised fine-tuning on reasoning traces (Thinking) or on solutions alone (Non-Thinking).

Section 4 and appendix B: both see the same prompts; a Thinking target is `<think>` trace `</think>` and then the
solution. The loss is on the response only. Examples over `max_length` are dropped, as in the paper.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from presat.config.schema import SftConfig, TaskConfig
from presat.errors import ConfigError, DataError
from presat.models.checks import check_positions
from presat.models.loading import open_model, open_tokenizer
from presat.tasks.lab import targets
from presat.tasks.load import load_task
from presat.tasks.traces import Trace, read_traces
from presat.training.runtime.session import open_session
from presat.training.supervised.example_file import Example, example_rows
from presat.training.supervised.fit import fit

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
        # before processes wait for each other, for tokenising may take long
        tokenizer = open_tokenizer(config.model)
        rows = example_rows(config, examples, tokenizer, writes=run.writer is not None)
        model, tokenizer = open_model(config.model)
        check_positions(model, rows.longest(), "examples (lower `max_length`, which leaves longer ones out)")
        batch = min(config.batch, len(rows))
        steps = max(1, round(config.epochs * len(rows) / batch))
        fit(config, run, model, tokenizer, rows, steps, batch, counts=rows.counts)
        if run.writer is not None:
            tokens = rows.counts["data/response_tokens"]
            run.writer.finish("finished", f"{steps} steps over {len(rows)} examples, {tokens} response tokens an epoch")
    return config.run


def read_examples(data: TaskConfig, thinking: bool) -> Iterator[Example]:
    """Yield the examples of `lab/NAME`, or of a file, folder or data set of traces (see `presat.tasks.traces`).

    Raises:
        ConfigError: no source, an unknown lab task, or a setting that means nothing here.
        DataError: no such file, or a malformed row (which row, which field).
    """
    if not data.source:
        raise ConfigError("No examples are given; set `data.source` to lab/chains or to a .parquet or .jsonl file.")
    if data.source.startswith("lab/"):
        problems = load_task(data, **({} if data.count else {"count": LAB_COUNT}))
        return iter([(problem.messages, target) for problem, target in targets(problems, thinking)])
    return (_example(trace, thinking, where) for where, trace in read_traces(data, thinking, gold=False))


def _example(trace: Trace, thinking: bool, where: str) -> Example:
    """One example of a trace.

    Raises:
        DataError: what the target is made of is empty.
    """
    if thinking and not trace.trace:
        raise DataError(
            f"{where}: there is no reasoning, which a Thinking target needs: its column is empty, or the response has "
            "no <think>...</think>."
        )
    if not trace.solution:
        raise DataError(f"{where}: there is no solution beside the reasoning.")
    *prompt, response = trace.thinking() if thinking else trace.non_thinking()
    return prompt, response["content"]
