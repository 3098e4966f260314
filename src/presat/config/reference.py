"""Writes the command reference from the configuration types; `make docs` saves it as `docs/reference.md`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from presat.config.load import holds_models, preset_names
from presat.config.schema import StudyConfig, TaskConfig
from presat.config.yamls import dump_inline
from presat.verbs import VERBS

INTRO = """# Command reference

Made by `make docs` from the types in `src/presat/config/schema/`. Every setting is a key of the YAML file given as
`--config` and an option of the command line (`optim.lr` is `--optim.lr 1e-5`); lists of settings can only stand in a
file. A text in the place of `model`, `data`, `reward` or one of `sets` and `parts` is its `name` or `source`: `reward:
verifiable`, `--reward verifiable`. All verbs also take `--config FILE|PRESET`, `--json` (one JSON object on stdout),
`--debug` (tracebacks) and `--dry-run` (print the resolved configuration). They exit 0, 1 when something failed, 2 on
wrong usage, 130 when interrupted, 129 when the terminal was closed (SIGHUP) and 143 after SIGTERM.
"""
_STUDY = "[study.md](study.md) explains it; its keys are no options of the command line"
_HEAD, _RULE = "| setting | default | meaning |", "|---|---|---|"


def reference() -> str:
    """Return the whole page as Markdown."""
    lines = [INTRO, f"Presets: {', '.join(f'`{name}`' for name in preset_names())}."]
    for name, verb in VERBS.items():
        lines += ["", f"## presat {name}", "", verb.question]
        if verb.config.model_fields:
            lines += ["", _HEAD, _RULE, *rows(verb.config)]
    lines += ["", "## A study's file", "", f"What `presat study` reads ({_STUDY}).", "", _HEAD, _RULE]
    lines += rows(StudyConfig)
    return "\n".join(lines) + "\n"


def rows(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield a table row for every setting below `model`; a whole verb's settings are referred to, not repeated."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        verb = next((verb for verb, other in VERBS.items() if other.config is kind), None)
        if verb:
            yield f"| `{prefix}{name}.*` | | {meaning} All settings of [presat {verb}](#presat-{verb}). |"
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from rows(kind, f"{prefix}{name}.")
        elif holds_models(field):
            yield f"| `{prefix}{name}` | {_shown(field)} | {meaning} A list; each has {_keys_of(field)}. |"
        else:
            yield f"| `{prefix}{name}` | {_shown(field)} | {meaning} |"


def _keys_of(field: FieldInfo) -> str:
    """What one model of a list of models holds."""
    kind = next(k for k in get_args(field.annotation) if isinstance(k, type) and issubclass(k, BaseModel))
    return "the settings of `data`" if kind is TaskConfig else ", ".join(f"`{name}`" for name in kind.model_fields)


def _shown(field: FieldInfo) -> str:
    """The default as one would write it in YAML."""
    if field.is_required():
        return "must be given"
    value = field.get_default(call_default_factory=True)
    if value in (None, ""):
        return ""
    return f"`{dump_inline(value) if isinstance(value, bool | dict | list) else value}`"


if __name__ == "__main__":
    print(reference(), end="")
