"""What is wrong with a command line, in a sentence: tyro finds it, the words are ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from presat.config import schema
from presat.config.load import explain, holds_models, settings_of
from presat.config.schema.kinds import named_path
from presat.config.yamls import YamlError, parse_yaml
from presat.errors import nearest
from presat.text import brief


def spelled_out(words: list[str], model: type[schema.Settings]) -> list[str]:
    """Return a command line with `--reward X` as the `--reward.source X` it is short for; other groups likewise."""
    short = {f"--{name.replace('_', '-')}": key for name, key in _short(model)}
    parts = [word.partition("=") for word in words]
    return [
        f"{name}.{short[name]}{sign}{value}" if name in short else word
        for word, (name, sign, value) in zip(words, parts, strict=True)
    ]


def _short(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted name of every group of settings that a text may stand for, and the setting it then is."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, schema.Settings):
            if kind.stands_for:
                yield f"{prefix}{name}", kind.stands_for
            yield from _short(kind, f"{prefix}{name}.")


def as_written() -> ConstructorRegistry:
    """Return how tyro reads numbers and paths: as the YAML file's are read (`010` is none), an empty path is none."""
    registry = ConstructorRegistry()

    @registry.primitive_rule
    def _rule(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
        if info.type not in (int, float, Path):
            return None
        return PrimitiveConstructorSpec(
            nargs=1,
            metavar=info.type.__name__.upper(),
            instance_from_str=lambda words: _read(info.type, words[0]),
            is_instance=lambda value: isinstance(value, info.type),
            str_from_instance=lambda value: [str(value)],
        )

    return registry


def _read(kind: type, word: str) -> Any:
    if kind is Path:
        return Path(named_path(word))
    try:
        value = parse_yaml(word)
    except YamlError:
        value = None
    if isinstance(value, bool) or not isinstance(value, int if kind is int else int | float):
        raise ValueError(f"{brief(word)} is no {'whole ' if kind is int else ''}number")  # noqa: TRY004 (tyro reads it)
    return kind(value)


def _words(kind: Any) -> list[str]:
    """The words a setting takes; of a list, those that stand in it."""
    return [word for part in get_args(kind) for word in (_words(part) if get_args(part) else [str(part)])]


def complaint(stop: SystemExit, said: str, verb: str, model: type[schema.Settings], argv: list[str]) -> str:
    """Say in one sentence what tyro found wrong with the command line.

    What it raised on the way is in `stop`; which option it was about is only in what it printed.
    """
    reason, cause = "", stop.__cause__ or stop.__context__
    while cause is not None:
        if isinstance(cause, ValidationError):  # a validator of ours: tyro prints it with pydantic's trimmings
            return explain(cause, model, "the command line")
        if isinstance(cause, ValueError) and not reason:  # of several types tried, what the last one says
            reason = re.sub(r"^\s*- (?:<class '.*?'>|typing\..*?\)?\]): ", "", str(cause).splitlines()[-1])
        cause = cause.__cause__ or cause.__context__
    option = next(iter(re.findall(r"--[\w.-]*\w", said)), "")
    field = dict(settings_of(model)).get(option.lstrip("-").replace("-", "_"))
    if field is None:
        told = " ".join(re.sub(r"[^\x20-\x7e]", " ", said).split())  # without tyro's frame
        return f"`presat {verb}` cannot read its command line: {told}"
    given = " ".join(argv).replace(f"{option}=", f"{option} ").partition(f"{option} ")[2].split(" ")[0]
    if reason:
        return f"{option} takes {kind_of(field)}: {reason.rstrip('.!')}."
    if given and not given.startswith("--"):
        return f"{option} cannot be {brief(given)}.{nearest(given, _words(field.annotation))}"
    return f"{option} needs a value ({kind_of(field)})."


def kind_of(field: FieldInfo) -> str:
    """What a setting takes: INT, PATH, its choices, or what its own reader calls it."""
    for mark in field.metadata:
        if isinstance(mark, PrimitiveConstructorSpec):
            return mark.metavar
    parts = [getattr(part, "__origin__", part) for part in get_args(field.annotation) or (field.annotation,)]
    parts = [part for part in parts if part is not NoneType]
    names = [part if isinstance(part, str) else getattr(part, "__name__", str(part)).upper() for part in parts]
    return "|".join(filter(None, names))  # the empty text is a choice that nobody writes


def unknown(words: list[str], verb: str, model: type[schema.Settings]) -> str:
    """Say what is wrong with words that no option took."""
    options = [word for word in words if word.startswith("-")]
    if options:
        return _unknown_option(options[0].partition("=")[0], verb, model)
    return f"`presat {verb}` does not know what to do with '{words[0]}'. Options start with --."


def _unknown_option(option: str, verb: str, model: type[schema.Settings]) -> str:
    """Name the option that was meant: the nearest one, or one whose last part it is (`--lr` for `--optim.lr`)."""
    settings = dict(settings_of(model))
    nested = [name for name, field in settings.items() if holds_models(field)]
    known = [f"--{name.replace('_', '-')}" for name in settings if name not in nested]
    known += ["--config", "--json", "--debug", "--dry-run"]
    for name in nested:
        if f"{option.lstrip('-').replace('-', '_')}.".startswith(f"{name}."):
            return f"`{name}` is a list of settings, which only a file can hold: write it into one, for --config."
    within = [name for name in known if name.rpartition(".")[2] == option.lstrip("-").replace("_", "-")]
    hint = f" Did you mean '{within[0]}'?" if within else nearest(option.replace("_", "-"), known)
    if not hint.startswith(" Did"):
        hint = f" `presat {verb} --help` lists them all."
    return f"`presat {verb}` has no option '{option}'.{hint}"
