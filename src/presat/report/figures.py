"""The page's figures. One small figure a run or a set, so that a narrow page can stack them.

Colours are told apart by colour-blind readers; every line also differs by dash or marker and is labelled where it ends.
Shares of right responses are drawn on an axis from 0 to 1, the same in every figure. A series that is no share (a
self-certainty reward, for instance) is drawn over its own range, which is written below.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from presat.analysis.estimates import direction
from presat.metrics import is_share
from presat.report.curves import gold_differs, smooth_pieces
from presat.report.naming import cut, wrap
from presat.report.svg import WIDTH, Drawing, Scale, apart, nice_ticks
from presat.report.terminal import ARROWS

if TYPE_CHECKING:
    from markupsafe import Markup

    from presat.analysis.estimates import Change
    from presat.analysis.numbers import RunSummary, SetSummary
    from presat.metrics.support import SupportChange

LEFT, RIGHT, TOP, BOTTOM = 28.0, 312.0, 26.0, 192.0
"""Plot area of a track figure; the labels of the lines stand right of it."""
TRACK_HEIGHT = 234.0
ROW_HEIGHT = 32.0
MODEL_HEIGHT = 24.0
NAME_WIDTH, BAR_LEFT, BAR_RIGHT = 17, 142.0, 336.0
"""A before-and-after figure: characters of a name's line, and where its bars are; the numbers stand right of them."""
MOVES = {1: "rose", -1: "fell", 0: "stayed"}


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure of the page: what stands above it, its SVG, and what is said below it."""

    heading: str
    svg: Markup
    below: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """Where a line of a track figure ends: its class, its last value and its name; its scale, if that is its own."""

    kind: str
    value: str
    label: str
    scale: str


@dataclass(frozen=True, slots=True)
class Track:
    """The figure of a run, and what its lines are, which a narrow screen has no room for beside them."""

    svg: Markup
    ends: list[End]


@dataclass(frozen=True, slots=True)
class Pair:
    """One row of a before-and-after figure."""

    name: str
    change: Change


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a track figure.

    Attributes:
        kind: CSS class.
        label: its name.
        steps: x.
        values: y; NaN is a gap.
        marker: `dot`, `square` or none.
        raw: the values before smoothing, where it was smoothed; both are drawn on one axis.
        breaks: places where the line starts anew.
        names: what each point is of, where the points are no curve: then no line joins them.
    """

    kind: str
    label: str
    steps: Sequence[int]
    values: Sequence[float]
    marker: str = ""
    raw: Sequence[float] = ()
    breaks: Sequence[int] = ()
    names: Sequence[str] = ()

    @property
    def span(self) -> tuple[float, float]:
        """What the axis covers: 0 to 1 for shares, else the range of the values."""
        known = [value for value in (*self.values, *self.raw) if math.isfinite(value)]
        return (0.0, 1.0) if is_share(known) else (min(known), max(known))

    @property
    def own_scale(self) -> str:
        """What its axis covers, where that is not 0 to 1; else empty."""
        return "" if self.span == (0.0, 1.0) else " to ".join(map(_number, self.span))

    def scale(self) -> Scale:
        """Height of a value."""
        return Scale(*self.span, BOTTOM, TOP)


def track(summary: RunSummary, last: int) -> Track | None:
    """Train reward and held-out scores against the step, up to step `last`; None where the run has neither.

    Where the evaluations are of several models, these are no curve: then each model has a row.
    """
    if any(item.models for item in summary.sets) and not summary.reward:
        return Track(models_svg(summary), [])
    lines = _lines(summary)
    if not lines:
        return None
    drawing = Drawing(TRACK_HEIGHT, f"{summary.name}: {summary.verdict.sentence}")
    across = Scale(0, max(1, last), LEFT, RIGHT)
    _mark_saturation(drawing, summary, across)
    axes(drawing, across)
    for item, kind in zip(_shown_sets(summary), ("held", "other"), strict=False):
        _band(drawing, item, kind, across)
    for line in lines:
        if line.raw:
            _draw(drawing, Series(f"{line.kind} thin", "", _steps(line.raw), line.raw), across)
    for line in lines:
        _draw(drawing, line, across)
    label_ends(drawing, lines)
    ends = [End(line.kind, _number(_last(line.values)), line.label, line.own_scale) for line in lines]
    return Track(drawing.markup(), ends)


