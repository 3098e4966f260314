"""How long a step takes, and so how long the rest will: the median over the last steps of this session.

A median, so that neither the first step of a session nor an evaluation every so often moves it.
"""

from __future__ import annotations

import statistics
from collections import deque

RECENT = 30
"""Steps that the median is of."""


class Pace:
    """Step times, from the moments at which steps were done."""

    def __init__(self) -> None:
        self._last: tuple[int, float] | None = None
        self._times: deque[float] = deque(maxlen=RECENT)

    def note(self, step: int, at: float) -> None:
        """Note that `step` was done at `at`, in seconds. The same step again begins the next one later."""
        if self._last is not None:
            steps, seconds = step - self._last[0], at - self._last[1]
            if steps > 0 and seconds > 0:
                self._times.append(seconds / steps)
        self._last = (step, at)

    @property
    def seconds_per_step(self) -> float | None:
        """The median step time; None while none is known."""
        return statistics.median(self._times) if self._times else None


def duration(seconds: float) -> str:
    """`45 s`, `3 min 05 s`, `2 h 07 min`."""
    minutes, seconds = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
