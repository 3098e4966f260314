"""The examples of an SFT run as files of tokens in its run directory, written once: memory does not grow with them.

`RUN/sft_examples/` holds the ids of all examples one after another (`tokens.bin`, two bytes a token where all ids of
the vocabulary fit, else four), where each begins (`starts.bin`), how long its prompt is (`prompts.bin`), and
`examples.json`, which says what they were made of. Process 0 writes, in a folder beside it that gets its name once all
is there. The others wait for that, and do not read the source. A resumed run finds the examples; where its settings are
other ones they are made anew.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

from presat.config.schema import SftConfig
from presat.errors import DataError, RunError
from presat.files import atomically
from presat.jsons import read_json
from presat.models.examples import IGNORED, Row, sizes, tokenised
from presat.models.hashes import hash_tokenizer
from presat.tasks.files import source_files
from presat.training.supervised.token_file import token_dtype
from presat.types import Message

Example = tuple[Sequence[Message], str]
"""The chat turns before the response, and the response."""
EXAMPLES = "sft_examples"
"""The folder's name in the run directory."""
CHUNK = 256
"""Examples that are tokenised between two writes."""
_FORMAT = 1  # raise it when the same settings would give other tokens
_TOKENS, _STARTS, _PROMPTS, _RECORD = "tokens.bin", "starts.bin", "prompts.bin", "examples.json"


@dataclass(frozen=True)
class ExampleRows:
    """The examples of a run on the disk. It is a few words whatever their number, and can be handed to any process.

    Attributes:
        folder: where they are.
        counts: how many there are and how many were too long, and the tokens of one pass: what is logged at step 0.
        dtype: type of the ids, `uint16` or `uint32`.
    """

    folder: Path
    counts: Mapping[str, int]
    dtype: str

    def __len__(self) -> int:
        return self.counts["data/examples"]

    def longest(self) -> int:
        """Return the tokens of the longest example."""
        return int(np.diff(np.fromfile(self.folder / _STARTS, dtype=np.int64)).max())

    def batch(self, columns: Mapping[str, Sequence[int]]) -> dict[str, list[np.ndarray]]:
        """Return `input_ids` and `labels` of the examples listed under `row`: the loss is on the response.

        The files are mapped anew each time, so that what was read leaves the process with the map.
        """
        tokens = np.memmap(self.folder / _TOKENS, dtype=self.dtype, mode="r")
        starts = np.memmap(self.folder / _STARTS, dtype=np.int64, mode="r")
        prompts = np.memmap(self.folder / _PROMPTS, dtype=np.int64, mode="r")
        ids = [tokens[starts[index] : starts[index + 1]].astype(np.int64) for index in columns["row"]]
        labels = [item.copy() for item in ids]
        for index, item in zip(columns["row"], labels, strict=True):
            item[: prompts[index]] = IGNORED
        return {"input_ids": ids, "labels": labels}


def example_rows(config: SftConfig, examples: Iterator[Example], tokenizer: Any, writes: bool) -> ExampleRows:
    """Return the examples of a run, writing them first where that has not been done.

    Args:
        config: the run's configuration.
        examples: what to write; read only where something is written.
        tokenizer: what tokenises them.
        writes: whether this process writes; another waits until they are there.

    Raises:
        DataError: an example cannot be read, none is short enough, or the source is not what the run began with.
        RunError: the run directory cannot be written to, or what is there is damaged.
    """
    folder = config.run / EXAMPLES
    identity = _identity(config, tokenizer)
    if not writes:
        while _made_of(folder) != identity:
            time.sleep(0.2)
        return _opened(folder)
    files = _files(config)
    if _made_of(folder) != identity:
        try:
            _write(folder, examples, tokenizer, config.max_length, {"made_of": identity, "files": files})
        except OSError as error:
            raise RunError(f"The examples cannot be kept in {folder}: {error.strerror or error}. Make room.") from error
        if _files(config) != files:
            shutil.rmtree(folder)
            raise DataError(f"{config.data.source} changed while it was read: start again when it is whole.")
    elif read_json(folder / _RECORD, _Record).files != files:
        raise DataError(
            f"{config.data.source} has changed since this run read it. Put the old one back, or delete {folder} to go "
            "on with what is there now."
        )
    return _opened(folder)


