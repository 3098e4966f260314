"""Text that came from a file, on its way to a person: what a terminal would obey is shown, what is long is cut.

Ids, column names, reasons and messages are whatever a file holds. An escape sequence in one could move the cursor,
rename the window or type into the shell, and half of a surrogate pair no UTF-8 stream takes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MOST_SHOWN = 200
"""Most characters a message shows of a value: a cell may hold megabytes."""

_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f]"  # controls, all but tab and end of line
    r"|[\u202a-\u202e\u2066-\u2069]"  # marks that turn the direction of writing
    r"|[\ud800-\udfff]"  # halves of a character
)


def printable(text: str) -> str:
    r"""Return `text` as any terminal and any UTF-8 file may have it: unsafe characters as `\x1b`, `\u202e`.

    A byte of a file name that is not UTF-8, which Python keeps as half a character, is shown as `\xff`.
    """
    return _UNSAFE.sub(_shown, text)


def brief(value: object, most: int = MOST_SHOWN) -> str:
    """Return a value as it may stand within a sentence: its `repr`, printable, in at most `most` characters."""
    text = printable(repr(value[: 2 * most] if isinstance(value, str | bytes) else value))
    return text if len(text) <= most else f"{text[: most - 4]} ..."


def listed(names: Sequence[str], most: int = 20) -> str:
    """Return names as they may stand within a sentence: each printable and cut, `most` of them, and how many more."""
    shown = [name if len(name) <= MOST_SHOWN else f"{name[: MOST_SHOWN - 4]} ..." for name in names[:most]]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return printable(", ".join(shown)) + more


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
