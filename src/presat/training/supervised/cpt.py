"""Continual pre-training: more plain text before any fine-tuning (section 4, appendix B).

It multiplies the effect of Thinking SFT and does not replace it. The lab's base pre-training is the same loop over
another corpus, from random weights.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from presat.config.schema import CptConfig
from presat.config.unused import refuse_unused
from presat.errors import ConfigError, DataError
from presat.models.checks import check_positions
from presat.models.examples import Row, row
from presat.models.libraries import quiet_libraries
from presat.models.loading import open_model, open_tokenizer
from presat.tasks.corpus import LAB, corpus_parts
from presat.tasks.lab.corpus import documents
from presat.training.runtime.session import open_session
from presat.training.supervised.fit import bits_per_token, fit
from presat.training.supervised.token_file import TokenFile, token_file
from presat.training.supervised.token_rows import TokenRows, draw_held_out


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
        # before the model and before processes wait for each other, for tokenising may take hours
        rows, held_out = corpus_rows(config, open_tokenizer(config.model, chat=False), quiet)
        model, tokenizer = open_model(config.model, chat=False)
        check_positions(model, config.sequence_length, "rows of text (lower `sequence_length`)")
        steps = config.steps or len(rows) // config.batch
        if steps == 0:
            raise DataError(
                f"{config.data.source} holds {len(rows)} sequences of {config.sequence_length} tokens, less than one "
                f"batch of {config.batch}: lower `batch` or `sequence_length`."
            )

        def bits(held: Any) -> dict[str, float]:  # as it is for training: with its adapters, split over processes
            name, pad = "eval/held_out/bits_per_token", tokenizer.pad_token_id
            return {name: bits_per_token(held, held_out, pad, config.micro_batch)} if held_out else {}

        fit(config, run, model, tokenizer, rows, steps, config.batch, bits, counts=_sizes(rows))
        if run.writer is not None:
            tokens = steps * config.batch * config.sequence_length
            run.writer.finish("finished", f"{steps} steps, {tokens} tokens")
    return config.run


@dataclass(frozen=True)
class Packed:
    """What `run_pack` made or found.

    Attributes:
        folder: where the tokens are kept.
        documents, tokens: how many there are, an end-of-sequence token for every document included.
        bytes: size of the tokens on the disk.
        rows: sequences to train on; held_out: sequences set aside.
        steps: of one epoch.
    """

    folder: str
    documents: int
    tokens: int
    bytes: int
    rows: int
    held_out: int
    steps: int

    def to_json(self) -> dict[str, Any]:
        """The findings as plain data."""
        return asdict(self)


def run_pack(config: CptConfig, quiet: bool = False) -> Packed:
    """Tokenise the text of a `cpt` run beforehand, where no GPU waits for it; the run then finds it.

    Args:
        config: the run's configuration; of it the text, the model's tokenizer, `sequence_length` and `batch` matter.
        quiet: show no progress line.

    Raises:
        ConfigError: no text is given, a procedural corpus, or a setting that would do nothing.
        DataError, ModelError: the text cannot be read, or kept, or is too little; there is no tokenizer.
    """
    refuse_unused(config)
    if config.data.source.startswith(LAB):
        raise ConfigError(f"{config.data.source} is made as it is read: there is nothing to do before `presat cpt`.")
    with quiet_libraries():
        rows, held_out = file_rows(config, open_tokenizer(config.model, chat=False), quiet)
    file = rows.file
    return Packed(
        folder=str(file.folder),
        documents=file.documents,
        tokens=file.tokens,
        bytes=file.bytes,
        rows=len(rows),
        held_out=len(held_out),
        steps=len(rows) // config.batch,
    )


def corpus_rows(config: CptConfig, tokenizer: Any, quiet: bool = False) -> tuple[Sequence[Row] | TokenRows, list[Row]]:
    """Return training and held-out rows of `sequence_length` tokens each, cut from documents joined end to end.

    A procedural corpus is made in memory, its first rows being the held-out ones.
    """
    if not config.data.source.startswith(LAB):
        return file_rows(config, tokenizer, quiet)
    if config.steps is None:
        raise ConfigError(f"{config.data.source} has no end: say how many `steps` to train.")
    held_out = config.data.held_out_rows
    texts = documents(config.data.source.removeprefix(LAB), config.data.seed, config.data.weights or None)
    ids = packed(texts, tokenizer, config.sequence_length, held_out + config.steps * config.batch)
    rows = [row((), item.tolist()) for item in ids]
    return rows[held_out:], rows[:held_out]


def file_rows(config: CptConfig, tokenizer: Any, quiet: bool = False) -> tuple[TokenRows, list[Row]]:
    """Return the rows of a corpus on the disk, and those held out, which `data.seed` draws from all of them.

    Documents stand in the order of the files: the order of the rows is what is shuffled (`schedule_rows`).
    """
    data, length, count = config.data, config.sequence_length, config.data.held_out_rows
    parts = corpus_parts(data.source, data.text, data.subset)
    file = token_file(parts, tokenizer, data.source, quiet)
    if count >= file.tokens // length:
        raise DataError(
            f"{data.source} holds {file.tokens // length} sequences of {length} tokens, no more than the {count} to "
            "hold out: lower `data.held_out_rows` or `sequence_length`."
        )
    places = draw_held_out(file, length, count, data.seed)
    held_out = [Row(ids, ids) for ids in file.rows(length, np.array(places, dtype=np.int64))]
    return TokenRows(file, length, places), held_out


def _sizes(rows: Sequence[Row] | TokenRows) -> dict[str, int]:
    """What is logged of a corpus on the disk."""
    if not isinstance(rows, TokenRows):
        return {}
    file: TokenFile = rows.file
    return {"data/documents": file.documents, "data/tokens": file.tokens, "data/rows": len(rows)}


def packed(texts: Iterator[str], tokenizer: Any, length: int, rows: int | None) -> np.ndarray:
    """Tokenise documents, end each with the end-of-sequence token, and cut the stream into (rows, length) ids.

    All in memory, for procedural corpora. With `rows` None all documents are read; a last incomplete row is dropped.
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