def _identity(config: SftConfig, tokenizer: Any) -> dict[str, Any]:
    """What decides the examples, as far as every process knows it, on whatever machine."""
    return {
        "format": _FORMAT,
        "data": config.data.model_dump(mode="json"),
        "thinking": config.thinking,
        "max_length": config.max_length,
        "tokenizer": hash_tokenizer(tokenizer),
        "chat_template": tokenizer.chat_template,
        "special_tokens": {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
    }


class _Record(BaseModel):
    """What is read of the record of an example file."""

    made_of: dict[str, Any] | None = None
    files: list[Any] | None = None
    counts: dict[str, int] = {}
    dtype: Literal["uint16", "uint32"] = "uint32"


def _made_of(folder: Path) -> dict[str, Any] | None:
    """What the examples that are there were made of; None where there are none, or they are just being replaced."""
    with contextlib.suppress(RunError):
        return read_json(folder / _RECORD, _Record).made_of
    return None


def _files(config: SftConfig) -> list[list[str | int]]:
    """The files of the source with their sizes and times of change; none where it is made, or a data set."""
    files = () if config.data.source.startswith("lab/") else source_files(config.data.source) or ()
    states = [(str(path), path.stat()) for path in files]
    return [[path, state.st_size, state.st_mtime_ns] for path, state in states]


def _write(
    folder: Path, examples: Iterator[Example], tokenizer: Any, max_length: int, record: Mapping[str, Any]
) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomically(folder) as partial:
        partial.mkdir()
        counts = _tokenise(partial, examples, tokenizer, max_length)
        whole = {**record, "dtype": token_dtype(tokenizer), "counts": dict(counts)}
        (partial / _RECORD).write_text(json.dumps(whole, indent=1), encoding="utf-8")
        if (folder / _RECORD).is_file():  # ours, made with other settings
            shutil.rmtree(folder)


def _tokenise(partial: Path, examples: Iterator[Example], tokenizer: Any, max_length: int) -> Counter[str]:
    """Write the examples that are short enough, a few at a time; return the counts."""
    counts: Counter[str] = Counter()
    begin = 0
    dtype = token_dtype(tokenizer)
    with contextlib.ExitStack() as stack:
        tokens, starts, prompts = (
            stack.enter_context((partial / name).open("wb")) for name in (_TOKENS, _STARTS, _PROMPTS)
        )
        starts.write(np.array([0], dtype=np.int64).tobytes())
        while chunk := list(itertools.islice(examples, CHUNK)):
            rows = [tokenised(messages, response, tokenizer) for messages, response in chunk]
            kept = [item for item in rows if len(item.input_ids) <= max_length]
            counts.update(sizes(kept, len(rows) - len(kept)))
            for item in kept:
                tokens.write(item.input_ids.astype(dtype).tobytes())
            ends = begin + np.cumsum([len(item.input_ids) for item in kept], dtype=np.int64)
            begin = int(ends[-1]) if kept else begin
            starts.write(ends.tobytes())
            prompts.write(np.array([_prompt_length(item) for item in kept], dtype=np.int64).tobytes())
    if not counts["data/examples"]:
        raise DataError(
            f"None of the {counts['data/too_long']} examples fits max_length ({max_length} tokens): raise it."
            if counts["data/too_long"]
            else "The source of the examples holds none: set `data.source` to another."
        )
    return counts


def _prompt_length(item: Row) -> int:
    return int((item.labels == IGNORED).sum())


def _opened(folder: Path) -> ExampleRows:
    record = read_json(folder / _RECORD, _Record)
    rows = ExampleRows(folder, Counter(record.counts), record.dtype)
    tokens = rows.counts["data/prompt_tokens"] + rows.counts["data/response_tokens"]
    wanted = {_TOKENS: tokens * np.dtype(rows.dtype).itemsize, _STARTS: 8 * (len(rows) + 1), _PROMPTS: 8 * len(rows)}
    if any(not (folder / name).is_file() or (folder / name).stat().st_size != size for name, size in wanted.items()):
        raise RunError(f"The examples in {folder} are damaged: delete that folder, and they are made again.")
    return rows
