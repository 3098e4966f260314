"""A corpus as a file of tokens on the disk, made once: memory does not grow with the corpus.

The documents of a corpus (`presat.tasks.corpus`), each ended by the end-of-sequence token, are one stream of ids in
`corpora/KEY/tokens.bin` of the cache (`PRESAT_CACHE`, else `~/.cache/presat`): two bytes a token where all ids of the
vocabulary fit, else four. KEY stands for the files with their sizes and times of change, the column and the tokenizer;
`corpus.json` beside it tells which. Sequence length, seeds and held-out rows take no part, so runs that differ in those
share the file.

One process writes, under a lock; the others wait for it. It writes in `KEY.partial`, which gets its name once all is
there. What a killed one has written is gone on with: at most `SAVE_EVERY_S` seconds of work are lost, and the text up
to there is read, not tokenised, once more.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import sys
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock, Timeout
from pydantic import BaseModel, Field

from presat.errors import DataError
from presat.files import write_atomically
from presat.jsons import read_json
from presat.models.hashes import hash_tokenizer
from presat.models.packaged import cache_folder
from presat.tasks.corpus import Part, read_parts
from presat.tracking.progress import Progress

SAVE_EVERY_S = 30.0
"""Seconds between two notes of how far the writing is."""
CHUNK_DOCUMENTS, CHUNK_CHARACTERS = 1000, 4_000_000
"""Documents are tokenised together until one of these is reached."""
_FORMAT = 1  # part of the key: raise it when the same documents would give other tokens
_TOKENS, _RECORD = "tokens.bin", "corpus.json"
_CODES = {"uint16": "H", "uint32": "I"}
"""Types on the disk, and what the module array calls them."""


@dataclass(frozen=True)
class TokenFile:
    """A whole corpus on the disk.

    Attributes:
        folder: its folder in the cache.
        documents: how many documents it holds.
        tokens: how many tokens, one end-of-sequence token for every document among them.
        dtype: their type, `uint16` or `uint32`.
    """

    folder: Path
    documents: int
    tokens: int
    dtype: str

    @property
    def bytes(self) -> int:
        """Size of the file of tokens."""
        return self.tokens * np.dtype(self.dtype).itemsize

    def rows(self, length: int, places: np.ndarray) -> np.ndarray:
        """Cut the stream into rows of `length` tokens and return those at `places`: ids (places, length), int64.

        The file is mapped anew each time, so that what was read leaves the process with the map.
        """
        tokens = np.memmap(self.folder / _TOKENS, dtype=self.dtype, mode="r")
        return tokens[: len(tokens) // length * length].reshape(-1, length)[places].astype(np.int64)


def token_file(parts: Sequence[Part], tokenizer: Any, name: str, quiet: bool = False) -> TokenFile:
    """Return the token file of a corpus, writing it first where that has not been done.

    Args:
        parts: the corpus.
        tokenizer: what tokenises it.
        name: what to call the corpus in messages.
        quiet: show no progress.

    Raises:
        DataError: the text cannot be read, is none, or changed meanwhile; the cache cannot be written or is damaged.
    """
    identity = {
        "format": _FORMAT,
        "parts": [[part.name, *part.version] for part in parts],
        "column": parts[0].column,
        "tokenizer": hash_tokenizer(tokenizer),
    }
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:20]
    folder = cache_folder() / "corpora" / key
    try:
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _alone(folder, name, quiet):
                if not folder.is_dir():  # another process may have made it meanwhile
                    _write(folder, parts, tokenizer, identity, Progress(f"tokenising {name}, MB", quiet))
        return _opened(folder)
    except OSError as error:
        raise DataError(
            f"The tokens of {name} cannot be kept in {folder.parent} ({error.strerror or error}). Make room there, or "
            "set PRESAT_CACHE to a folder with room; started again, the work goes on where it stopped."
        ) from error


def token_dtype(tokenizer: Any) -> str:
    """Return the smallest type on the disk that holds every id of the vocabulary."""
    return "uint16" if max(tokenizer.get_vocab().values()) < 2**16 else "uint32"


@contextmanager
def _alone(folder: Path, name: str, quiet: bool) -> Iterator[None]:
    """Hold the right to write a corpus; where another process has it, say so and wait."""
    lock = FileLock(folder.with_name(folder.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not quiet and os.environ.get("RANK", "0") == "0":
            print(f"Another process is tokenising {name}: waiting for it.", file=sys.stderr)
        lock.acquire(poll_interval=0.2)
    try:
        yield
    finally:
        lock.release()


class _Record(BaseModel):
    """What is read of the record of a token file."""

    documents: int = Field(default=0, ge=0)
    tokens: int = Field(default=0, ge=0)
    dtype: Literal["uint16", "uint32"] = "uint32"


def _opened(folder: Path) -> TokenFile:
    record = read_json(folder / _RECORD, _Record)
    file = TokenFile(folder, record.documents, record.tokens, record.dtype)
    if not file.tokens or (folder / _TOKENS).stat().st_size != file.bytes:
        raise DataError(f"The token file in {folder} is damaged: delete that folder, and it is made again.")
    return file


def _write(folder: Path, parts: Sequence[Part], tokenizer: Any, identity: dict[str, Any], progress: Progress) -> None:
    """Make `folder`, or go on with what an earlier process left of it."""
    partial = folder.with_name(folder.name + ".partial")
    partial.mkdir(exist_ok=True)
    try:
        with progress:
            written = _tokenise(partial, parts, tokenizer, identity, progress)
        _check(parts, written)
    except DataError as error:
        if not isinstance(error.__cause__, OSError):  # the text must change, and the key with it: this is of no use
            shutil.rmtree(partial)
        raise
    partial.rename(folder)


def _check(parts: Sequence[Part], tokens: int) -> None:
    """Refuse tokens that are not those of the corpus as it now is, and a corpus without any."""
    for part in parts:
        if not part.is_current():
            raise DataError(f"{part.name} changed while it was read: start again when it is whole.")
    if not tokens:
        raise DataError(f"{parts[0].name} holds no text in '{parts[0].column}': set `data.source` or `data.text`.")


def _tokenise(
    partial: Path, parts: Sequence[Part], tokenizer: Any, identity: dict[str, Any], progress: Progress
) -> int:
    """Write the tokens that are not yet in `partial`; return how many are then there."""
    dtype = token_dtype(tokenizer)
    record = {"documents": 0, "tokens": 0, "dtype": dtype, **identity}
    total = sum(part.size() for part in parts) // 10**6
    with (partial / _TOKENS).open("ab") as file:
        before = read_json(partial / _RECORD, _Record)
        if file.tell() >= before.tokens * np.dtype(dtype).itemsize:
            record |= {"documents": before.documents, "tokens": before.tokens}
        file.truncate(record["tokens"] * np.dtype(dtype).itemsize)
        documents = itertools.islice(read_parts(parts), record["documents"], None)
        saved = time.monotonic()
        for number, (texts, done) in enumerate(_chunks(documents)):
            if number == 0:
                progress.start(done // 10**6, total)
            ids = _ids(texts, tokenizer, dtype)
            file.write(ids.tobytes())  # `tofile` says nothing of what a full disk does not take
            record["documents"] += len(texts)
            record["tokens"] += len(ids)
            progress.tell(done // 10**6, f"{record['tokens']:.2e} tokens")
            if time.monotonic() - saved >= SAVE_EVERY_S:
                _save(partial, file, record)
                saved = time.monotonic()
        _save(partial, file, record)
    return record["tokens"]


def _save(partial: Path, file: Any, record: dict[str, Any]) -> None:
    """Note how far the writing is, once what the note says is on the disk."""
    file.flush()
    os.fsync(file.fileno())
    write_atomically(partial / _RECORD, json.dumps(record, indent=1))


def _ids(texts: list[str], tokenizer: Any, dtype: str) -> array[int]:
    """Tokenise documents and end each with the end-of-sequence token."""
    stream = array(_CODES[dtype])
    for ids in tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]:
        stream.extend(ids)
        stream.append(tokenizer.eos_token_id)
    return stream


def _chunks(documents: Iterable[tuple[str, int]]) -> Iterator[tuple[list[str], int]]:
    """Gather documents, few enough to be held; with each chunk, how far the last of them is."""
    texts: list[str] = []
    size = done = 0
    for text, done in documents:
        texts.append(text)
        size += len(text)
        if len(texts) >= CHUNK_DOCUMENTS or size >= CHUNK_CHARACTERS:
            yield texts, done
            texts, size = [], 0
    if texts:
        yield texts, done
