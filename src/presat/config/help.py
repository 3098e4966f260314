"""`presat VERB --help`: the settings of a verb with what they are now, those that most command lines have first."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from tyro.conf import Positional

from presat.config.load import holds_models, settings_of
from presat.config.schema import Settings
from presat.config.usage import kind_of
from presat.config.yamls import dump_inline
from presat.text import masked, printable

INDENT = 26
MOST_COLUMNS = 110
"""Wider lines are tiring to read."""
_POSITIONAL = Positional[str].__metadata__[0]  # type: ignore[attr-defined]


def help_text(verb: str, words: str, question: str, now: Settings, flags: Mapping[str, str]) -> str:
    """Return the help of one verb.

    Args:
        verb: its name.
        words: what stands before its options.
        question: what it answers.
        now: its settings as they are, defaults or a file's.
        flags: the options that every verb takes, and what they mean.
    """
    columns = min(shutil.get_terminal_size().columns, MOST_COLUMNS)
    fields = dict(settings_of(type(now)))
    common = [name for name in now.common if name in fields]
    usage = " ".join(filter(None, ["usage: presat", verb, words, "[options]"]))
    lines = [usage, "", *textwrap.wrap(question, columns)]
    if common:
        lines += ["", "common:", *_options(common, fields, now, columns)]
    lines += ["", "of every verb:"]
    for option, meaning in flags.items():
        lines += _entry(option, meaning, columns)
    for group, names in _groups(fields, common).items():
        title = f"{group}: {_meaning_of(type(now), group)}" if group else ("the rest:" if common else "options:")
        lines += ["", *textwrap.wrap(title, columns), *_options(names, fields, now, columns)]
    nested = [name for name, field in fields.items() if holds_models(field)]
    if nested:
        said = (
            f"Lists of settings stand in a file, for --config: {', '.join(nested)}. docs/reference.md has all settings."
        )
        lines += ["", *textwrap.wrap(said, columns)]
    return "\n".join(lines)


def _groups(fields: Mapping[str, FieldInfo], common: list[str]) -> dict[str, list[str]]:
    """The other settings by their group, those of none first."""
    found: dict[str, list[str]] = {"": []}
    for name, field in fields.items():
        if name not in common and not holds_models(field):
            found.setdefault(name.rpartition(".")[0], []).append(name)
    return {group: names for group, names in found.items() if names}


def _options(names: list[str], fields: Mapping[str, FieldInfo], now: Settings, columns: int) -> Iterator[str]:
    for name in names:
        field, value = fields[name], _value(now, name)
        meaning = " ".join((field.description or "").split())
        shown = "" if value in (None, "", [], {}) else f" [{masked(_shown(value))}]"
        yield from _entry(_option(name, field), f"{meaning}{shown}", columns)


def _option(name: str, field: FieldInfo) -> str:
    """How a setting is written, with what it takes."""
    option, kind = f"--{name.replace('_', '-')}", kind_of(field)
    if _POSITIONAL in field.metadata:
        return name.upper()
    if field.annotation is bool:
        return f"{option}, --{'.'.join([*name.split('.')[:-1], 'no-' + name.split('.')[-1]]).replace('_', '-')}"
    if kind == "YAML":
        return f"{option} YAML"
    if get_origin(field.annotation) is dict:
        return f"{option} KEY VALUE ..."
    return f"{option} {kind}{' ...' if get_origin(field.annotation) is list else ''}"


def _entry(option: str, meaning: str, columns: int) -> Iterator[str]:
    """An option, and what it means beside it or, where it is long, below."""
    indent = " " * INDENT
    told = textwrap.wrap(printable(meaning), max(30, columns - INDENT), break_on_hyphens=False) or [""]
    if len(option) + 4 <= INDENT:
        yield f"  {option:<{INDENT - 2}}{told[0]}".rstrip()
        told = told[1:]
    else:
        yield from (f"  {part}" for part in ([option] if len(option) + 2 <= columns else option.split(", ")))
    yield from (f"{indent}{line}" for line in told)


def _value(now: BaseModel, name: str) -> Any:
    value: Any = now
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _shown(value: Any) -> str:
    return dump_inline(value) if isinstance(value, bool | dict | list) else str(value)


def _meaning_of(model: type[BaseModel], group: str) -> str:
    """What a group of settings is, as its field says; its type where the field says nothing."""
    here: Any = model
    meaning = ""
    for part in group.split("."):
        field = here.model_fields[part]
        here, meaning = field.annotation, field.description or field.annotation.__doc__ or ""
    return " ".join(meaning.split())
