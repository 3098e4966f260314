"""What settings are made of: their common base, and the kinds of numbers, words and paths."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    field_validator,
    model_validator,
)
from tyro.constructors import PrimitiveConstructorSpec

from presat.config.yamls import YamlError, dump_inline, parse_yaml
from presat.text import brief, holds_secret, names_secret, printable


def _read_mapping(words: list[str]) -> dict[str, Any]:
    try:
        value = parse_yaml(words[0])
    except YamlError as error:
        raise ValueError(f"not valid YAML, {error}: {brief(words[0])}") from error
    if not isinstance(value, dict):
        raise ValueError(f"expected something like '{{difficulty: 3}}', got {brief(words[0])}")  # noqa: TRY004 (tyro reads it)
    return value


# Free-form settings: on the command line one YAML mapping, for instance --data.options '{difficulty: 3}'.
YamlMapping = Annotated[
    dict[str, Any],
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="YAML",
        instance_from_str=_read_mapping,
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=lambda value: [dump_inline(value)],
    ),
]


_NO_SECRETS = (
    "and settings are saved with the run. Take it out: a server's key is read from the environment variable "
    "OPENAI_API_KEY, the hub's from HF_TOKEN, and code of your own can read its keys there too"
)


_BROKEN = re.compile("[\0\ud800-\udfff]")
_BROKEN_PATH = re.compile("[\0\ud800-\udc7f\udd00-\udfff]")  # what is left out stands for bytes of a file name


class Settings(BaseModel):
    """Base of every configuration.

    Unknown keys are errors; values are checked on assignment too. A value is of its setting's type as it stands: text
    is no number, `true` is not 1. NaN and infinities are no numbers. Settings are saved with every run, so text must
    be such as can be written, and passwords and keys do not stand among them.
    """

    model_config = ConfigDict(
        extra="forbid", validate_assignment=True, use_attribute_docstrings=True, strict=True, allow_inf_nan=False
    )

    saved: ClassVar[bool] = True
    """Whether a run directory keeps them: then paths must be UTF-8 text too."""
    stands_for: ClassVar[str] = ""
    """The setting that a text in place of the whole group stands for: `reward: verifiable` is its `source`."""
    common: ClassVar[tuple[str, ...]] = ()
    """Of a verb: the settings, by dotted name, that most of its command lines have; `--help` shows them first."""

    @model_validator(mode="before")
    @classmethod
    def _spelled_out(cls, value: Any) -> Any:
        return {cls.stands_for: value} if cls.stands_for and isinstance(value, str) else value

    @field_validator("*")
    @classmethod
    def _can_be_saved(cls, value: Any) -> Any:
        broken = _BROKEN if cls.saved else _BROKEN_PATH
        for name, item in _leaves(value, ""):
            where = f" in `{name}`" if name else ""
            if isinstance(item, float) and not math.isfinite(item):
                raise ValueError(f"{item}{where} is no finite number")
            if isinstance(item, str):
                if broken.search(item):
                    raise ValueError(f"there is a character{where} that no name and no UTF-8 text can hold: rename it")
                if holds_secret(item) or (item and names_secret(name.rpartition(".")[2])):
                    raise ValueError(f"there is a password or a key{where}, {_NO_SECRETS}")
        return value


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield what a setting holds, keys of its mappings too, by its dotted name within. Models look for themselves."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield name, key
            yield from _leaves(item, f"{name}.{printable(str(key))[:80]}".lstrip("."))
    elif isinstance(value, list | tuple | set):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{name}.{index}".lstrip("."))
    elif not isinstance(value, BaseModel):
        yield name, str(value) if isinstance(value, Path) else value


def named_path(value: Any) -> Any:
    """Refuse a text that is no path as a person writes it; of one that is a path already, nobody knows.

    Raises:
        ValueError: it is empty, or `-`, by which other programs mean their standard output.
    """
    if isinstance(value, str) and not value.strip():
        raise ValueError("an empty path: name a file or a folder")
    if value == "-":
        raise ValueError("nothing is read from standard input or written to standard output: name a file or a folder")
    return value


def _word(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        bare = not (parts.query or parts.fragment or any(character.isspace() for character in url))
        right = bare and parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # no such port, a bracket that is not closed
        right = False
    if not right:
        raise ValueError("should be a server's address, `http://HOST:PORT/v1`, and nothing after it")
    return url


# What settings are made of. The bounds are far beyond any use: they turn a slip (a zero too many, an identifier in the
# wrong place) into a sentence, where it would become a day of waiting, a full memory or a crash of a library.
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""numpy takes 32 bits, servers 31; processes and attempts count on from it."""
Steps = Annotated[int, Field(ge=1, le=10**9)]
StepsOrZero = Annotated[int, Field(ge=0, le=10**9)]
Tokens = Annotated[int, Field(ge=1, le=2**24)]
Rows = Annotated[int, Field(ge=1, le=2**20)]
"""Side by side in memory or in a step."""
Samples = Annotated[int, Field(ge=1, le=2**16)]
Problems = Annotated[int, Field(ge=1, le=10**7)]
Workers = Annotated[int, Field(ge=1, le=1024)]
Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600)]
Share = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(ge=0, le=1000)]
Weight = Annotated[float, Field(ge=-1e6, le=1e6)]
Url = Annotated[str, AfterValidator(_address)]
Word = Annotated[str, AfterValidator(_word)]
AnyPath = Annotated[Path, Strict(strict=False), BeforeValidator(named_path)]

Threads = Annotated[int, Field(ge=0, le=1024, description="CPU threads; 0 leaves torch's choice.")]
OneDnn = Annotated[
    bool,
    Field(
        description="On a CPU: float32 matrices are multiplied by oneDNN. Half the time on AMD processors for models "
        "of 0.1B parameters or more; results differ in their last digits."
    ),
]