def support_words(support: SupportChange | None) -> str:
    """Problems gained and lost in a sentence; empty where none is known."""
    if support is None:
        return ""
    kept, found, lost, never = support
    return f"Problems solved at all: {kept} kept, {found} found, {lost} lost; {never} never."


def lines_svg(words: str, lines: Sequence[Series]) -> Markup:
    """Shares against the step, one line each."""
    drawing = Drawing(TRACK_HEIGHT, words)
    across = Scale(0, max(1, *(step for line in lines for step in line.steps)), LEFT, RIGHT)
    axes(drawing, across)
    for line in lines:
        _draw(drawing, line, across)
    label_ends(drawing, lines)
    return drawing.markup()


def spans(summaries: Sequence[RunSummary]) -> list[int]:
    """The step that each track figure reaches to: the same for all, unless one run is more than twice another's length.

    A run reaches to the last step it trained or was evaluated at; one without reward and scores has no figure.
    """
    own = [max([len(s.rewards_T), *(item.last_step for item in s.sets)]) for s in summaries]
    longest = max(own, default=0)
    return own if any(0 < 2 * last < longest for last in own) else [longest] * len(own)


def change_panels(summaries: Sequence[RunSummary]) -> list[Panel]:
    """Headline score before and after, a panel an evaluation set, a row a run."""
    by_set: dict[str, list[tuple[RunSummary, SetSummary]]] = {}
    for summary in summaries:
        for item in summary.sets:
            by_set.setdefault(item.name, []).append((summary, item))
    panels = []
    for name, members in by_set.items():
        found = [(s, i) for s, i in members if _moves(i)]
        if not found:
            continue
        metrics = " or ".join(dict.fromkeys(item.metric for _, item in found))
        panels.append(Panel(f"{name}, {metrics}", pairs_svg([Pair(s.name, i.headline) for s, i in found])))
    return panels


def sharpening_panels(summaries: Sequence[RunSummary]) -> list[Panel]:
    """avg@k, maj@k, greedy and pass@k of the main set before and after, a panel a run."""
    panels = []
    for summary in summaries:
        item = summary.main_set
        if item is None or not _moves(item):
            continue
        found = [(item.metric, item.headline), *(item.change(kind) for kind in ("maj", "greedy", "pass"))]
        pairs = {entry[0]: Pair(*entry) for entry in found if entry is not None}
        if len(pairs) > 1:
            heading = f"{summary.name}: {summary.verdict.label}"
            panels.append(Panel(heading, pairs_svg(list(pairs.values())), support_words(item.support)))
    return panels


def faithfulness_panels(summaries: Sequence[RunSummary]) -> list[Panel]:
    """Valid traces before and after, among all responses and among the right ones, a row a run."""
    titles = {"valid_trace": "Valid traces among all responses", "valid_given_right": "Among right answers only"}
    panels = []
    for kind, title in titles.items():
        pairs = []
        for summary in summaries:
            item = summary.main_set
            found = item.change(kind) if item is not None and _moves(item) else None
            if found is not None:
                pairs.append(Pair(summary.name, found[1]))
        if pairs:
            panels.append(Panel(title, pairs_svg(pairs)))
    return panels


def pairs_svg(pairs: Sequence[Pair]) -> Markup:
    """Before (bar) and after (dot), a row each, with 95% intervals where they are known and the numbers beside."""
    values = [value for pair in pairs for value in (pair.change.before, pair.change.after)]
    low, high = (0.0, 1.0) if is_share(values) else (min(values), max(values))
    across = Scale(low, high, BAR_LEFT, BAR_RIGHT)
    bottom = 6 + ROW_HEIGHT * len(pairs)
    words = "; ".join(f"{pair.name} {_moved(pair.change)}" for pair in pairs)
    drawing = Drawing(bottom + 24, words)
    for tick in nice_ticks(low, high, 4):
        drawing.line(across(tick), 4, across(tick), bottom, "grid")
        drawing.text(across(tick), bottom + 13, f"{tick:g}", "tick", "middle")
    for row, pair in enumerate(pairs):
        _row(drawing, pair, 6 + ROW_HEIGHT * (row + 0.5), across)
    return drawing.markup()


