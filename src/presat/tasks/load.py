"""One door for all problems: `load_problems(source, **options)`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from presat.errors import ConfigError, nearest
from presat.tasks.files import Rows, Source, load_file_problems, source_files, source_name
from presat.tasks.prompts import with_prompt
from presat.tasks.readers import path_of
from presat.tasks.subsets import cut, sampled
from presat.types import Problem

if TYPE_CHECKING:
    from presat.config.schema import TaskConfig

FAMILIES = ("lab", "reasoning_gym", "benchmark")
"""What `FAMILY/NAME` is, where no file is called so."""
PROCEDURAL_COUNT = 100
"""How many problems are made when nothing says."""


def load_problems(source: str | Path | TaskConfig | Rows, **options: Any) -> list[Problem]:
    """Load problems from any source.

    Args:
        source: `lab/NAME`, `reasoning_gym/TASK`, `benchmark/NAME`, a file, a folder, a Hugging Face dataset id, a
            `TaskConfig`, or the rows themselves: a list of mappings, a `datasets.Dataset` or a `DatasetDict`.
        options: `count` and `seed` for all, and `prompt` (a style, see `with_prompt`) for all but the lab; the rest
            depends on the source: see `lab_problems`, `gym_problems`, `benchmark_problems` and `load_file_problems`.
            For files `count` takes the first problems, or, with `sample=True`, random ones; `seed` also shuffles the
            options of multiple-choice questions. What a source cannot honour is refused.

    Raises:
        ConfigError: unknown task or option; the message has the nearest one.
        DataError: the source cannot be read, or a row is malformed: the message has the row and the field.
    """
    from presat.config.schema import TaskConfig

    if isinstance(source, TaskConfig):
        return load_task(source, **options)
    style = options.pop("prompt", "")
    if style and options.get("system") is not None:
        raise ConfigError("`prompt` and `system` both say what the system message is: leave one of them out.")
    given = str(source) if isinstance(source, str | Path) else source
    problems = _load(given, options)
    return [with_prompt(problem, style) for problem in problems] if style else problems


def refuse_unknown_source(source: str) -> None:
    """Refuse a source that is not there, as far as that can be told without loading it: a hub is not asked.

    Raises:
        ConfigError: none is named, or no task or benchmark is called so.
        DataError: there is no such file.
    """
    from presat.tasks.benchmarks import named_file
    from presat.tasks.gym import refuse_unknown_task
    from presat.tasks.lab import refuse_unknown_lab

    family, task = _family(source)
    if family == "lab":
        refuse_unknown_lab(task)
    elif family == "reasoning_gym":
        refuse_unknown_task(task)
    elif family == "benchmark":
        named_file(task)
    else:
        source_files(source)


def _family(source: str) -> tuple[str, str]:
    """The family of made problems or benchmarks that a source names, and which of it; two empty texts for others.

    Raises:
        ConfigError: no source is named.
    """
    if not source:
        raise ConfigError("No data source is given; set `data.source`, for instance to lab/chains or a .parquet file.")
    family, _, task = ("", "", "") if path_of(source).is_file() else source.partition("/")
    return (family, task) if task and family in FAMILIES else ("", "")


def _load(source: Source, options: dict[str, Any]) -> list[Problem]:
    name = source_name(source)
    family, task = _family(source) if isinstance(source, str) else ("", "")
    if options.get("count") is not None and options["count"] < 1:
        raise ConfigError(f"count should be at least 1; it is {options['count']}.")
    if family == "lab":
        from presat.tasks.lab import lab_problems

        return _call(lab_problems, name, {"name": task, **_procedural(options)})
    if family == "reasoning_gym":
        from presat.tasks.gym import gym_problems

        return _call(gym_problems, name, {"task": task, **_procedural(options)})
    if family == "benchmark":
        from presat.tasks.benchmarks import benchmark_problems

        return _call(benchmark_problems, name, {"name": task, **options})
    count, seed, sample = options.pop("count", None), options.pop("seed", 0), options.pop("sample", False)
    also, honoured = ("count", "seed", "sample"), set()
    given = {"source": source, "choice_seed": seed, "honoured": honoured, **options}
    problems = _call(load_file_problems, name, given, also)
    if options.get("system") is not None and "system" not in honoured:
        raise ConfigError(f"The rows of {name} bring their own prompts, which `system` would not change: use `prompt`.")
    drawn = sampled(count, 0 if "choice_seed" in honoured else seed, {"sample": sample})
    return cut(problems, name, count, seed, drawn)


def load_task(task: TaskConfig, **options: Any) -> list[Problem]:
    """Load the problems a `TaskConfig` describes; `options` come over its own.

    Raises:
        ConfigError, DataError: as `load_problems`.
    """
    from presat.config.unused import default_of

    fields = ("count", "seed", "split", "columns", "domain", "prompt")
    settings = {name: getattr(task, name) for name in fields if getattr(task, name) != default_of(task, name)}
    if twice := sorted(settings.keys() & task.options.keys()):
        raise ConfigError(f"`{twice[0]}` is set twice, once under `options`: leave one of them out.")
    return load_problems(task.source, **{**settings, **task.options, **options})


def _procedural(options: dict[str, Any]) -> dict[str, Any]:
    count = options.get("count")
    return {**options, "count": PROCEDURAL_COUNT if count is None else count}


def _call(loader: Callable[..., list[Problem]], source: str, options: dict[str, Any], also: Iterable[str] = ()) -> Any:
    """Call a loader, refusing options it does not have by name."""
    from presat.config.schema import TaskConfig

    known = [*inspect.signature(loader).parameters, *also]
    for option in options:
        if option not in known:
            public = [name for name in known if name not in ("name", "task", "source", "honoured")]
            hint = "" if option in TaskConfig.model_fields else nearest(option, public)  # spelt right: of other sources
            raise ConfigError(f"{source} takes no option '{option}'.{hint}")
    return loader(**options)
