"""What models and data files hold, by content: so a folder may be moved, and a changed file is noticed.

Hashing the weights of a large model takes a minute, so a hash is kept for as long as names, sizes and times of the
files stay as they are.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from presat.config.schema import CptConfig, EvalConfig, Settings, TaskConfig, TrainConfig
from presat.errors import ConfigError, DataError, ModelError, RunError
from presat.files import expanded, write_atomically
from presat.jsons import read_json
from presat.models.adapters import is_adapter
from presat.models.hashes import RESUME_STATE, files_of, hash_path
from presat.models.loading import resolve_model
from presat.tasks.benchmarks import benchmark_names
from presat.tasks.inputs import inputs_of
from presat.tracking import model_identity

ABSENT = "absent"
"""In place of the hash of what is not there."""


class Contents:
    """Hashes of files and folders, kept in a file.

    Args:
        file: where they are kept; it may be missing.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._known = file, dict[str, tuple[str, str]]()
        with contextlib.suppress(RunError):  # damaged: they are computed anew
            found = read_json(file, dict[str, list[str]])
            self._known = {path: (pair[0], pair[1]) for path, pair in found.items() if len(pair) == 2}
        self._saved = dict(self._known)

    def of(self, path: Path) -> str:
        """SHA-256 of a file or a folder, without what only resuming needs.

        Raises:
            RunError: it cannot be read.
        """
        path = path.resolve()
        if not path.exists():
            return ABSENT
        try:
            facts = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files_of(path, RESUME_STATE)]
        except OSError as error:
            raise RunError(f"Cannot read {path}: {error.strerror}.") from error
        look = hashlib.sha256(repr(facts).encode()).hexdigest()
        known = self._known.get(str(path))
        if known is None or known[0] != look:
            known = self._known[str(path)] = (look, hash_path(path, RESUME_STATE))
        return known[1]

    def of_model(self, name: str) -> str:
        """What a model is: its folder's content (of a run directory, its newest checkpoint's), else its name.

        Raises:
            RunError: it cannot be read.
        """
        if not expanded(name).is_dir():
            return name
        try:
            folder = resolve_model(name)
        except ModelError:  # no model is in it (yet)
            return ABSENT
        return str(model_identity(folder)["sha256"]) if is_adapter(folder) else self.of(Path(folder))

    def save(self) -> None:
        """Keep what was computed.

        Raises:
            RunError: it cannot be written.
        """
        if self._known != self._saved:
            write_atomically(self._file, json.dumps(self._known))
            self._saved = dict(self._known)


def tasks_of(config: Settings) -> list[TaskConfig]:
    """Return the problem sets that a verb reads besides `data`."""
    if isinstance(config, TrainConfig):
        return config.eval.sets
    if isinstance(config, EvalConfig):
        options = {"folder": str(config.folder)} if config.folder else {}
        names = dict.fromkeys(name for wanted in config.benchmarks for name in benchmark_names(wanted))
        return [*config.sets, *(TaskConfig(source=f"benchmark/{name}", options=options) for name in names)]
    return []


def external_inputs(config: Settings, contents: Contents, model: bool, data: bool) -> dict[str, str]:
    """Return, by what it is, the content of everything on this machine that a verb reads.

    Args:
        config: the verb's settings.
        contents: hashes.
        model: whether its model is one from outside the study.
        data: whether its data are.

    Raises:
        ConfigError: there is no such benchmark.
        RunError: something cannot be read.
    """
    found: dict[str, str] = {}
    settings = getattr(config, "model", None)
    if settings is not None:
        if model:
            found["model"] = contents.of_model(settings.name)
        if settings.chat_template and expanded(settings.chat_template).exists():
            found["chat_template"] = contents.of(expanded(settings.chat_template))
    if isinstance(config, CptConfig):
        found |= _of("data", expanded(config.data.source) if config.data.source else None, contents)
    elif data and isinstance(task := getattr(config, "data", None), TaskConfig):
        found |= _of("data", path_of(task), contents)
    for task in tasks_of(config):
        found |= _of(f"set {task.label()}", path_of(task), contents)
    return found


def _of(what: str, path: Path | None, contents: Contents) -> dict[str, str]:
    return {what: contents.of(path)} if path is not None and path.exists() else {}


def path_of(task: TaskConfig) -> Path | None:
    """Return the file or folder that a task is read from; None where it is not on this machine."""
    try:
        return next(iter(inputs_of(task)), None)
    except (ConfigError, DataError):  # no such benchmark, no folder of them: the verb says so itself
        return None