def models_svg(summary: RunSummary) -> Markup:
    """The score of every model on every set: a dot with its interval, and the number beside it."""
    rows = sum(len(item.scores) + 1 for item in summary.sets)
    values = [score for item in summary.sets for score in item.scores]
    across = Scale(*((0.0, 1.0) if is_share(values) else (min(values), max(values))), BAR_LEFT, BAR_RIGHT)
    bottom = 6 + MODEL_HEIGHT * rows
    drawing = Drawing(bottom + 24, f"{summary.name}: {summary.verdict.sentence}")
    for tick in nice_ticks(across.low, across.high, 4):
        drawing.line(across(tick), 4, across(tick), bottom, "grid")
        drawing.text(across(tick), bottom + 13, f"{tick:g}", "tick", "middle")
    y = 6 + MODEL_HEIGHT / 2
    for item in summary.sets:
        drawing.text(BAR_LEFT - 12, y, cut(f"{item.name}, {item.metric}", NAME_WIDTH), "tick", "end")
        y += MODEL_HEIGHT
        names = item.models or [f"step {step}" for step in item.steps]
        for name, score, interval in zip(names, item.scores, item.intervals, strict=True):
            if interval is not None:
                drawing.line(across(interval.low), y, across(interval.high), y, "range stayed")
            drawing.add("circle", "after stayed", f"{name}: {score:.3f}", cx=across(score), cy=y, r=5.5)
            drawing.text(BAR_LEFT - 12, y, cut(name, NAME_WIDTH), "name", "end")
            drawing.text(WIDTH - 2, y, _number(score), "value", "end")
            y += MODEL_HEIGHT
    return drawing.markup()


def _moves(item: SetSummary) -> bool:
    """Whether there is a before and an after: two evaluations, and of one model in training."""
    return item.first_step != item.last_step and not item.models


def _lines(summary: RunSummary) -> list[Series]:
    """The labelled lines of a run: smoothed reward, true accuracy where it differs, and two evaluation sets."""
    found = []
    if summary.reward:
        found.append(_smoothed("reward", "train reward", summary.rewards_T, summary.choices.window))
    if gold_differs(summary):
        found.append(_smoothed("gold", "true accuracy", summary.gold_T, summary.choices.window))
    styles = (("held", "dot"), ("other", "square"))
    for item, (kind, marker) in zip(_shown_sets(summary), styles, strict=False):
        found.append(Series(kind, item.name, item.steps, item.scores, marker))
    return found


def _smoothed(kind: str, label: str, values_T: Sequence[float], window: int) -> Series:
    smoothed, breaks = smooth_pieces(values_T, window)
    return Series(kind, label, _steps(smoothed), smoothed, raw=values_T, breaks=breaks)


def axes(
    drawing: Drawing, across: Scale, ticks: Sequence[tuple[float, str]] = (), label: str = "training step"
) -> None:
    """Draw shares upwards, and `ticks` (places and what stands there) or the steps across."""
    height = Scale(0, 1, BOTTOM, TOP)
    for tick in (0, 0.25, 0.5, 0.75, 1):
        drawing.line(LEFT, height(tick), RIGHT, height(tick), "grid" if tick else "axis")
        if tick in (0, 0.5, 1):
            drawing.text(LEFT - 6, height(tick), f"{tick:g}", "tick", "end")
    for place, name in ticks or [(tick, f"{tick:g}") for tick in nice_ticks(across.low, across.high, 5)]:
        drawing.line(across(place), BOTTOM, across(place), BOTTOM + 4, "axis")
        drawing.text(across(place), BOTTOM + 13, name, "tick", "middle")
    drawing.text((LEFT + RIGHT) / 2, BOTTOM + 32, label, "tick", "middle")


def _draw(drawing: Drawing, series: Series, across: Scale) -> None:
    height = series.scale()
    points = list(zip(series.steps, series.values, strict=True))
    for start, end in itertools.pairwise([0, *series.breaks, len(points)] if not series.names else []):
        piece = [(across(step), height(value)) for step, value in points[start:end] if math.isfinite(value)]
        piece += [(piece[0][0] + 1, piece[0][1])] if len(piece) == 1 and len(points) > 1 else []  # a line is seen
        drawing.path(piece, f"line {series.kind}")
    known = [(step, value) for step, value in points if math.isfinite(value)]
    for step, value in known if series.marker else []:
        marker(drawing, series, across(step), height(value), f"{series.label}, step {step}: {value:.3f}")


def marker(drawing: Drawing, series: Series, x: float, y: float, tip: str = "") -> None:
    """Draw the marker of a series."""
    if series.marker == "dot":
        drawing.add("circle", f"mark {series.kind}", tip, cx=x, cy=y, r=3.6)
    elif series.marker:
        drawing.add("rect", f"mark {series.kind}", tip, x=x - 3.2, y=y - 3.2, width=6.4, height=6.4)


