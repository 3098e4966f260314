"""Reads the files of Weights & Biases that lie in a training folder: `wandb/offline-run-*/run-ID.wandb`.

A file is a log of records in blocks of 32 KiB (LevelDB's format), each record a protocol buffer of W&B's; those of its
history hold what one call of `log` was given, as JSON. Seen of W&B 0.31. The library itself is not needed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from presat.errors import RunError
from presat.jsons import parse_json
from presat.tracking.readers import wire
from presat.tracking.readers.build import Log
from presat.tracking.readers.rows import unquoted

_MAGIC = b":W&B"
_BLOCK, _HEADER = 32768, 7
_FULL, _FIRST, _LAST = 1, 2, 4
_HISTORY, _RUN = 2, 17
_RUN_ID, _DISPLAY_NAME = 1, 8
_ITEM, _STEP, _KEY, _NESTED_KEY, _JSON = 1, 2, 1, 2, 16


def wandb_files(path: Path) -> list[Path]:
    """The histories in a folder: its own, or those of the runs in it or in its `wandb`."""
    found: list[Path] = []
    for pattern in ("run-*.wandb", "*run-*/run-*.wandb", "wandb/*run-*/run-*.wandb"):
        found += [file for file in sorted(path.glob(pattern)) if file.parent.name != "latest-run"]
    return found


def read_wandb(path: Path) -> Log:
    """Read one file.

    Raises:
        RunError: it cannot be read, or is none.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(f"Cannot read {path}: {error.strerror}.") from error
    if not data.startswith(_MAGIC):
        raise RunError(f"{path} is no file of Weights & Biases: it does not begin with `:W&B`.")
    rows: list[tuple[int | None, dict[str, Any]]] = []
    log = Log(path, "wandb", rows, path.stem)
    try:
        for record in _records(data):
            rows += [(None, _row(history)) for history in wire.parts(record, _HISTORY)]
            for run in wire.parts(record, _RUN):
                log.called = (wire.part(run, _DISPLAY_NAME) or wire.part(run, _RUN_ID)).decode("utf-8", "replace")
    except ValueError:
        log.torn.append(f"{path.name} ends within a record (the run was killed, or goes on): what is before was read.")
    return log


def _row(history: bytes) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for item in wire.parts(history, _ITEM):
        keys = [wire.part(item, _KEY)] if wire.part(item, _KEY) else [*wire.parts(item, _NESTED_KEY)]
        row[".".join(key.decode("utf-8", "replace") for key in keys)] = parse_json(wire.part(item, _JSON).decode())
    step = wire.part(history, _STEP)
    return unquoted({"_step": wire.whole(step, 1), **row} if step else row)


def _records(data: bytes) -> Iterator[bytes]:
    """The records, put together where they cross blocks.

    Raises:
        ValueError: the file ends within one.
    """
    at, whole = _HEADER, b""
    while at < len(data):
        left = _BLOCK - at % _BLOCK
        if left < _HEADER:
            at += left
            continue
        if at + _HEADER > len(data):
            raise ValueError("cut short")
        size, kind = struct.unpack_from("<HB", data, at + 4)
        piece = data[at + _HEADER : at + _HEADER + size]
        if kind == 0 and size == 0:
            return  # the rest was made room for and never written
        if len(piece) < size:
            raise ValueError("cut short")
        at += _HEADER + size
        whole = piece if kind in (_FULL, _FIRST) else whole + piece
        if kind in (_FULL, _LAST):
            yield whole
