"""Completion scripts for shells: tyro writes them, from all verbs at once, so that one script serves `presat`."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Mapping
from typing import Annotated, Any, Union

import tyro

from presat.config.schema import Settings
from presat.config.usage import as_written
from presat.errors import ConfigError, nearest
from presat.text import brief

SHELLS = ("bash", "zsh", "tcsh")


def completion_script(shell: str, verbs: Mapping[str, type[Settings]], flags: type) -> str:
    """Return the script that completes verbs, options and their choices.

    Args:
        shell: `bash`, `zsh` or `tcsh`.
        verbs: the settings of each verb; a name may be of two words (`data inspect`).
        flags: a dataclass of the options that every verb takes besides.

    Raises:
        ConfigError: another shell.
    """
    if shell not in SHELLS:
        raise ConfigError(f"There are completions for {', '.join(SHELLS)}, not {brief(shell)}.{nearest(shell, SHELLS)}")
    tree: dict[str, Any] = {}
    for name, settings in verbs.items():
        first, _, second = name.partition(" ")
        if second:
            tree.setdefault(first, {})[second] = settings
        else:
            tree[first] = settings
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        kind: Any = tyro.conf.OmitSubcommandPrefixes[_one_of(tree, flags)]  # pyright: ignore[reportInvalidTypeArguments]
        tyro.cli(kind, args=["--tyro-print-completion", shell], prog="presat", registry=as_written())
    return "".join(map(_one_line_each, said.getvalue().splitlines(keepends=True)))


def _one_of(tree: Mapping[str, Any], flags: type) -> Any:
    """The type tyro reads one of several verbs as; a verb of two words is one within another."""
    kinds = []
    for name, item in tree.items():
        kind = _within(name, item, flags) if isinstance(item, Mapping) else _verb(name, item, flags)
        kinds.append(Annotated[kind, tyro.conf.subcommand(name=name)])
    return Union[tuple(kinds)]  # noqa: UP007 (made at run time)


def _within(name: str, tree: Mapping[str, Any], flags: type) -> type:
    return dataclasses.make_dataclass(name, [("verb", _one_of(tree, flags))])


def _verb(name: str, settings: type[Settings], flags: type) -> type:
    flat = tyro.conf.arg(name="")
    fields = [
        ("flags", Annotated[tyro.conf.FlagCreatePairsOff[flags], flat], dataclasses.field(default_factory=flags)),
        ("settings", Annotated[settings, flat], dataclasses.field(default_factory=settings)),
    ]
    return dataclasses.make_dataclass(name, fields)


def _one_line_each(line: str) -> str:
    """The shell takes each line for a completion, and tyro hands it help texts of several."""
    return line.replace("\\n", " ") if line.startswith("COMPLETION_SPEC = ") else line
