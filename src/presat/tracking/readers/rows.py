"""Rows of a log to series by name: what every reader shares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Values = dict[str, dict[int, float]]


def collect_rows(rows: Iterable[Mapping[str, Any]], source: str) -> tuple[Values, list[str]]:
    """Turn flat rows with a `step` into values by name and step; null is NaN, text is left out.

    Returns:
        The values, and a note on what was left out or repeated.
    """
    values: Values = {}
    notes: list[str] = []
    homeless, repeated = 0, set()
    for row in rows:
        step = row.get("step")
        if not isinstance(step, int) or isinstance(step, bool):
            homeless += 1
            continue
        for name, value in row.items():
            if name in ("step", "time") or not (value is None or isinstance(value, int | float)):
                continue
            series = values.setdefault(name, {})
            if step in series:
                repeated.add(step)
            series[step] = float("nan") if value is None else float(value)
    if homeless:
        notes.append(f"{homeless} lines of {source} have no whole-number step and were left out.")
    if repeated:
        first, last = min(repeated), max(repeated)
        where = f"step {first}" if first == last else f"{len(repeated)} steps between {first} and {last}"
        notes.append(f"{source} logs {where} more than once; the last value counts.")
    return values, notes
