"""The page's figures as plotly specifications. One small figure a run or a set, so that a narrow page can stack them.

Colours are told apart by colour-blind readers and stand on light and dark paper; text and grid colours are left to the
page's style sheet. Every line also differs by dash or marker, and is labelled where it ends. Names come from runs:
they are escaped, because plotly reads a little HTML in texts.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from presat.metrics import smooth

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from presat.report.estimates import Change
    from presat.report.summary import RunSummary, SetSummary

REWARD, HELD_OUT, OTHER, GOLD = "#d97706", "#2f86d1", "#0d9f78", "#9a6fd0"
SHADE = "rgba(128,128,128,0.13)"
QUIET = "rgba(128,128,128,0.75)"
FONT = "system-ui, -apple-system, 'Segoe UI', Inter, 'Helvetica Neue', Arial, sans-serif"
LABEL_MARGIN = 128
TRACK_HEIGHT = 280
ROW_HEIGHT = 40


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure of the page.

    Attributes:
        key: its id within the page.
        heading: what stands above it.
        spec: plotly's JSON.
        height: in pixels.
        summary: what it shows in words, for those who do not see it.
    """

    key: str
    heading: str
    spec: str
    height: int
    summary: str


@dataclass(frozen=True, slots=True)
class Pair:
    """One row of a before-and-after figure."""

    name: str
    change: Change


def track_panels(summaries: Sequence[RunSummary]) -> list[Panel]:
    """Train reward and held-out scores against the step, a panel a run, all on the same axes."""
    shown = [summary for summary in summaries if summary.rewards_T or any(len(i.steps) > 1 for i in summary.sets)]
    if not shown:
        return []
    last = max(max([len(s.rewards_T), *(step for i in s.sets for step in i.steps)]) for s in shown)
    values = [v for s in shown for v in [*s.rewards_T, *(x for i in s.sets for x in i.scores)] if math.isfinite(v)]
    low, high = (0.0, 1.0) if values and min(values) >= 0 and max(values) <= 1 else (min(values), max(values))
    pad = 0.04 * (high - low or 1.0)
    panels = []
    for number, summary in enumerate(shown):
        figure = _track(summary, last, (low - pad, high + pad))
        words = f"{summary.name}: {summary.verdict.sentence}"
        panels.append(Panel(f"track-{number}", summary.name, _spec(figure), TRACK_HEIGHT, words))
    return panels


def pair_panel(key: str, heading: str, pairs: Sequence[Pair], axis: str) -> Panel:
    """Before (bar) and after (dot), a row each, with 95% intervals where they are known."""
    figure = _figure()
    values = [v for pair in pairs for v in (pair.change.before, pair.change.after)]
    unit = min(values) >= 0 and max(values) <= 1
    for row, pair in enumerate(reversed(pairs)):
        _add_pair(figure, row, pair)
    names = [_wrap(pair.name) for pair in reversed(pairs)]
    figure.update_yaxes(
        tickvals=list(range(len(pairs))), ticktext=names, range=[-0.6, len(pairs) - 0.4], automargin=True,
        showgrid=False, ticks="", fixedrange=True,
    )  # fmt: skip
    figure.update_xaxes(title_text=axis, range=[-0.03, 1.06] if unit else None, fixedrange=True, tickformat=".2~f")
    height = 78 + ROW_HEIGHT * len(pairs)
    figure.update_layout(height=height, margin={"l": 8, "r": 12, "t": 8, "b": 52}, hovermode="closest")
    words = "; ".join(f"{p.name} {p.change.before:.2f} to {p.change.after:.2f}" for p in pairs)
    return Panel(key, heading, _spec(figure), height, words)


def change_panels(summaries: Sequence[RunSummary]) -> list[Panel]:
    """Headline score before and after, a panel an evaluation set, a row a run."""
    panels = []
    for number, name in enumerate(dict.fromkeys(item.name for s in summaries for item in s.sets)):
        found = [
            (s, item) for s in summaries for item in s.sets if item.name == name and item.first_step != item.last_step
        ]
        if found:
            metrics = " or ".join(dict.fromkeys(item.metric for _, item in found))
            pairs = [Pair(s.name, item.headline) for s, item in found]
            panels.append(pair_panel(f"change-{number}", name, pairs, f"{metrics} (share of responses right)"))
    return panels


def sharpening_panels(summaries: Sequence[RunSummary]) -> list[Panel]:
    """avg@k, greedy and pass@k of the main set before and after, a panel a run."""
    panels = []
    for number, summary in enumerate(summaries):
        item = summary.main_set
        if item is None or item.first_step == item.last_step:
            continue
        pairs = [Pair(item.metric, item.headline)]
        found = [item.change(kind) for kind in ("maj", "greedy", "pass")]
        pairs += [Pair(entry[0], entry[1]) for entry in found if entry is not None and entry[0] != item.metric]
        if len(pairs) > 1:
            panels.append(pair_panel(f"sharp-{number}", summary.name, pairs, f"share right on {_short(item.name)}"))
    return panels


