"""Runs on one terminal screen: a table with sparklines, and a sentence each.

Legible at 80 columns and without colour: direction is an arrow, state is a word.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from presat.analysis.estimates import direction
from presat.analysis.numbers import Tone
from presat.report.curves import gold_differs
from presat.report.naming import wrap
from presat.tracking.state import PLAIN

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table

    from presat.analysis.estimates import Change
    from presat.analysis.numbers import RunSummary, SetSummary
    from presat.diagnosis import Alarm

CELL = 9
"""Columns that a pair of numbers with an arrow takes; sparklines in the table are at least as wide."""
WIDEST = 40
"""Widest sparkline in the table."""
_LEAST = 2
"""Columns that a table has however narrow it is: reward and t_sat."""
BARS = "▁▂▃▄▅▆▇█"
ARROWS = {1: "↑", -1: "↓", 0: "·"}
COLOURS: dict[Tone, str] = {"good": "bold green", "partly": "bold cyan", "bad": "bold red", "open": "bold"}
LEGEND = (
    "first → last: reward over the first and last {window} steps, scores at the first and last evaluation. "
    "↑ ↓ clear change, · within its 95% interval over problems (or under 0.05 without one). "
)
PARTIAL = "of 3/6: the score is over 3 of 6 problems. "
T_SAT_LEGEND = (
    "t_sat: first step within 1% of the best train reward, last {tail} steps left out; "
    "in brackets on the trailing mean of {window} steps."
)


def say(out: Console, text: str) -> None:
    """Print a sentence as it is: brackets are no markup, and a long path is not broken over lines."""
    out.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)


def sparkline(values: Iterable[float], width: int = 24, low: float | None = None, high: float | None = None) -> str:
    """Draw values as a line of bars at most `width` wide; a value that is not a number is a gap.

    More values than columns are averaged by column. The scale is 0 to 1 when all values lie there, else their range.
    """
    points = np.asarray(list(values), dtype=np.float64)
    if not points.size or np.isnan(points).all():
        return ""
    columns = [_mean(part) for part in np.array_split(points, min(width, points.size))]
    known = points[np.isfinite(points)]
    within = known.size and known.min() >= 0.0 and known.max() <= 1.0
    low = (0.0 if within else float(known.min())) if low is None else low
    high = (1.0 if within else float(known.max())) if high is None else high
    return "".join(_bar(value, low, high) for value in columns)


def summary_table(summaries: Sequence[RunSummary]) -> RenderableType:
    """One screen over several runs: a table, a sentence a run, and the legend."""
    from rich.console import Group
    from rich.markup import escape
    from rich.text import Text

    if not summaries:
        return Text("No runs.")
    measured = any(summary.reward or summary.sets for summary in summaries)
    lines: list[RenderableType] = [_Screen(summaries), ""] if measured else []
    for summary in summaries:
        ending = "" if summary.status in PLAIN else f" ({_ended(summary)})"
        sentence = f"[bold]{escape(summary.name)}[/bold]{escape(ending)}: {_verdict(summary)}."
        lines.append(Text.from_markup(f"{sentence} {escape(summary.verdict.sentence)}", emoji=False))
        lines += [Text(f"  ! {_alarm(alarm)}") for alarm in summary.alarms]
        if summary.reward and summary.t_sat is None and summary.t_sat_smoothed is None:
            lines.append(Text(f"  no t_sat: {summary.t_sat_reason}"))
        lines += [Text(f"  note: {note}") for note in summary.notes]
    if measured:
        partial = any(item.coverage and item.coverage.partial for summary in summaries for item in summary.sets)
        legend = (
            LEGEND
            + (PARTIAL if partial else "")
            + (T_SAT_LEGEND if any(summary.reward for summary in summaries) else "")
        )
        filled = legend.format(window=summaries[0].choices.window, tail=_tails(summaries))
        lines += ["", Text(filled.strip(), style="dim")]
    return Group(*lines)


def arrow(change: Change | None) -> str:
    """`.54→.98 ↑`; empty for None, one number where before and after are the same evaluation."""
    if change is None:
        return ""
    return f"{short(change.before)}→{short(change.after)} {ARROWS[direction(change)]}"


def short(value: float) -> str:
    """Two decimals in as few characters as can be: `.54`, `1.0`, `-.03`, `12.3`."""
    if not math.isfinite(value):
        return "-"
    if abs(value) >= 0.995:
        return f"{value:.1f}"
    return f"{value:.2f}".replace("0.", ".", 1)


MOST_SETS = 32
"""Sets beside the main one that are tried for a place: no terminal is wider."""


@dataclass(frozen=True, slots=True)
class _Column:
    """A column: its heading, and the cell of a run, whose sparkline is of the width given."""

    heading: str
    cell: Callable[[RunSummary, int], str]
    right: bool = False


class _Screen:
    """The table of several runs, with as many columns as the terminal has room for, and sparklines in what is left."""

    def __init__(self, summaries: Sequence[RunSummary]) -> None:
        self.summaries = summaries

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room, columns = options.max_width, _columns(self.summaries)
        taken = columns[:_LEAST]
        for column in columns[_LEAST:]:
            if self._width(console, options, [*taken, column]) <= room:
                taken.append(column)
        taken.sort(key=columns.index)
        spare = room - self._width(console, options, taken, named=True)
        drawn = sum(any(len(_drawn(column, s, WIDEST)) > CELL for s in self.summaries) for column in taken)
        yield self._table(taken, min(WIDEST, CELL + max(0, spare) // max(1, drawn)))

    def _width(self, console: Console, options: ConsoleOptions, columns: Sequence[_Column], named: bool = False) -> int:
        """Columns of the terminal that the table needs; with `named`, for each run's name on one line."""
        from presat.console import full_width

        return full_width(console, options, self._table(columns, CELL, named))

    def _table(self, columns: Sequence[_Column], width: int, named: bool = True) -> Table:
        from rich import box
        from rich.markup import escape
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
        lines = max([2, *(column.heading.count("\n") + 1 for column in columns)])
        table.add_column("\n" * (lines - 1) + "run", overflow="fold", min_width=12)
        for column in columns:
            above = "\n" * (lines - 1 - column.heading.count("\n"))
            shown = [column.heading, *(column.cell(summary, width) for summary in self.summaries)]
            table.add_column(
                Text(above + column.heading),
                justify="right" if column.right else "left",
                min_width=max(len(line) for text in shown for line in text.split("\n")),  # no number is cut
            )
        for summary in self.summaries:
            name = f"[bold]{escape(summary.name)}[/bold]\n{_verdict(summary)}" if named else ""
            table.add_row(
                Text.from_markup(name, emoji=False), *(Text(column.cell(summary, width)) for column in columns)
            )
        return table


