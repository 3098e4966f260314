"""The problem sets a model is evaluated on, in training and by `presat eval`: all of them, or those that can be had."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from presat.config.schema import TaskConfig
from presat.tasks import load_task
from presat.tasks.benchmarks import MissingBenchmarkError
from presat.tasks.doubts import warn_of_doubts
from presat.tasks.rows import is_labelled
from presat.tasks.shared import count_shared
from presat.text import printable
from presat.tracking.questions import shared_sentence
from presat.types import Problem

LOG = logging.getLogger("presat")


def load_sets(
    tasks: Sequence[TaskConfig], skip_missing: bool = False
) -> tuple[dict[str, list[Problem]], dict[str, str]]:
    """Load evaluation sets; returns the problems of each by its label, and of those left out the reason.

    Args:
        tasks: the sets.
        skip_missing: leave out benchmarks that are in no folder and cannot be had otherwise. A file that is there and
            cannot be read is an error all the same, and so is a folder that is not there.

    Raises:
        MissingBenchmarkError: a benchmark cannot be had here and may not be left out, or not one of the sets is left.
        ConfigError, DataError: as `load_task`.
    """
    found: dict[str, list[Problem]] = {}
    left_out: dict[str, str] = {}
    for task in tasks:
        try:
            found[task.label()] = load_task(task)
        except MissingBenchmarkError as error:
            if not skip_missing:
                raise
            left_out[task.label()] = str(error)
    if left_out and not found:
        names, reason = ", ".join(left_out), next(iter(left_out.values()))
        raise MissingBenchmarkError(f"None of the evaluation sets can be had here ({names}). The first: {reason}")
    return found, left_out


def warn_of_left_out(left_out: dict[str, str]) -> None:
    """Say once for each set why the run is not evaluated on it."""
    for reason in left_out.values():
        LOG.warning("Left out of the evaluation: %s", reason)


def warn_of_unlabelled(sets: Mapping[str, Sequence[Problem]]) -> None:
    """Say once for each set how many of its problems have no gold answer, and what is doubtful about the others."""
    for name, problems in sets.items():
        warn_of_doubts(problems, f"The evaluation set {name}")
        if bare := sum(not is_labelled(problem) for problem in problems):
            what = "its scores are over the others" if bare < len(problems) else "it has no score"
            LOG.warning(
                "%d of %d problems of the evaluation set %s have no gold answer: %s.",
                bare,
                len(problems),
                printable(name),
                what,
            )


def warn_of_shared(trained: Sequence[Problem], sets: Mapping[str, Sequence[Problem]]) -> dict[str, list[int]]:
    """Say once for each set how many of its problems are trained on; returns `{set: [shared, of]}`, those with any."""
    shared = {name: [count, len(own)] for name, own in sets.items() if (count := count_shared(own, trained))}
    for name, (count, of) in shared.items():
        LOG.warning("%s", shared_sentence(printable(name), count, of))
    return shared
