"""A long work shared with a process beside this one: reading runs is Python, of which a process uses one core.

`python -m presat.report.beside` is that process: work and items come by its standard input, the results go back.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import Any, TypeVar

from presat.errors import PresatError
from presat.processes import end_with_parent

PAYS_S = 4.0
"""Seconds of work from which on a second process pays, which takes one to start."""
_NONE: Any = object()
T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shared(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Return what comes of each item, in their order; where it takes long, a second process does half of them.

    Args:
        work: what to do with an item: a function of a module, which does the same wherever it is called.
        items: the items, which are handed over by pickle, and so is what comes of them.

    Raises:
        PresatError: what the work raised of an item, the first or that of the other process.
    """
    done: list[R] = []
    for place, item in enumerate(items):
        began = time.perf_counter()
        done.append(work(item))
        took = time.perf_counter() - began
        if place and took * (len(items) - place - 1) > PAYS_S:  # of the first the imports are a part
            return done + _both(work, items[place + 1 :])
    return done


def _both(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    theirs, mine = items[1::2], items[::2]
    process = _start(work, theirs) if cores() > 1 else None
    if process is None:
        return list(map(work, items))
    try:
        own = list(map(work, mine))
        said = process.communicate()[0]
    except BaseException:
        process.kill()
        process.wait()
        raise
    # what kept the other process from it is said here, where it is done again
    other = pickle.loads(said) if process.returncode == 0 else list(map(work, theirs))  # noqa: S301 (our own process)
    if isinstance(other, PresatError):
        raise other
    return [result for pair in zip_longest(own, other, fillvalue=_NONE) for result in pair if result is not _NONE]


def _start(work: Callable[[T], R], items: Sequence[T]) -> subprocess.Popen[bytes] | None:
    """The other process, at work; None where there can be none."""
    try:
        process = subprocess.Popen(  # noqa: S603 (our own module, run by our own interpreter)
            [sys.executable, "-P", "-m", "presat.report.beside", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for this process
        )
    except OSError:
        return None
    asked, process.stdin = process.stdin, None
    if asked is not None:
        with suppress(BrokenPipeError), asked:
            pickle.dump((work, list(items)), asked)
    return process


def _serve() -> None:
    end_with_parent(int(sys.argv[1]))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    work, items = pickle.load(sys.stdin.buffer)  # noqa: S301 (from the process that started this one)
    try:
        found = [work(item) for item in items]
    except PresatError as error:
        found = error
    with answers:  # once it has come of all: the other side reads when it has done its own
        pickle.dump(found, answers)


if __name__ == "__main__":
    _serve()
