"""A study's table as text: for the terminal, as Markdown, CSV, LaTeX and JSON, with the sentences that go with it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from presat.metrics.intervals import MIN_UNITS
from presat.report.tables import inert, latex
from presat.study.comparison import Comparison, Entry, Labels, Table, by_column, orders
from presat.study.quantities import Quantity

KIND = "presat study report"
Published = Mapping[tuple[Any, ...], float]
HOW = (
    "Means over seeds with 95% intervals: for other seeds and other problems where the responses were saved, else for "
    "other seeds; of fewer than three seeds the values themselves."
)


Block = tuple[str, list[str], list[list[str]]]
"""A title (empty where there is one table), headings, and the cells row by row."""


def blocks(table: Table, published: Published) -> list[Block]:
    """The tables as text: one, or with column axes one for each metric, which all in one would be too wide to read."""
    columns = by_column(table)
    rows = list(dict.fromkeys(item.row for item in table.entries))
    places = {(item.row, item.column, item.quantity): item for item in table.entries}
    apart = bool(table.columns) and len({quantity for quantity, _ in columns}) > 1
    found: dict[str, list[tuple[Quantity, Labels]]] = {}
    for quantity, column in columns:
        found.setdefault(quantity.name if apart else "", []).append((quantity, column))
    return [
        (
            title,
            [*table.rows, *(_joined([*column, *([] if apart else [quantity.name])]) for quantity, column in some)],
            [[*row, *(entry_text(places.get((row, c, q)), published) for q, c in some)] for row in rows],
        )
        for title, some in found.items()
    ]


def entry_text(item: Entry | None, published: Published) -> str:
    """One cell: mean and interval, or the values, what is missing, and the paper's value."""
    if item is None:
        return ""
    parts = [f"{count} {word}" for word, count in item.words.most_common()]
    if item.values:
        parts.append(_numbers(item))
    text = "; ".join(parts)  # a verdict may hold a comma
    if item.missing:
        lacking = ", ".join(f"{count} {state}" for state, count in item.missing.items())
        there = len(item.units) - item.missing.total()
        text = f"{text} [{there} of {len(item.units)}; {lacking}]" if there else f"– [{lacking}]"
    known = published.get((item.row, item.column, item.quantity.name))
    return text if known is None else f"{text} (paper: {number(known, item)})"


def number(value: float, item: Entry) -> str:
    """A value of a quantity: steps whole, shares with two decimals, small numbers with three digits."""
    if item.quantity.kind == "t_sat":
        return f"{value:.0f}"
    small = 0 < max((abs(each) for each in item.values), default=0.0) < 0.05
    return f"{value:.3f}" if small and item.quantity.kind != "end" else f"{value:.2f}"


def comparison_rows(table: Table) -> tuple[list[str], list[list[str]]]:
    """Differences from the baseline: headings and lines."""
    found = [
        [
            setting(table, item.last),
            item.quantity.name,
            setting(table, item.first),
            signed(item.difference, item.last),
            _within(item) or "–",
            "–" if item.corrected is None else f"{item.corrected:.2g}",
            "yes" if item.claimed else "no",
            item.over,
        ]
        for item in table.comparisons
    ]
    heads = ["setting", "metric", "against", "difference", "95% interval", "corrected p", "claimed", "over"]
    return heads, found


def sentences(table: Table, baseline: bool) -> Iterator[str]:
    """What is claimed, and between which no order is; then what the reader must know."""
    tests = sum(item.estimate is not None for item in table.comparisons)
    if not baseline:
        for quantity, column, claims, groups in orders(table):
            about = _joined([quantity.name, *column])
            for item in claims:
                yield f"{about}: {_claim(table, item)}."
            for group in groups:
                yield f"{about}: no order is claimed between {_and([_row(table, item.row) for item in group])}."
    yield HOW
    if tests:
        yield f"A difference is claimed where its chance, corrected for all {tests} comparisons (Holm), is below .05."
    few = sum(item.estimate is None for item in table.comparisons)
    if few:
        why = f"one side has fewer than {MIN_UNITS} seeds, or nothing scatters"
        yield f"{few} of {len(table.comparisons)} comparisons have no interval: {why}."
    yield from table.notes


def setting(table: Table, item: Entry) -> str:
    """What a setting is called: its row, and its column where there is one."""
    return _joined([_row(table, item.row), *(f"{n} {v}" for n, v in zip(table.columns, item.column, strict=True))])


def to_markdown(table: Table, published: Published, baseline: bool) -> str:
    """Tables and sentences as Markdown."""
    parts = [f"<!-- {KIND} -->"]
    for title, heads, body in blocks(table, published):
        parts += [*([f"**{title}**", ""] if title else []), *_markdown(heads, body), ""]
    if baseline:
        parts += [*_markdown(*comparison_rows(table)), ""]
    return "\n".join([*parts, *(f"- {line}" for line in sentences(table, baseline)), ""])


