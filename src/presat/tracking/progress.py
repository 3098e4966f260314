"""The progress of a long verb, on stderr: a live line on a terminal, a plain line now and then in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from presat.console import make_console
from presat.text import printable
from presat.tracking.pace import Pace, duration

LOG_EVERY_S = 60.0
"""Seconds between two plain lines."""


class Progress:
    """What is being done, steps done, time left, and the newest numbers; silent when `quiet`."""

    def __init__(self, title: str, quiet: bool = False) -> None:
        console = make_console(stderr=True)
        self._title, self._total = title, 0
        self._plain = not quiet and not console.is_terminal
        self._said = time.monotonic()
        self._phases: set[str] = set()
        self._pace = Pace()
        self._bar = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            TextColumn("{task.fields[numbers]}", markup=False),
            console=console,
            disable=quiet or self._plain,
            transient=True,
        )
        self._task = self._bar.add_task(title, total=None, numbers="", left="")
        self._held_out = ""

    def phase(self, name: str) -> None:
        """Say what is being done now (`loading`, `training`); a log file is told of each phase once."""
        self._bar.start()
        self._bar.update(self._task, description=f"{self._title}: {name}")
        if self._plain and name not in self._phases:
            print(printable(f"{self._title}: {name}"), file=sys.stderr, flush=True)
        self._phases.add(name)

    def start(self, done: int, total: int) -> None:
        """Begin at step `done` of `total`."""
        self._total = total
        self._said = time.monotonic()
        self._pace = Pace()
        self._pace.note(done, self._said)
        self._bar.start()
        self._bar.update(self._task, completed=done, total=total)

    def show(self, step: int, metrics: Mapping[str, float | None]) -> None:
        """Update the line after a training step."""
        scores = [
            (name.split("/")[1], v) for name, v in metrics.items() if name.startswith("eval/") and "/avg@" in name
        ]
        if scores:
            self._held_out = "  ".join(f"{name} {value:.2f}" for name, value in scores if value is not None)
        name = "reward" if "reward" in metrics else "loss"
        value = metrics.get(name)
        newest = "" if value is None else f"{name} {value:.2f}  "
        self.tell(step, newest + self._held_out)

    def tell(self, step: int, numbers: str) -> None:
        """Update the line with any numbers."""
        now = time.monotonic()
        self._pace.note(step, now)
        pace = self._pace.seconds_per_step
        left = "" if pace is None else f"about {duration(pace * (self._total - step))} left"
        self._bar.update(self._task, completed=step, numbers=numbers, left=left)
        if self._plain and now - self._said >= LOG_EVERY_S:
            self._said = now
            line = f"{self._title}: {step} of {self._total}{f', {left}' if left else ''}  {numbers}".rstrip()
            print(printable(line), file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()
