"""Protocol buffers as far as event files need them: the fields of a message, by number."""

from __future__ import annotations

import struct
from collections.abc import Iterator


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a message in their order: whole numbers as they are, everything else as its bytes.

    Raises:
        ValueError: it is no message, or is cut short.
    """
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        size = {1: 8, 5: 4}.get(kind)
        if kind == 2:
            size, at = _varint(data, at)
        if size is None or at + size > len(data):
            raise ValueError("no message")
        yield number, data[at : at + size]
        at += size


def parts(data: bytes, number: int) -> Iterator[bytes]:
    """The messages, texts or numbers of fixed length that are in one field."""
    return (value for found, value in fields(data) if found == number and isinstance(value, bytes))


def part(data: bytes, number: int) -> bytes:
    """The last of them; empty where there is none."""
    return next(iter([*parts(data, number)][::-1]), b"")


def whole(data: bytes, number: int) -> int:
    """A whole number; 0, which is not written, where there is none."""
    return next((value for found, value in fields(data) if found == number and isinstance(value, int)), 0)


def real(data: bytes) -> float:
    """The number that 4 or 8 bytes hold.

    Raises:
        ValueError: they are of another length.
    """
    if len(data) not in (4, 8):
        raise ValueError("no number")
    return struct.unpack("<f" if len(data) == 4 else "<d", data)[0]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("no message")
