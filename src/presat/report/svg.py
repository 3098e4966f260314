"""Inline SVG, drawn element by element.

Elements are built as an XML tree, never as text, so whatever a run calls itself is escaped. Colours are classes of the
page's style sheet (`page.css`), so one drawing serves light, dark and paper. Sizes are in the drawing's own units; the
page scales a drawing to its column.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

WIDTH = 460.0
"""Width of every drawing: about a column of the page, so that text is about as large as it says."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps `low`..`high` linearly to `start`..`end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Position of a value."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.start + share * (self.end - self.start)


class Drawing:
    """One SVG picture of `WIDTH` x `height`."""

    def __init__(self, height: float, words: str) -> None:
        self.root = Element(
            "svg", {"viewBox": f"0 0 {WIDTH:g} {height:g}", "role": "img", "aria-label": words, "class": "plot"}
        )

    def add(self, tag: str, kind: str, tip: str = "", **attributes: float | str) -> Element:
        """Add an element of class `kind`; `tip` is shown when the mouse rests on it. `_` in a name stands for `-`."""
        known = {name.replace("_", "-"): _text(value) for name, value in attributes.items()}
        element = SubElement(self.root, tag, {"class": kind, **known})
        if tip:
            SubElement(element, "title").text = tip
        return element

    def text(self, x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> Element:
        """Add a line of text; `y` is its middle."""
        element = self.add("text", kind, x=x, y=y, text_anchor=anchor, dy="0.35em")
        element.text = words
        return element

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        """Add a straight line."""
        self.add("line", kind, x1=x1, y1=y1, x2=x2, y2=y2)

    def path(self, points: Iterable[tuple[float, float]], kind: str, closed: bool = False) -> None:
        """Add a line through points, or the area within them."""
        steps = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        if steps:
            self.add("path", kind, d=f"M{steps}{'Z' if closed else ''}")

    def markup(self) -> Markup:
        """The picture as text for the page."""
        return Markup(tostring(self.root, encoding="unicode"))  # noqa: S704 (the serialiser has escaped every text)


def nice_ticks(low: float, high: float, most: int) -> list[float]:
    """At most `most` + 1 round numbers from `low` to `high`, evenly apart by 1, 2, 2.5 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    size = 10.0 ** math.floor(math.log10(rough))
    gap = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough * (1 - 1e-9))
    first = math.ceil(low / gap - 1e-9)
    return [number * gap for number in range(first, math.floor(high / gap + 1e-9) + 1)]


def apart(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move increasing positions as little as needed to lie `gap` apart, within `low`..`high` where they fit."""
    moved: list[float] = []
    for position in positions:
        moved.append(max(position, moved[-1] + gap if moved else low))
    limit = high
    for index in range(len(moved) - 1, -1, -1):  # a stack pushed past the end goes back
        moved[index] = min(moved[index], limit)
        limit = moved[index] - gap
    return moved


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