def faithfulness_panels(summaries: Sequence[RunSummary]) -> list[Panel]:
    """Valid traces before and after, among all responses and among the right ones, a row a run."""
    titles = {"valid_trace": "All responses", "valid_given_right": "Right answers only"}
    panels = []
    for kind, title in titles.items():
        pairs = []
        for summary in summaries:
            item = summary.main_set
            found = item.change(kind) if item is not None and item.first_step != item.last_step else None
            if found is not None:
                pairs.append(Pair(summary.name, found[1]))
        if pairs:
            panels.append(pair_panel(f"faith-{kind}", title, pairs, "share with a valid trace"))
    return panels


def _track(summary: RunSummary, last: int, span: tuple[float, float]) -> go.Figure:
    figure = _figure()
    ends: list[tuple[float, str]] = []
    if summary.rewards_T:
        steps = list(range(1, len(summary.rewards_T) + 1))
        smoothed = [float(v) for v in smooth(summary.rewards_T, summary.choices.window)]
        _line(figure, steps, summary.rewards_T, "train reward, each step", color=REWARD, width=1, opacity=0.4)
        title = f"train reward, mean of {summary.choices.window} steps"
        _line(figure, steps, smoothed, title, color=REWARD, width=2.6)
        ends.append((_last(smoothed), "train reward"))
    if _gold_differs(summary):
        steps = list(range(1, len(summary.gold_T) + 1))
        gold = [float(v) for v in smooth(summary.gold_T, summary.choices.window)]
        _line(figure, steps, gold, "true accuracy of the training responses", color=GOLD, width=2, dash="dot")
        ends.append((_last(gold), "true accuracy"))
    for number, item in enumerate(_main_first(summary)[:2]):
        color, dash, marker = ((HELD_OUT, "solid", "circle"), (OTHER, "dash", "square"))[number]
        _band(figure, item, color)
        title = f"{item.name} {item.metric}"
        _line(figure, item.steps, item.scores, title, color=color, width=2.2, dash=dash, marker=marker)
        ends.append((item.scores[-1], f"{_short(item.name, 15)}"))
    _label_ends(figure, ends, last, span)
    _mark_saturation(figure, summary)
    figure.update_xaxes(title_text="training step", range=[-0.015 * last, last * 1.01], fixedrange=True, nticks=6)
    figure.update_yaxes(title_text="reward, share right", range=list(span), fixedrange=True, tickformat=".2~f")
    figure.update_layout(height=TRACK_HEIGHT, margin={"l": 58, "r": LABEL_MARGIN, "t": 24, "b": 46})
    return figure


def _mark_saturation(figure: go.Figure, summary: RunSummary) -> None:
    """Shade the pre-saturation phase and mark t_sat."""
    t_sat = summary.t_sat
    if t_sat is None:
        return
    figure.add_vrect(x0=0, x1=t_sat, fillcolor=SHADE, line_width=0, layer="below")
    figure.add_vline(x=t_sat, line={"color": QUIET, "width": 1.4, "dash": "dot"})
    label = {"showarrow": False, "yref": "paper", "y": 1.0, "yanchor": "bottom", "font": {"size": 12}}
    early = t_sat < 0.5 * max(1, summary.steps)
    figure.add_annotation(x=t_sat, text=f"t<sub>sat</sub> = {t_sat}", xanchor="left" if early else "right", **label)


def _label_ends(figure: go.Figure, ends: list[tuple[float, str]], last: int, span: tuple[float, float]) -> None:
    """Name the lines where they end, pushed apart where they end close together."""
    known = sorted((end for end in ends if math.isfinite(end[0])), reverse=True)
    gap = 0.085 * (span[1] - span[0])
    heights: list[float] = []
    for value, _ in known:
        heights.append(value if not heights else min(value, heights[-1] - gap))
    lowest = span[0] + gap / 2
    for index in range(len(heights) - 1, -1, -1):  # a stack that was pushed below the axis goes up again
        heights[index] = max(heights[index], lowest)
        lowest = heights[index] + gap
    for height, (value, name) in zip(heights, known, strict=True):
        figure.add_annotation(
            x=last * 1.015, y=height, text=f"{html.escape(name)} <b>{value:.2f}</b>", showarrow=False, xanchor="left",
            xref="x", font={"size": 12},
        )  # fmt: skip


