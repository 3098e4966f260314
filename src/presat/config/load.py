"""Reads YAML into configuration, naming the nearest key where one is unknown.

A source is a file, `presets/NAME.yaml`, or the bare name of a preset that ships with presat.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from presat.config.schema import Settings
from presat.config.yamls import YamlError, dump_yaml, parse_yaml, read_yaml_file
from presat.errors import MOST_LISTED, ConfigError, nearest
from presat.text import brief, masked, printable

S = TypeVar("S", bound=Settings)


def preset_names() -> list[str]:
    """Names of the presets that ship with presat."""
    folder = resources.files("presat.config") / "presets"
    return sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml"))


def preset_purpose(name: str) -> str:
    """What a preset is for: the first sentence of the comment it begins with."""
    text = (resources.files("presat.config") / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    lines = [line.removeprefix("#").strip() for line in takewhile(lambda line: line.startswith("#"), text.splitlines())]
    return " ".join(lines).partition(". ")[0].removesuffix(".") + "."


def read_yaml(source: str) -> dict[str, Any]:
    """Return the mapping a file or preset holds.

    Raises:
        ConfigError: no such file or preset, or it is not a YAML mapping.
    """
    path = Path(source)
    try:
        if path.is_file():
            data = read_yaml_file(path)
        elif source in (path.stem, f"presets/{path.stem}.yaml") and path.stem in preset_names():
            data = parse_yaml((resources.files("presat.config") / "presets" / f"{path.stem}.yaml").read_bytes())
        elif path.is_dir():
            raise ConfigError(f"{source} is a folder; --config takes a YAML file or the name of a preset.")
        else:
            known = nearest(path.stem, preset_names())
            raise ConfigError(f"There is no configuration file or preset {brief(source)}.{known}")
    except YamlError as error:
        raise ConfigError(f"{source} is not valid YAML here: {error}.") from error
    except OSError as error:
        raise ConfigError(f"{brief(source)} cannot be read: {error.strerror}.") from error
    if not isinstance(data, dict):
        held = "nothing" if data is None else f"a {type(data).__name__}"
        raise ConfigError(f"{source} should hold `key: value` lines; it holds {held}.")
    return data


def build(model: type[S], data: Mapping[str, Any], where: str = "the configuration") -> S:
    """Validate `data` as `model`.

    Raises:
        ConfigError: one line per wrong key or value, with the nearest key for each unknown one.
    """
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        raise ConfigError(explain(error, model, where)) from error


def load_config(model: type[S], source: str | None) -> S:
    """Read `source` (see the module) as `model`; the defaults when it is None."""
    return model() if source is None else build(model, read_yaml(source), source)


def dump_config(config: BaseModel) -> str:
    """Return the resolved configuration as YAML that `--config` reads back."""
    return dump_yaml(config.model_dump(mode="json"))


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every setting below `model` with its dotted name, depth first."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from settings_of(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def holds_models(field: FieldInfo) -> bool:
    """Whether a setting is a list of models (`eval.sets`), which the command line has no words for."""
    return any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in get_args(field.annotation))


def explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """Turn pydantic's report into sentences a person can act on."""
    lines, place = [], _place(error.title, model)
    for item in error.errors()[:MOST_LISTED]:
        key = ".".join([*place, *(printable(str(part))[:80] for part in item["loc"])])
        if item["type"] == "extra_forbidden":
            known = _known_keys(model, item["loc"][:-1])
            lines.append(f"unknown key '{key}'.{nearest(str(item['loc'][-1])[:80], known)}")
        else:
            message = item["msg"].removeprefix("Value error, ")
            got = str(item["input"]) if isinstance(item["input"], Path) else item["input"]
            shown = "" if isinstance(got, dict | BaseModel) else f" (got {masked(brief(got))})"
            lines.append(f"{key}: {message}{shown}" if key else message)
    if error.error_count() > MOST_LISTED:
        lines.append(f"and {error.error_count() - MOST_LISTED} faults more.")
    return f"In {where}: " + "\n  ".join(lines)


def _place(title: str, model: type[BaseModel], path: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Where below `model` the one model called `title` stands; empty for `model` itself and where several do."""
    places = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            places += [(*path, name)] if kind.__name__ == title else filter(None, [_place(title, kind, (*path, name))])
    return places[0] if len(places) == 1 and model.__name__ != title else ()


def _known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Keys allowed at `location`, walking through nested models and lists of them."""
    here: type[BaseModel] = model
    for part in location:
        if isinstance(part, int):
            continue
        annotation = here.model_fields[part].annotation
        options = [annotation, *get_args(annotation)]
        here = next(o for o in options if isinstance(o, type) and issubclass(o, BaseModel))
    return list(here.model_fields)
