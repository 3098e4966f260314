"""The numbers as tables: one row per run and evaluation set, as CSV, as LaTeX, and for the page."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from presat.metrics.coverage import COUNTS
from presat.outputs import Maker
from presat.text import printable

if TYPE_CHECKING:
    from presat.analysis.estimates import Change
    from presat.analysis.numbers import RunSummary, SetSummary
    from presat.metrics import Coverage

Cell = str | int | float | None
Row = dict[str, Cell]

SIGN = "presat report"
"""What the page and the LaTeX table begin with, as the name of the program that made them."""
REPORT = Maker(
    "presat report",
    re.compile(
        rb"run,verdict,kind,status,steps,reward_first,reward_last,|"
        rb"% presat report|% t_sat: first step with at least 0\.99 |"  # the second of earlier versions
        rb"<!doctype html>.*?(?:<meta name=\"generator\" content=\"|<p class=\"kicker\">)presat report\b",  # likewise
        re.DOTALL,
    ),
)
"""Writes the page and the tables beside it."""
ENDINGS = {"csv": ".csv", "latex": ".tex"}
_RUN_BY_SPREADSHEETS = ("=", "+", "-", "@", "\t", "\n")
"""What a text cell begins with that a spreadsheet takes for a formula, or for blank space before one."""
KINDS = ("greedy", "pass", "maj", "valid_trace", "valid_given_right")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the printed tables.

    Attributes:
        key: its key in a row of `rows`; for a pair, that of `KEY_first` and `KEY_last`.
        title: heading.
        digits: decimals; None for text and whole numbers.
        pair: whether it shows a value before and one after.
    """

    key: str
    title: str
    digits: int | None = 2
    pair: bool = False

    @property
    def number(self) -> bool:
        """Whether it holds numbers, which are set flush right."""
        return self.digits is not None or self.key == "t_sat"

    def text(self, row: Row) -> str:
        """The cell of a row as text; empty for what is not there. t_sat has the smoothed one beside it."""
        if self.key == "t_sat":
            raw, smoothed = (row[key] for key in ("t_sat", "t_sat_smoothed"))
            return "" if raw is None and smoothed is None else f"{raw or '–'} ({smoothed or '–'})"
        if self.key == "judged_problems":  # shown where it is not all of them
            return f"{row[self.key]} of {row['problems']}" if row[self.key] != row["problems"] else ""
        if not self.pair:
            return shown(row[self.key], self.digits)
        if self.key == "gold" and all(row[f"gold_{end}"] == row[f"reward_{end}"] for end in ("first", "last")):
            return ""  # the labels are right, and what is paid: it would stand there twice
        first, last = (shown(row[f"{self.key}_{end}"], self.digits) for end in ("first", "last"))
        return last if not first and row["model"] else f"{first} → {last}" if first and last else ""


COLUMNS = (
    Column("run", "run", None),
    Column("verdict", "verdict", None),
    Column("set", "set", None),
    Column("model", "model", None),
    Column("metric", "score", None),
    Column("reward", "train reward", pair=True),
    Column("gold", "true accuracy", pair=True),
    Column("t_sat", "t_sat", None),
    Column("score", "held-out score", pair=True),
    Column("transfer", "transfer"),
    Column("score_t_sat", "at t_sat"),
    Column("pre_saturation_gain", "D_sat", 3),
    Column("post_saturation_residual", "D_post", 3),
    Column("greedy", "greedy", pair=True),
    Column("pass", "pass@k", pair=True),
    Column("valid_trace", "valid traces", pair=True),
    Column("judged_problems", "problems scored", None),
    Column("unjudged_problems", "left out", 0, pair=True),
)


def rows(summaries: Sequence[RunSummary]) -> list[Row]:
    """One row per run and set (a run without sets has one row), everything a summary holds in flat form.

    A set without a score has a row that says of how many problems it has none.
    """
    return [
        row
        for summary in summaries
        for row in [row for item in (summary.sets or [None] * (not summary.unscored)) for row in _rows(summary, item)]
        + [_row(summary, None, name, covered) for name, covered in summary.unscored.items()]
    ]


def _rows(summary: RunSummary, item: SetSummary | None) -> list[Row]:
    """The row of a set; one for each model, with its score alone, where the evaluations are of several."""
    row = _row(summary, item)
    if item is None or not item.models:
        return [row]
    kept = ("run", "verdict", "kind", "status", "steps", "set", "metric", *COUNTS)
    bare = {name: cell if name in kept else None for name, cell in row.items()}
    return [
        {**bare, "model": model, "last_step": step, "score_last": score}
        for model, step, score in zip(item.models, item.steps, item.scores, strict=True)
    ]