def _band(drawing: Drawing, item: SetSummary, kind: str, across: Scale) -> None:
    """The interval of a score at every evaluation that has one; intervals are of shares."""
    height = Scale(0, 1, BOTTOM, TOP)
    known = [(across(step), i) for step, i in zip(item.steps, item.intervals, strict=True) if i is not None]
    upper = [(x, height(i.high)) for x, i in known]
    lower = [(x, height(i.low)) for x, i in reversed(known)]
    drawing.path([*upper, *lower], f"band {kind}", closed=True)


def _mark_saturation(drawing: Drawing, summary: RunSummary, across: Scale) -> None:
    """Shade the pre-saturation phase and mark t_sat, or say that there is none."""
    if not summary.reward:
        return
    t_sat = summary.t_sat
    if t_sat is None:
        _t_sat_text(drawing, RIGHT, "end", ": none", summary.t_sat_reason)
        return
    x = across(t_sat)
    drawing.add("rect", "shade", x=LEFT, y=TOP, width=x - LEFT, height=BOTTOM - TOP)
    drawing.line(x, TOP - 2, x, BOTTOM, "t_sat")
    _t_sat_text(drawing, x, "start" if x < (LEFT + RIGHT) / 2 else "end", f" = {t_sat}")


def _t_sat_text(drawing: Drawing, x: float, anchor: str, rest: str, tip: str = "") -> None:
    text = drawing.text(x, TOP - 13, "t", "note", anchor)
    for words, shift, kind in (("sat", "3", "sub"), (rest, "-3", "")):
        part = text.makeelement("tspan", {"dy": shift, "class": kind})
        part.text = words
        text.append(part)
    if tip:
        title = text.makeelement("title", {})
        title.text = tip
        text.append(title)


def label_ends(drawing: Drawing, lines: Sequence[Series]) -> None:
    """Name the lines where they end, pushed apart where they end close together, with a piece of the line."""
    ends = sorted(((line.scale()(_last(line.values)), line) for line in lines), key=lambda end: end[0])
    heights = apart([y for y, _ in ends], 17, TOP, BOTTOM)
    for (_, line), y in zip(ends, heights, strict=True):
        drawing.line(RIGHT + 8, y, RIGHT + 24, y, f"line {line.kind}")
        marker(drawing, line, RIGHT + 16, y)
        label = drawing.text(RIGHT + 29, y, f"{_number(_last(line.values))} ", "value")
        name = label.makeelement("tspan", {"class": "name"})
        name.text = cut(line.label, 14)
        label.append(name)
    ranges = "; ".join(f"{cut(line.label, 14)}: scale {line.own_scale}" for line in lines if line.own_scale)
    if ranges:
        drawing.text(WIDTH - 2, BOTTOM + 32, ranges, "tick", "end")


def _row(drawing: Drawing, pair: Pair, y: float, across: Scale) -> None:
    change = pair.change
    move = MOVES[direction(change)]
    for interval, shift, kind in ((change.before_interval, -5, "before"), (change.after_interval, 5, move)):
        if interval is not None:
            low, high = (min(max(value, across.low), across.high) for value in (interval.low, interval.high))
            drawing.line(across(low), y + shift, across(high), y + shift, f"range {kind}")
    start, end = across(change.before), across(change.after)
    drawing.line(start, y, end, y, f"move {move}")
    drawing.add("rect", "before", f"before: {change.before:.3f}", x=start - 1.5, y=y - 8, width=3, height=16)
    drawing.add("circle", f"after {move}", f"after: {change.after:.3f}", cx=end, cy=y, r=5.5)
    lines = wrap(pair.name, NAME_WIDTH)
    for number, words in enumerate(lines):
        drawing.text(BAR_LEFT - 12, y + 14 * (number - (len(lines) - 1) / 2), words, "name", "end")
    drawing.text(WIDTH - 2, y, _moved(change), "value", "end")


def _moved(change: Change) -> str:
    return f"{change.before:.2f} → {change.after:.2f} {ARROWS[direction(change)]}"


def _shown_sets(summary: RunSummary) -> list[SetSummary]:
    """The main set and one more: what a small figure can hold."""
    main = summary.main_set
    return [] if main is None else [main, *(item for item in summary.sets if item is not main)][:2]


def _steps(values: Sequence[float]) -> range:
    return range(1, len(values) + 1)


def _last(values: Sequence[float]) -> float:
    return next(value for value in reversed(values) if math.isfinite(value))


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"
