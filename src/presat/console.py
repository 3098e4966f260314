"""The terminal, as rich draws on it: text is made printable on its last step, whatever file it came from.

The one place that makes a console. It is imported where something is drawn, since rich takes its time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.measure import Measurement
from rich.segment import Segment

from presat.text import printable

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderableType
    from rich.text import Text

WIDEST = 10_000
"""Columns to measure in: more than any table needs."""


class SafeConsole(Console):
    """A console that shows, and does not send, what a terminal would obey; rich's own control codes pass."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as rich does, text made printable."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)

    def render_str(self, text: str, **options: Any) -> Text:
        """Read a plain string as rich does; printable before a table measures it, so that nothing of it is cut off."""
        return super().render_str(printable(text), **options)


def full_width(console: Console, options: ConsoleOptions, renderable: RenderableType) -> int:
    """Columns of the terminal that it needs to stand whole, however wide the terminal is."""
    return Measurement.get(console, options.update(max_width=WIDEST), renderable).maximum


def make_console(stderr: bool = False) -> Console:
    """Return a console on stdout, or on stderr, to which brackets and colons in a text mean nothing."""
    return SafeConsole(stderr=stderr, markup=False, emoji=False)
