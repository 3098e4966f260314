"""The settings a run was started with, as its `config.yaml` holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from presat.config.yamls import YamlError, read_yaml_file
from presat.errors import RunError
from presat.text import brief


def saved_settings(file: Path) -> dict[str, Any]:
    """Return the settings in `file`; empty where there is no such file, or nothing in it.

    Raises:
        RunError: the file cannot be read, or is damaged.
    """
    if not file.exists():
        return {}
    try:
        data = read_yaml_file(file)
    except YamlError as error:
        raise RunError(
            f"{file} is not valid YAML ({error}). Restore it, or delete it if you can do without."
        ) from error
    except OSError as error:
        raise RunError(f"Cannot read {file}: {error.strerror}.") from error
    if not isinstance(data, dict | None):
        raise RunError(
            f"{file} should hold settings by name, not {brief(data)}. Restore it, or delete it if you can do without."
        )
    return data or {}
