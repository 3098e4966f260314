"""Everything presat raises on purpose. Each message says what is wrong and what to do next.

The command line prints these as one sentence and exits 1; any other exception is a bug and says so.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST_LISTED = 20
"""Most names a message lists: a folder may hold thousands of files, a run hundreds of metrics."""


class PresatError(Exception):
    """Base of every error a user can cause or mend."""


class ConfigError(PresatError):
    """A setting is unknown, contradictory or out of range."""


class DataError(PresatError):
    """A data file is missing, unreadable or malformed; the message names the row and the field."""


class ModelError(PresatError):
    """A model cannot be found, loaded or made."""


class VerifierError(PresatError):
    """The verifier itself broke. A response that cannot be read is not this: it scores 0 or missing."""


class JudgeError(PresatError):
    """A faithfulness or diversity judge failed or disagrees with its contract."""


class RunError(PresatError):
    """A run directory is busy, damaged, not writable, or a run had to stop (for instance on a NaN loss)."""


class UnfinishedError(RunError):
    """A run had to stop, and what was saved can be gone on with: how, depends on who started it."""


def not_utf8(error: UnicodeDecodeError) -> str:
    """Say that something is no UTF-8 text, which byte is none, and what to do."""
    return (
        f"not UTF-8 text (byte 0x{error.object[error.start]:02x}): convert it, if it is Latin-1 by "
        "`iconv -f latin1 -t utf8 OLD > NEW`"
    )


def nearest(word: str, known: Iterable[str], most: int = MOST_LISTED) -> str:
    """Return `" Did you mean 'x'?"` for the known name closest to `word`, or a list of `most` when none is close."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f" Did you mean '{close[0]}'?"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f" Known: {', '.join(names[:most])}{more}." if names else ""