def _band(figure: go.Figure, item: SetSummary, color: str) -> None:
    known = [(step, i) for step, i in zip(item.steps, item.intervals, strict=True) if i is not None]
    if len(known) < 2:
        return
    steps = [step for step, _ in known]
    figure.add_scatter(
        x=[*steps, *reversed(steps)], y=[*(i.high for _, i in known), *(i.low for _, i in reversed(known))],
        fill="toself", fillcolor=color, opacity=0.16, line={"width": 0}, mode="lines", hoverinfo="skip",
        showlegend=False,
    )  # fmt: skip


def _line(
    figure: go.Figure, steps: Sequence[int], values: Sequence[float], name: str, *, color: str, width: float,
    dash: str = "solid", marker: str = "", opacity: float = 1.0,
) -> None:  # fmt: skip
    title = html.escape(name)
    figure.add_scatter(
        x=list(steps), y=[v if math.isfinite(v) else None for v in values], mode="lines+markers" if marker else "lines",
        line={"color": color, "width": width, "dash": dash}, marker={"symbol": marker or "circle", "size": 7},
        opacity=opacity, name=title, showlegend=False, connectgaps=True,
        hovertemplate=f"step %{{x}}: %{{y:.3f}}<extra>{title}</extra>",
    )  # fmt: skip


def _add_pair(figure: go.Figure, row: int, pair: Pair) -> None:
    change, title = pair.change, html.escape(pair.name)
    for value, interval, up in (
        (change.before, change.before_interval, 0.17),
        (change.after, change.after_interval, -0.17),
    ):
        if interval is not None:
            figure.add_scatter(
                x=[interval.low, interval.high], y=[row + up, row + up], mode="lines", hoverinfo="skip",
                line={"color": QUIET if value is change.before else HELD_OUT, "width": 2}, opacity=0.6,
                showlegend=False,
            )  # fmt: skip
    figure.add_scatter(
        x=[change.before, change.after], y=[row, row], mode="lines", line={"color": HELD_OUT, "width": 3.5},
        opacity=0.45, hoverinfo="skip", showlegend=False,
    )  # fmt: skip
    marks = ((change.before, "before", "line-ns", QUIET), (change.after, "after", "circle", HELD_OUT))
    risen = change.after >= change.before
    for value, when, symbol, color in marks:
        right = (when == "after") == risen
        figure.add_scatter(
            x=[value], y=[row], mode="markers+text", text=[f"{value:.2f}"], cliponaxis=False,
            textposition="middle right" if right else "middle left", textfont={"size": 12},
            marker={"symbol": symbol, "size": 13 if symbol == "circle" else 10, "color": color,
                    "line": {"color": color, "width": 3 if symbol == "line-ns" else 0}},
            hovertemplate=f"{when}: %{{x:.3f}}{_interval(change, when)}<extra>{title}</extra>", showlegend=False,
        )  # fmt: skip


def _interval(change: Change, when: str) -> str:
    interval = change.before_interval if when == "before" else change.after_interval
    return "" if interval is None else f" (95% {interval.low:.2f} to {interval.high:.2f})"


def _figure() -> go.Figure:
    import plotly.graph_objects as go

    figure = go.Figure(layout={"template": {}})
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", font={"family": FONT, "size": 13},
        hovermode="closest", showlegend=False, dragmode=False,
    )  # fmt: skip
    figure.update_xaxes(zeroline=False, showline=True, linecolor=QUIET, ticks="outside", ticklen=4, tickcolor=QUIET)
    figure.update_yaxes(zeroline=False, gridcolor="rgba(128,128,128,0.22)")
    figure.update_xaxes(gridcolor="rgba(128,128,128,0.12)", title={"font": {"size": 12}, "standoff": 8})
    figure.update_yaxes(title={"font": {"size": 12}, "standoff": 8})
    return figure


def _spec(figure: go.Figure) -> str:
    """Plotly's JSON; it escapes `<`, `>` and `/`, so that it can stand in a script element."""
    text = figure.to_json(validate=False)
    assert text is not None  # noqa: S101 (it is text unless asked otherwise)
    return text.replace("<", "\\u003c")


def _main_first(summary: RunSummary) -> list[SetSummary]:
    main = summary.main_set
    return [] if main is None else [main, *(item for item in summary.sets if item is not main)]


def _gold_differs(summary: RunSummary) -> bool:
    """Whether the logged true accuracy is anything else than the reward."""
    pairs = zip(summary.gold_T, summary.rewards_T, strict=False)
    return any(math.isfinite(g) and math.isfinite(r) and abs(g - r) > 0.01 for g, r in pairs)


def _last(values: Sequence[float]) -> float:
    return next((v for v in reversed(values) if math.isfinite(v)), math.nan)


def _short(name: str, width: int = 24) -> str:
    return name if len(name) <= width else name[: width - 1] + "…"


def _wrap(name: str, width: int = 24) -> str:
    """A name on at most two lines."""
    if len(name) <= width:
        return html.escape(name)
    return html.escape(name[:width]) + "<br>" + html.escape(_short(name[width:], width))
