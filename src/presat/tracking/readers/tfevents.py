"""Reads TensorBoard's folders: the scalars of `events.out.tfevents.*`.

A file is a row of records (length, checksum, data, checksum), each an `Event` in protocol buffers. Scalars stand in a
summary's `simple_value` (torch's writer, which Hugging Face's trainers use) or in a tensor (TensorFlow 2's). Seen of
TensorBoard 2.21. The library itself is not needed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from presat.errors import RunError
from presat.tracking.readers import wire
from presat.tracking.readers.build import Log

_EVENT_STEP, _SUMMARY, _VALUE = 2, 5, 1
_TAG, _SIMPLE, _TENSOR = 1, 2, 8
_CONTENT, _FLOATS, _DOUBLES = 4, 5, 6


def event_folders(path: Path) -> list[Path]:
    """The folders with event files: this one, or those in it or in its `runs` (Hugging Face's), one run each."""
    patterns = ("", "*/", "*/*/")
    found = {file.parent for pattern in patterns for file in path.glob(f"{pattern}events.out.tfevents.*")}
    return [path] if path in found else sorted(found)


def read_events(folder: Path, called: str = "") -> Log:
    """Read the event files of one folder, or one file.

    Raises:
        RunError: one cannot be read.
    """
    files = sorted(folder.glob("events.out.tfevents.*")) if folder.is_dir() else [folder]
    by_step: dict[int, dict[str, float]] = {}
    log = Log(folder, "tensorboard", [], called)
    for file in files:
        try:
            data = file.read_bytes()
        except OSError as error:
            raise RunError(f"Cannot read {file}: {error.strerror}.") from error
        try:
            for event in _events(data):
                for tag, value in _scalars(event):
                    by_step.setdefault(wire.whole(event, _EVENT_STEP), {})[tag] = value
        except ValueError:
            log.torn.append(
                f"{file.name} ends within a record (the run was killed, or goes on): what is before was read."
            )
    log.rows = [(None, {"step": step, **row}) for step, row in sorted(by_step.items())]
    return log


def _events(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        if at + 12 > len(data):
            raise ValueError("cut short")
        (size,) = struct.unpack_from("<Q", data, at)
        if at + 12 + size + 4 > len(data):
            raise ValueError("cut short")
        yield data[at + 12 : at + 12 + size]
        at += size + 16


def _scalars(event: bytes) -> Iterator[tuple[str, float]]:
    for value in wire.parts(wire.part(event, _SUMMARY), _VALUE):
        tag = wire.part(value, _TAG).decode("utf-8", "replace")
        simple, tensor = wire.part(value, _SIMPLE), wire.part(value, _TENSOR)
        raw = simple or next((wire.part(tensor, n) for n in (_CONTENT, _FLOATS, _DOUBLES) if wire.part(tensor, n)), b"")
        if len(raw) in (4, 8):
            yield tag, wire.real(raw)