def to_latex(table: Table, published: Published, baseline: bool) -> str:
    r"""The tables as LaTeX tabulars (package booktabs), the sentences as comments."""
    parts = [f"% {KIND}", *(f"% {line}" for line in sentences(table, baseline))]
    compared = [("", *comparison_rows(table))] if baseline else []
    for title, heads, body in [*blocks(table, published), *compared]:
        parts += [
            *([f"% {title}"] if title else []),
            rf"\begin{{tabular}}{{{'l' * len(heads)}}}",
            r"\toprule",
            _latex_row(heads),
            r"\midrule",
        ]
        parts += [*map(_latex_row, body), r"\bottomrule", r"\end{tabular}"]
    return "\n".join([*parts, ""])


def to_csv(table: Table, published: Published) -> str:
    """One line for each setting and metric, in full precision."""
    rows = [entry_json(table, item, published) for item in table.entries]
    flat = [
        {"metric": row["metric"], **row["axes"], **{name: row[name] for name in CSV}, "values": _spaced(row["values"]),
         "verdicts": _counts(row["verdicts"]), "missing": _counts(row["missing"])}
        for row in rows
    ]  # fmt: skip
    stream = io.StringIO()
    writer = csv.DictWriter(stream, fieldnames=list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: inert(cell) for name, cell in row.items()} for row in flat)
    return stream.getvalue()


CSV = ("seeds", "of", "mean", "low", "high", "over", "paper")


def to_json(table: Table, published: Published, baseline: bool) -> dict[str, Any]:
    """Everything as plain data."""
    return {
        "kind": KIND,
        "study": table.study,
        "rows": table.rows,
        "columns": table.columns,
        "averaged": table.averaged,
        "entries": [entry_json(table, item, published) for item in table.entries],
        "comparisons": [_comparison_json(table, item) for item in table.comparisons],
        "sentences": list(sentences(table, baseline)),
    }


def json_text(data: Mapping[str, Any]) -> str:
    """JSON as it is written to a file."""
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def entry_json(table: Table, item: Entry, published: Published) -> dict[str, Any]:
    """One setting in one metric as plain data."""
    interval = item.interval
    return {
        "metric": item.quantity.name,
        "axes": _axes(table, item),
        "seeds": len(item.values),
        "of": len(item.units),
        "mean": item.mean,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "over": item.over,
        "paper": published.get((item.row, item.column, item.quantity.name)),
        "values": {unit.seed: unit.found.value for unit in item.units if unit.found.value is not None},
        "verdicts": dict(item.words),
        "missing": dict(item.missing),
    }


def _comparison_json(table: Table, item: Comparison) -> dict[str, Any]:
    interval = item.interval
    return {
        "metric": item.quantity.name,
        "first": _axes(table, item.first),
        "last": _axes(table, item.last),
        "difference": item.difference,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "p": item.estimate.p if item.estimate else None,
        "corrected": item.corrected,
        "claimed": item.claimed,
        "over": item.over,
    }


def signed(value: float, item: Entry) -> str:
    """A difference in a quantity, with its sign."""
    text = number(value, item)
    return text if text.startswith("-") else f"+{text}"


def _claim(table: Table, item: Comparison) -> str:
    names = _row(table, item.last.row), _row(table, item.first.row)
    how = f"{_within(item)}, corrected p {item.corrected:.2g}, {item.over}"
    return f"{names[0]} is above {names[1]} by {number(item.difference, item.last)} ({how})"


def _numbers(item: Entry) -> str:
    if item.mean is None:
        return ""
    if len(item.values) < MIN_UNITS:
        return ", ".join(number(value, item) for value in item.values)
    if item.interval is None:
        return f"{number(item.mean, item)} (all {len(item.values)} equal)"
    return f"{number(item.mean, item)} ({number(item.interval.low, item)} to {number(item.interval.high, item)})"


def _within(item: Comparison) -> str:
    found = item.interval
    return f"{signed(found.low, item.last)} to {signed(found.high, item.last)}" if found else ""


def _axes(table: Table, item: Entry) -> dict[str, str]:
    return dict(zip([*table.rows, *table.columns], [*item.row, *item.column], strict=True))


def _row(table: Table, row: Labels) -> str:
    """The values of a row's axes; a bare number goes by its axis."""
    said = [f"{name} {v}" if v[:1].isdigit() else v for name, v in zip(table.rows, row, strict=True)]
    return " / ".join(said) or table.study


def _joined(words: Sequence[str]) -> str:
    return ", ".join(words)


def _and(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _markdown(heads: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    rows = [heads, ["---"] * len(heads), *body]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(latex, cells)) + r" \\"


def _spaced(values: Mapping[str, Any]) -> str:
    return " ".join(str(value) for value in values.values() if not isinstance(value, str))


def _counts(counts: Mapping[str, int]) -> str:
    return "; ".join(f"{count} {name}" for name, count in counts.items())
