"""Names in little room."""

from __future__ import annotations


def cut(name: str, width: int) -> str:
    """A name in at most `width` characters."""
    return name if len(name) <= width else name[: width - 1] + "…"


def wrap(name: str, width: int) -> list[str]:
    """A name on at most two lines of `width` characters, broken at a space or mark where one is near."""
    if len(name) <= width:
        return [name]
    at = max((i + 1 for i, c in enumerate(name[:width]) if c in " -_/+"), default=0)
    at = at if at > width // 3 else width
    return [name[:at].rstrip(), cut(name[at:].lstrip(), width)]
