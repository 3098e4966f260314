"""The live progress line of a training verb, on stderr."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress


class Progress:
    """Steps done, time left, and the newest numbers. Silent when `quiet` or when stderr is not a terminal."""

    def __init__(self, title: str, quiet: bool = False) -> None:
        console = Console(stderr=True)
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=console,
            disable=quiet or not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task(title, total=None, numbers="")
        self._held_out = ""

    def start(self, done: int, total: int) -> None:
        """Show the line."""
        self._bar.start()
        self._bar.update(self._task, completed=done, total=total)

    def show(self, step: int, metrics: Mapping[str, float | None]) -> None:
        """Update the line after a step."""
        scores = [
            (name.split("/")[1], v) for name, v in metrics.items() if name.startswith("eval/") and "/avg@" in name
        ]
        if scores:
            self._held_out = "  ".join(f"{name} {value:.2f}" for name, value in scores if value is not None)
        name = "reward" if "reward" in metrics else "loss"
        value = metrics.get(name)
        newest = "" if value is None else f"{name} {value:.2f}  "
        self._bar.update(self._task, completed=step, numbers=newest + self._held_out)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()
