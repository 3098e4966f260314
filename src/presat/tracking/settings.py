"""The settings of a run: those it was started with, and what changed since, said on the terminal and to readers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from presat.config.yamls import YamlError, read_yaml_file
from presat.errors import RunError
from presat.text import brief

Changes = dict[str, list[Any]]
"""By dotted name: before, after."""

_OWN = ("run", "resume")
"""Settings that say where a run is and not what it is."""
_ANOTHER = ("seed", "model.name", "data", "reward")
"""Settings, and what is below them, under which another run is trained."""
_TRAIN = ("train", "sft", "cpt")
"""Verbs whose runs other settings make others: what an evaluation or a data verb draws otherwise is refused."""
_SHOWN = 60
"""Most characters that are shown of a value."""
_LISTED = 8
"""Most changes that a sentence lists."""


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


def changes(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> Changes:
    """Return the settings that differ; one that only one side has is None on the other."""
    found: Changes = {}
    for name in [*before, *(name for name in after if name not in before)]:
        old, new = before.get(name), after.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found.update(changes(old, new, f"{prefix}{name}."))
        elif old != new:
            found[f"{prefix}{name}"] = [old, new]
    return found


def worth_saying(changed: Changes, defaults: Mapping[str, Any]) -> Changes:
    """Leave out what changes nothing: where the run is, and a setting of later versions that is at its default.

    Args:
        changed: what differs.
        defaults: the verb's settings, none of them set.
    """
    return {
        name: [old, new]
        for name, (old, new) in changed.items()
        if name not in _OWN and not (old is None and _at(defaults, name) == new)
    }


def _at(settings: Any, name: str) -> Any:
    """A setting by its dotted name; None where there is none."""
    for part in name.split("."):
        settings = settings.get(part) if isinstance(settings, Mapping) else None
    return settings


def prompts_per_step(settings: Mapping[str, Any]) -> int | None:
    """How many problems a training step has, where the settings say."""
    found = settings.get("prompts_per_step")
    return found if isinstance(found, int) and found > 0 else None


def told(changed: Changes) -> str:
    """Say what changed (`seed 0 -> 1, data.source 'a' -> 'b'.`), and where that makes another run of it."""
    shown = [f"{name} {brief(old, _SHOWN)} -> {brief(new, _SHOWN)}" for name, (old, new) in changed.items()]
    more = f" and {len(shown) - _LISTED} more" if len(shown) > _LISTED else ""
    found = [name for name in changed if any(name == own or name.startswith(f"{own}.") for own in _ANOTHER)]
    two = f" By {', '.join(found[:_LISTED])} its log and weights are of two different runs." if found else ""
    return f"{', '.join(shown[:_LISTED])}{more}.{two}"


def resumed_notes(provenance: Mapping[str, Any]) -> Iterator[str]:
    """Say to readers from which step on a run had other settings; what its evaluations changed they say by set."""
    resumed = provenance.get("resumed") if provenance.get("command") in _TRAIN else None
    for entry in resumed if isinstance(resumed, list) else []:
        changed = entry.get("changed_settings") if isinstance(entry, Mapping) else None
        if not isinstance(changed, Mapping):
            continue
        changed = {
            name: pair
            for name, pair in changed.items()
            if not name.startswith("eval.") and name not in _OWN and isinstance(pair, list) and len(pair) == 2
        }
        if changed:
            step = entry.get("from_step")
            since = f"From step {step + 1} on" if isinstance(step, int) else "Once resumed,"
            yield f"{since} the run had other settings: {told(changed)}"
