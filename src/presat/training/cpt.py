"""Continual pre-training: more plain text before any fine-tuning (section 4; METHOD section 6).

It multiplies the effect of Thinking SFT and does not replace it. The lab's base pre-training is the same loop over
another corpus, from random weights.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from presat.config.schema import CptConfig
from presat.errors import ConfigError, DataError
from presat.models import load_model_and_tokenizer
from presat.tasks.files import SUFFIXES, read_rows
from presat.tasks.lab.corpus import documents
from presat.training.session import open_session
from presat.training.supervised import Row, bits_per_token, fit, row


def run_cpt(config: CptConfig, quiet: bool = False) -> Path:
    """Train on plain text and return the run directory.

    Held-out bits per token before and after are logged as `eval/held_out/bits_per_token`. Under `torchrun` process 0
    writes. A finished run that is resumed is left as it is.

    Args:
        config: the resolved configuration.
        quiet: show no progress line.

    Raises:
        ConfigError: a procedural corpus without a number of steps, or a batch that does not divide over processes.
        DataError, ModelError: the text cannot be read or is too little for one step; the model cannot be loaded.
        RunError: the run directory is busy or holds a run and `resume` is not set, or the loss is not a number.
    """
    with open_session(config, "cpt", quiet) as run:
        model, tokenizer = load_model_and_tokenizer(
            config.model.name, config.model.dtype, config.model.attention, False, config.model.chat_template
        )
        rows, held_out = corpus_rows(config, tokenizer)
        steps = config.steps or len(rows) // config.batch
        if steps == 0:
            raise DataError(
                f"{config.data.source} holds {len(rows)} sequences of {config.sequence_length} tokens, less than one "
                f"batch of {config.batch}: lower `batch` or `sequence_length`."
            )

        def bits(held: Any) -> dict[str, float]:  # as it is for training: with its adapters, split over processes
            name, pad = "eval/held_out/bits_per_token", tokenizer.pad_token_id
            return {name: bits_per_token(held, held_out, pad)} if held_out else {}

        fit(config, run, model, tokenizer, rows, steps, config.batch, bits)
        if run.writer is not None:
            tokens = steps * config.batch * config.sequence_length
            run.writer.finish("finished", f"{steps} steps, {tokens} tokens")
    return config.run


def corpus_rows(config: CptConfig, tokenizer: Any) -> tuple[list[Row], list[Row]]:
    """Return training and held-out rows of `sequence_length` tokens each.

    Documents are shuffled (a file's), tokenised, joined by the end-of-sequence token and cut; the held-out rows come
    first.
    """
    procedural = config.data.source.startswith("lab/")
    if procedural and config.steps is None:
        raise ConfigError(f"{config.data.source} has no end: say how many `steps` to train.")
    held_out = config.data.held_out_rows
    wanted = held_out + config.steps * config.batch if procedural and config.steps else None
    if procedural:
        weights = config.data.weights or None
        texts = documents(config.data.source.removeprefix("lab/"), config.data.seed, weights)
    else:
        texts = iter(_shuffled(list(read_texts(config.data.source, config.data.text)), config.data.seed))
    rows = [row((), ids.tolist()) for ids in packed(texts, tokenizer, config.sequence_length, wanted)]
    if held_out >= len(rows):
        raise DataError(
            f"{config.data.source} holds {len(rows)} sequences of {config.sequence_length} tokens, no more than the "
            f"{held_out} to hold out: lower `data.held_out_rows` or `sequence_length`."
        )
    return rows[held_out:], rows[:held_out]


def packed(texts: Iterator[str], tokenizer: Any, length: int, rows: int | None) -> np.ndarray:
    """Tokenise documents, end each with the end-of-sequence token, and cut the stream into (rows, length) ids.

    With `rows` None all documents are read; a last incomplete row is dropped.
    """
    stream = array("q")  # a list would take four times the memory
    while chunk := list(itertools.islice(texts, 1000)):
        for ids in tokenizer(chunk, add_special_tokens=False)["input_ids"]:
            stream.extend(ids)
            stream.append(tokenizer.eos_token_id)
        if rows is not None and len(stream) >= rows * length:
            break
    count = len(stream) // length if rows is None else rows
    return np.array(stream[: count * length], dtype=np.int64).reshape(count, length)


def read_texts(source: str, column: str) -> Iterator[str]:
    """Yield the documents of a .txt file (every line is one), of a file or data set with a column, or of a folder.

    Raises:
        ConfigError: no source.
        DataError: nothing there, or a row without text in `column` (which row).
    """
    if not source:
        raise ConfigError(
            "No text is given; set `data.source` to lab/cpt, to a .jsonl, .parquet or .txt file, or a folder."
        )
    path = Path(source)
    plain = sorted(path.glob("*.txt")) if path.is_dir() else [path] if path.suffix == ".txt" and path.is_file() else []
    for file in plain:
        try:
            yield from (line for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{file} cannot be read as UTF-8 text: {error}.") from error
    if plain and not any(item.suffix in SUFFIXES for item in path.glob("*")):
        return
    for where, record in read_rows(source):
        if column not in record:
            raise DataError(f"{where}: there is no field '{column}' (it has {', '.join(record)}): set `data.text`.")
        text = record[column]
        if text is not None and not isinstance(text, str):
            raise DataError(f"{where}: field '{column}' should be text; it is {text!r:.60}. Set `data.text`.")
        if text:
            yield text


def _shuffled(texts: list[str], seed: int) -> list[str]:
    return [texts[index] for index in np.random.default_rng(seed).permutation(len(texts))]
