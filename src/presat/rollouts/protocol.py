"""The package `openai`, by which servers are asked: an extra, so it is imported where it is used."""

from __future__ import annotations

from typing import Any

from presat.errors import ConfigError
from presat.text import masked


def import_openai(what: str, line: str) -> Any:
    """Return the module.

    Args:
        what: what needs it, for the error.
        line: what installs it.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import openai  # pyright: ignore[reportMissingImports]  (an optional extra)
    except ModuleNotFoundError as error:
        if error.name != "openai":
            raise
        raise ConfigError(f"{what} needs the package openai, which is not installed here: run `{line}`.") from error
    return openai


def told(error: Exception) -> str:
    """What the client says; servers like to repeat the key they refuse."""
    return f"{type(error).__name__}: {masked(str(error))}"
