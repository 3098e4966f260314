"""Problems made by Reasoning Gym, by task name and difficulty (the paper's are Quantum Lock and Largest Island).

A problem is a function of (task, settings, seed, index). Reasoning Gym seeds item i with `seed + i`, so sets of
neighbouring seeds would share almost all their problems; our seed is therefore hashed into theirs.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any

from presat.errors import ConfigError, DataError, nearest
from presat.tasks.prompts import chat
from presat.types import Problem

DRAWS_PER_PROBLEM = 20
"""How many items may be drawn for each problem asked for, when some of them come out equal."""


@cache
def gym_factory() -> Any:
    """Reasoning Gym's `factory` module, imported when it is first needed.

    A dependency of it has invalid escapes, of which Python warns where no installer has compiled it before.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        from reasoning_gym import factory
    return factory


@cache
def gym_names() -> tuple[str, ...]:
    """Names of all Reasoning Gym tasks."""
    return tuple(sorted(gym_factory().DATASETS))


def refuse_unknown_task(task: str) -> None:
    """Refuse a name that no Reasoning Gym task has.

    Raises:
        ConfigError: it is none; the message has the nearest one.
    """
    if task not in (names := gym_names()):
        raise ConfigError(f"There is no Reasoning Gym task '{task}'.{nearest(task, names)}")


def gym_levels(task: str) -> int:
    """Return how many difficulty levels a task's curriculum has; 0 when it has no curriculum."""
    factory = gym_factory()
    if not factory.has_curriculum(task):
        return 0
    return max((len(attribute.levels) for attribute in factory.create_curriculum(task).attributes.values()), default=0)


def gym_problems(
    task: str,
    count: int = 100,
    seed: int = 0,
    difficulty: int | Sequence[int] | None = None,
    params: Mapping[str, Any] | None = None,
    domain: str = "graph",
    system: str | None = None,
) -> list[Problem]:
    """Make problems of a Reasoning Gym task.

    Args:
        task: its name in Reasoning Gym, for instance `quantum_lock`.
        count: how many; no two have the same question.
        seed: seed of the set; sets of different seeds have nothing to do with each other.
        difficulty: level of the task's curriculum, from 1 (an attribute with fewer levels stays at its highest);
            several levels take turns, so that the set is balanced over them; None leaves the task's own defaults.
        params: settings of the task's configuration, over those of the level.
        domain: domain of the problems, which decides the prompt.
        system: system message in place of the domain's.

    Raises:
        ConfigError: unknown task, level or setting.
        DataError: the settings allow fewer different questions than asked for.
    """
    refuse_unknown_task(task)
    levels = _levels(difficulty)
    limit = count * DRAWS_PER_PROBLEM
    datasets = [_dataset(task, level, seed, limit, params or {}) for level in levels]
    tag = f"-{hashlib.sha256(repr(sorted(params.items())).encode()).hexdigest()[:8]}" if params else ""
    problems: dict[str, Problem] = {}
    for index in range(limit):
        if len(problems) == count:
            break
        level = levels[len(problems) % len(levels)]
        entry = datasets[len(problems) % len(levels)][index]
        metadata = {"source_dataset": task} | _plain(entry["metadata"])  # `composite` names the task inside
        identity = f"{task}-{'default' if level is None else level}-{seed}-{index}{tag}"
        messages = chat(entry["question"], domain, system)
        gold = None if entry["answer"] is None else str(entry["answer"])
        problem = Problem(identity, messages, gold, domain, "reasoning_gym", metadata)
        problems.setdefault(entry["question"], problem)
    if len(problems) < count:
        raise DataError(
            f"reasoning_gym/{task} gave {len(problems)} different questions at these settings in {limit} draws, fewer "
            f"than the {count} asked for: ask for {len(problems)} or fewer, or for more levels of `difficulty`."
        )
    return list(problems.values())


def _levels(difficulty: int | Sequence[int] | None) -> list[int | None]:
    """The levels that take turns."""
    if difficulty is None or isinstance(difficulty, int):
        return [difficulty]
    levels = list(difficulty)
    if not levels or not all(isinstance(level, int) for level in levels):
        raise ConfigError(f"difficulty should be one level or a list of levels (1, 2, ...); it is {difficulty!r}.")
    return [*levels]


def _dataset(task: str, level: int | None, seed: int, size: int, params: Mapping[str, Any]) -> Any:
    factory = gym_factory()
    config_class = factory.DATASETS[task][1]
    known = {item.name for item in fields(config_class)} - {"seed", "size"}
    for name in params:
        if name not in known:
            raise ConfigError(f"reasoning_gym/{task} has no setting '{name}'.{nearest(name, known)}")
    settings: dict[str, Any] = {}
    if level is not None:
        levels = gym_levels(task)
        if not 1 <= level <= levels:
            has = f"levels 1 to {levels}" if levels else "no levels; use params"
            raise ConfigError(f"reasoning_gym/{task} has {has}; difficulty was {level}.")
        curriculum = factory.create_curriculum(task)
        for name, attribute in curriculum.attributes.items():
            curriculum.set_attr_level(name, min(level, len(attribute.levels)) - 1)
        made = curriculum.generate_configuration()
        settings = {name: getattr(made, name) for name in known}
    digest = hashlib.sha256(f"{task}/{level}/{seed}".encode()).digest()
    settings |= {**params, "seed": int.from_bytes(digest[:4], "big"), "size": size}
    try:
        return factory.create_dataset(task, **settings)
    except (AssertionError, TypeError, ValueError) as error:
        raise ConfigError(f"reasoning_gym/{task} refuses these settings: {error}") from error


def _plain(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata as JSON would give it back (tuples become lists), or as it is where JSON cannot hold it."""
    try:
        return json.loads(json.dumps(metadata))
    except (TypeError, ValueError):
        return dict(metadata)
