"""Text that came from a file, on its way to a person: what a terminal would obey is shown, what is long is cut.

What gives access (passwords, keys) is found here too, so that it is refused among settings and masked where it would be
written.

Ids, column names, reasons and messages are whatever a file holds. An escape sequence in one could move the cursor,
rename the window or type into the shell, and half of a surrogate pair no UTF-8 stream takes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

MOST_SHOWN = 200
"""Most characters a message shows of a value: a cell may hold megabytes."""

_UNSAFE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f]"  # controls, all but tab and end of line
    r"|[\u202a-\u202e\u2066-\u2069]"  # marks that turn the direction of writing
    r"|[\ud800-\udfff]"  # halves of a character
)

_LEAST_SECRET = 8
"""Shorter values of the environment are masked nowhere: they are words."""

_SECRETS = (
    r"(?:[a-z0-9]{1,30}[-_]){0,4}(?:(?:api|access|secret|private|auth|judge|openai|anthropic|wandb)[-_]?key|password|passwd|secret"
    r"|(?:access|api|auth|bearer|hf|hub|github|refresh|secret|session)[-_]?token)"
)
_SECRET_NAME = re.compile(_SECRETS, re.IGNORECASE)
_NAMED = re.compile(
    rf"(?P<name>(?<![a-z0-9])(?:{_SECRETS})['\"]?(?:\s*[:=]\s*|\s+(?=\S*\d)))(?:'[^']*'|\"[^\"]*\"|[^\s'\",;}}&]+)",
    re.IGNORECASE,
)
_PREFIXES = (
    r"sk-|hf_|gsk_|gh[pousr]_|github_pat_|glpat-|npm_|nvapi-|pplx-|r8_|wandb_v1_|xai-|xapp-|xox[abeprs]-|a[ks]ia|aiza"
)
"""What the keys of well-known services begin with."""
_CREDENTIALS = tuple(
    (re.compile(pattern, re.IGNORECASE), r"\1***")
    for pattern in (
        r"(\b[a-z][a-z0-9+.-]{0,20}://)[^\s/?#@:]{1,99}:(?!\d+[/?#])[^\s'\"]{0,99}(?=@)",  # a login in an address
        r"(\b[a-z][a-z0-9+.-]{0,20}://)[^\s/?#'\"]+(?=@)",  # a name alone
        r"([?&#;](?:[\w-]*(?:key|token|secret|password|passwd|pwd|sig|signature)|auth)=)[^\s&#;'\"]+",  # a key in it
        rf"(?<![a-z0-9])({_PREFIXES})(?:(?=[\w-]{{0,200}}\d)[\w-]{{16,}}|[a-z0-9]{{16,}}[\w-]*)",  # no `sk-learn-x`
        r"(\bBearer\s+)[\w.~+/=-]{8,}",
        r"(\bAuthorization:\s*\w+\s+)\S+",
        r"(\beyJ)[\w-]{8,}\.[\w-]{8,}\.[\w-]*",  # a signed token (JWT)
    )
)
"""What gives access wherever it stands, and what is shown of it."""


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


def holds_secret(text: str) -> bool:
    """Whether `text` holds what gives access: a login or a key within an address, or what has the shape of a key."""
    return any(pattern.search(text) for pattern, _ in _CREDENTIALS)


def names_secret(name: str) -> bool:
    """Whether `name` is one that a password or a key goes by: `api_key`, `hub_token`, `password`."""
    return _SECRET_NAME.fullmatch(name.lstrip("-")) is not None


def masked(text: str) -> str:
    """Return `text` without passwords and keys, `***` in their places.

    Those are what `holds_secret` finds, values said to be one (`api_key: x`, `--hub-token x`), and the values that the
    environment has under such names.
    """
    for pattern, shown in (*_CREDENTIALS, (_NAMED, r"\g<name>***")):
        text = pattern.sub(shown, text)
    for name, value in os.environ.items():
        if len(value) >= _LEAST_SECRET and value in text and names_secret(name):
            text = text.replace(value, "***")
    return text


def masked_words(words: Iterable[str]) -> list[str]:
    """Return a command line without passwords and keys: as `masked`, also where option and value are two words."""
    found: list[str] = []
    for word in words:
        hidden = bool(found) and found[-1].startswith("-") and names_secret(found[-1].rpartition(".")[2])
        found.append("***" if hidden else masked(word))
    return found


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
