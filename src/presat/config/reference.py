"""Writes the command reference from the configuration types; `make docs` saves it as `docs/reference.md`."""

from __future__ import annotations

import yaml
from pydantic.fields import FieldInfo

from presat.cli import VERBS
from presat.config.load import preset_names, settings_of


def reference() -> str:
    """Return the whole page as Markdown."""
    lines = [
        "# Command reference",
        "",
        "Made by `make docs` from the types in `src/presat/config/schema.py`. Every setting is a YAML key and a",
        "`--dotted.override`. All verbs also take `--config FILE|PRESET`, `--json`, `--debug` and `--dry-run`.",
        "",
        f"Presets: {', '.join(f'`{name}`' for name in preset_names())}.",
    ]
    for name, verb in VERBS.items():
        lines += ["", f"## presat {name}", "", verb.question, "", "| setting | default | meaning |", "|---|---|---|"]
        for key, field in settings_of(verb.config):
            meaning = " ".join((field.description or "").split()).replace("|", "\\|")
            lines.append(f"| `{key}` | `{_shown(field)}` | {meaning} |")
    return "\n".join(lines) + "\n"


def _shown(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if isinstance(value, (dict, list, tuple)):
        return yaml.safe_dump(value, default_flow_style=True).strip()
    return {None: "none", "": "empty"}.get(value, str(value))


if __name__ == "__main__":
    print(reference(), end="")