def _drawn(column: _Column, summary: RunSummary, width: int) -> str:
    """The sparkline of a cell, which stands last in it."""
    return column.cell(summary, width).rpartition("\n")[2]


def _columns(summaries: Sequence[RunSummary]) -> list[_Column]:
    """The columns that some run can fill, in their order; where there is no room, the last of them are left out."""
    found = [_Column("train\nreward", _reward), _Column("t_sat", _t_sat, right=True)]
    if any(gold_differs(summary) for summary in summaries):
        found.append(_Column("true\naccuracy", _gold))
    main = [summary.main_set for summary in summaries if summary.main_set is not None]
    if not main:
        return found
    same = len({item.name for item in main}) == 1
    title, metric = main[0].name if same else "held out", main[0].metric
    found.append(_Column(_heading(title, metric), partial(_cell, "main", "")))
    found += _more(main, metric, ("greedy", "pass"))
    others = [item for summary in summaries for item in summary.sets if item is not summary.main_set]
    for name in itertools.islice(dict.fromkeys(item.name for item in others), MOST_SETS):
        own = next(item.metric for item in others if item.name == name)
        found.append(_Column(_heading(name, own), partial(_cell, name, "")))
    return found + _more(main, metric, ("maj", "valid_trace"))


def _more(main: Sequence[SetSummary], metric: str, kinds: Sequence[str]) -> list[_Column]:
    """Further metrics of the main sets, by the name that the first set has for a kind."""
    names = {kind: next((entry[0] for item in main if (entry := item.change(kind))), metric) for kind in kinds}
    return [
        _Column(name.replace("_", "\n"), partial(_cell, "main", kind)) for kind, name in names.items() if name != metric
    ]


def _heading(set_name: str, metric: str) -> str:
    """A set and its score, as narrow as the cells below it."""
    return "\n".join([*wrap(set_name, CELL), metric])


def _reward(summary: RunSummary, width: int) -> str:
    reward = arrow(summary.reward) if summary.reward else "none logged"
    return f"{reward}\n{sparkline(summary.rewards_T, width)}"


def _gold(summary: RunSummary, width: int) -> str:
    return f"{arrow(summary.gold)}\n{sparkline(summary.gold_T, width)}" if gold_differs(summary) else ""


def _t_sat(summary: RunSummary, _: int) -> str:
    return f"{_step(summary.t_sat)}\n({_step(summary.t_sat_smoothed)})" if summary.reward else ""


def _cell(set_name: str, kind: str, summary: RunSummary, width: int) -> str:
    item = (
        summary.main_set
        if set_name == "main"
        else next((entry for entry in summary.sets if entry.name == set_name), None)
    )
    if item is None:
        return ""
    if item.models:  # no curve: the note names them with their scores
        return "" if kind else f"{len(item.models)} models"
    found = item.change(kind) if kind else (item.metric, item.headline)
    if found is None:
        return ""
    text = arrow(found[1]) if item.first_step != item.last_step else short(found[1].after)
    if not kind and (covered := item.coverage) and covered.partial:
        text += f"\nof {covered.judged}/{covered.problems}"
    return text if kind else f"{text}\n{sparkline(item.scores, width)}"


def _verdict(summary: RunSummary) -> str:
    """The label as markup, in the colour of its tone."""
    return f"[{COLOURS[summary.verdict.tone]}]{summary.verdict.label}[/]"


def _alarm(alarm: Alarm) -> str:
    """What an alarm saw; the page and the JSON say what to do about it."""
    return f"{alarm.name.replace('_', ' ')}: {alarm.sentence.partition(': ')[0].rstrip('.')}."


def _ended(summary: RunSummary) -> str:
    return f"{summary.status}: {summary.status_reason}" if summary.status_reason else summary.status


def _tails(summaries: Sequence[RunSummary]) -> str:
    return "/".join(str(tail) for tail in sorted({summary.tail for summary in summaries if summary.reward}))


def _step(step: int | None) -> str:
    return "-" if step is None else str(step)


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else math.nan


def _bar(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return " "
    share = 0.5 if high <= low else min(1.0, max(0.0, (value - low) / (high - low)))
    return BARS[min(len(BARS) - 1, int(share * len(BARS)))]
