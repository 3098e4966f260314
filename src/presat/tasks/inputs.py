"""What a task reads from this machine's disk: nothing of it is written over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from presat.files import expanded
from presat.tasks.benchmarks import named_file

if TYPE_CHECKING:
    from presat.config.schema import TaskConfig


def inputs_of(task: TaskConfig) -> list[Path]:
    """Return the file of a task, or its folder and the files in it; none where problems are made or come from a hub.

    Raises:
        ConfigError: there is no such benchmark.
        DataError: there is no folder to look for benchmarks in.
    """
    family, _, name = task.source.partition("/")
    path = named_file(name, task.options.get("folder")) if family == "benchmark" and name else expanded(task.source)
    if path is None or not task.source or not path.exists():
        return []
    return [path, *(item for item in path.iterdir() if item.is_file())] if path.is_dir() else [path]
