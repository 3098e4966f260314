"""Problems for training and evaluation: loaded, and cut to what fits."""

from __future__ import annotations

from collections.abc import Sequence

from presat.config.schema import TaskConfig
from presat.errors import DataError
from presat.rollouts.batching import BatchEngine
from presat.tasks import load_problems
from presat.types import Problem


def load_task(task: TaskConfig) -> list[Problem]:
    """Load the problems a task describes; raises DataError when there are none."""
    problems = load_problems(task)
    if not problems:
        raise DataError(f"{task.source} holds no problems.")
    return problems


def drop_too_long(engine: BatchEngine, problems: Sequence[Problem], limit: int) -> tuple[list[Problem], int]:
    """Return the problems whose prompt has at most `limit` tokens, and how many do not (the paper drops those).

    Raises:
        DataError: none is left.
    """
    kept = [problem for problem in problems if len(engine.encode(problem)) <= limit]
    if not kept:
        raise DataError(f"Each of the {len(problems)} prompts is longer than max_prompt_tokens ({limit}); raise it.")
    return kept, len(problems) - len(kept)