def used_columns(table: Sequence[Row], columns: Sequence[Column] = COLUMNS) -> list[Column]:
    """The columns that hold something."""
    return [column for column in columns if any(column.text(row) for row in table)]


def shown(value: Cell, digits: int | None) -> str:
    """A value as text; empty for what is not there."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.{digits}f}".replace("-", "−") if digits is not None and isinstance(value, float) else str(value)


def to_csv(table: Sequence[Row]) -> str:
    """All columns, full precision. Text that a spreadsheet would run stands behind an apostrophe; numbers do not."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=list(table[0]) if table else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: inert(cell) for name, cell in row.items()} for row in table)
    return stream.getvalue()


def inert(cell: Cell) -> Cell:
    """A cell as a spreadsheet takes it for text or a number, and never for a formula."""
    if not isinstance(cell, str):
        return cell
    text = printable(cell)
    return f"'{text}" if text.startswith(_RUN_BY_SPREADSHEETS) else text


def to_latex(table: Sequence[Row], note: str = "") -> str:
    r"""The printed columns as a LaTeX tabular (package booktabs), ready to `\\input`."""
    columns = used_columns(table)
    head = " & ".join(latex(column.title) for column in columns)
    body = [" & ".join(latex(column.text(row) or "–") for column in columns) + r" \\" for row in table]
    shape = "".join("r" if column.number else "l" for column in columns)
    lines = [f"% {SIGN}", *([f"% {note}"] if note else [])]
    lines += [rf"\begin{{tabular}}{{{shape}}}", r"\toprule", rf"{head} \\", r"\midrule", *body]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def choices_note(summaries: Sequence[RunSummary]) -> str:
    """How t_sat and M were read, in a sentence; the tails of all runs are named."""
    tails = sorted({summary.tail for summary in summaries if summary.reward is not None})
    choices = summaries[0].choices
    tail = ", ".join(str(value) for value in tails) or "none"
    return (
        f"t_sat: first step with at least 0.99 of the highest train reward, last steps left out (tail): {tail}; "
        f"in brackets: the same on the trailing mean of {choices.window} steps; "
        f"M between evaluations: {choices.reading}; D_post on the grid: {choices.grid}."
    )


def _row(summary: RunSummary, item: SetSummary | None, unscored: str = "", covered: Coverage | None = None) -> Row:
    covered = item.coverage if item else covered
    row: Row = {
        "run": summary.name,
        "verdict": summary.verdict.label,
        "kind": summary.kind,
        "status": summary.status,
        "steps": summary.steps,
        **_ends("reward", summary.reward),
        **_ends("gold", summary.gold),
        "t_sat": summary.t_sat,
        "t_sat_smoothed": summary.t_sat_smoothed,
        "tail": summary.tail,
        "window": summary.choices.window,
        "reading": summary.choices.reading,
        "grid": summary.choices.grid,
        "set": item.name if item else unscored,
        "model": None,
        "metric": item.metric if item else "",
        "first_step": item.first_step if item else None,
        "last_step": item.last_step if item else None,
        **_ends("score", item.headline if item else None, intervals=True),
        "transfer": summary.transfer(item) if item else None,
        "score_t_sat": item.gains.saturation_score if item else None,
        "pre_saturation_gain": item.gains.pre_saturation_gain if item else None,
        "post_saturation_residual": item.gains.post_saturation_residual if item else None,
        "pre_saturation_gain_smoothed": item.smoothed_gains.pre_saturation_gain if item else None,
        "post_saturation_residual_smoothed": item.smoothed_gains.post_saturation_residual if item else None,
    }
    for kind in KINDS:
        found = item.change(kind) if item else None
        row.update(_ends(kind, found[1] if found else None, intervals=True))
    row.update(zip(COUNTS, covered or (None,) * len(COUNTS), strict=True))
    left_out = item.changes.get("unjudged_problems") if item else None
    row.update(_ends("unjudged_problems", left_out if left_out and (left_out.before or left_out.after) else None))
    return row


def _ends(name: str, change: Change | None, intervals: bool = False) -> Row:
    found: Row = {
        f"{name}_first": change.before if change else None,
        f"{name}_last": change.after if change else None,
    }
    if intervals:
        interval = change.interval if change else None
        found[f"{name}_change_low"] = interval.low if interval else None
        found[f"{name}_change_high"] = interval.high if interval else None
    return found


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "−": "$-$", "→": r"$\to$", "\n": " ",
}  # fmt: skip


def latex(text: str) -> str:
    """Text as LaTeX has it."""
    return "".join(_LATEX.get(character, character) for character in text)
