"""Where a run came from: versions, code state, machine, seeds, and hashes of what went in."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from presat.jsons import as_shape, read_json
from presat.models.adapters import adapter_hash, is_adapter
from presat.models.hashes import RESUME_STATE, hash_path, hub_revision
from presat.models.loading import stands_on
from presat.text import masked_words
from presat.types import Problem

PACKAGES = (
    "presat", "torch", "transformers", "trl", "accelerate", "peft", "datasets", "tokenizers", "safetensors", "numpy",
    "polars", "math-verify", "reasoning-gym", "vllm",
)  # fmt: skip

PROVENANCE = "provenance.json"
DECIDES = "verify.extraction"
"""The setting that says how answers are read."""


def read_provenance(run: Path) -> dict[str, Any]:
    """Return what `provenance.json` of a run directory says; empty where there is none.

    Raises:
        RunError: it is damaged: what presat reads of it is there in another shape.
    """
    found = read_json(run / PROVENANCE)
    as_shape(run / PROVENANCE, found, _ProvenanceFile)
    return found  # as it is written, to be written so again


def collect(config: Mapping[str, Any], command: str) -> dict[str, Any]:
    """What is known at the start of a run, as a JSON-able object.

    Args:
        config: the resolved configuration; its seeds and extraction modes are lifted out of it: the one answers are
            judged by, and others (a vote's own) by their dotted names.
        command: the verb (`train`, `cpt`, ...).
    """
    extractions = dict(_find(config, "extraction"))
    return {
        "command": command,
        "command_line": masked_words(sys.argv),
        "versions": versions(),
        "git": git_state(Path(__file__).parent),
        "machine": machine(),
        "seeds": dict(_find(config, "seed")),
        "extraction": extractions.pop(DECIDES, None),
        "other_extractions": extractions,
    }


def versions() -> dict[str, str]:
    """Versions of Python and of every package that can change a number, where installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the checkout that `folder` is in, and whether its tracked files differ; None outside a checkout."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    difference = _git(folder, "diff", "HEAD")
    state: dict[str, Any] = {"commit": commit, "modified": bool(difference)}
    if difference:
        state["difference_sha256"] = hashlib.sha256(difference.encode()).hexdigest()
    return state


def machine() -> dict[str, Any]:
    """The machine, as far as it can change speed or numbers. Looks at GPUs only where torch is loaded already."""
    torch = sys.modules.get("torch")
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if torch is not None else []
    return {
        "host": platform.node(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads() if torch is not None else None,
        "gpus": gpus,
    }


def model_identity(name: str) -> dict[str, str | None]:
    """What a model is exactly: its folder's hash, or the commit of a hub model in the local cache (None: unknown).

    A checkpoint is the same model when it can no longer be resumed from. An adapter is one with what it stands on.
    """
    if is_adapter(name):
        return {"name": name, "sha256": adapter_hash(name, stands_on(name))}
    if Path(name).is_dir():
        return {"name": name, "sha256": hash_path(name, RESUME_STATE)}
    return {"name": name, "revision": hub_revision(name)}


def hash_problems(problems: Iterable[Problem]) -> str:
    """SHA-256 over what a model sees of the problems and is scored by, in order; metadata takes no part."""
    digest = hashlib.sha256()
    for problem in problems:
        fields = asdict(problem)
        fields.pop("metadata")
        digest.update(repr(sorted(fields.items())).encode())
    return digest.hexdigest()


def _find(config: Mapping[str, Any], key: str, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Yield dotted path and value of every `key` in a nested mapping (lists of mappings included)."""
    for name, value in config.items():
        here = f"{prefix}{name}"
        if name == key:
            yield here, value
        elif isinstance(value, Mapping):
            yield from _find(value, key, f"{here}.")
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, Mapping):
                    yield from _find(item, key, f"{here}.{index}.")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 (fixed arguments)
            ["git", "-C", str(folder), *arguments],  # noqa: S607 (git from the user's path)
            capture_output=True, text=True, timeout=20, check=True, errors="replace",
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Git(_Part):
    commit: str | None = None


class _Machine(_Part):
    gpus: list[str] | None = None


class _Model(_Part):
    note: str | None = None


class _ProvenanceFile(_Part):
    """What is read of `provenance.json`; the rest is kept as it is."""

    command: str = ""
    command_line: list[Any] | None = None
    started: str | None = None
    versions: dict[str, Any] | None = None
    git: _Git | None = None
    machine: _Machine | None = None
    seeds: dict[str, Any] | None = None
    extraction: str | None = None
    other_extractions: dict[str, Any] | None = None
    model: _Model | None = None
    notes: list[str] | None = None
    resumed: list[Any] = []
