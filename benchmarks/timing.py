"""Side-by-side timing: the candidates take turns in one process, and what is printed are ratios of their medians."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch


class Row(NamedTuple):
    """A line of the table at the end: how many times `ours` does as much as `peer` in the same time."""

    work: str
    ours: str
    peer: str
    ratio: float
    least: float
    most: float
    floor: float | None = None


ROWS: list[Row] = []
"""Every comparison that this process made; `floor` is the share of our time that the arithmetic alone takes."""


def table() -> str:
    """The comparisons made, in columns."""
    head = ("work", "ours", "peer", "ratio", "floor", "processor")
    name = processor()
    lines: list[tuple[str, ...]] = [head]
    for row in ROWS:
        ratio = f"{row.ratio:.2f} ({row.least:.2f} to {row.most:.2f})"
        floor = "" if row.floor is None else f"{row.floor:.0%} of ours"
        lines.append((row.work, row.ours, row.peer, ratio, floor, name))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def processor() -> str:
    """Return the processor's name and what torch uses of it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {torch.backends.cpu.get_cpu_capability()}"


def compare(title: str, candidates: Mapping[str, Callable[[], float]], rounds: int = 5) -> dict[str, float]:
    """Time the candidates in turns and print each one's rate, relative to the last of them.

    Args:
        title: what is compared.
        candidates: by name, a call that does the work and returns how much it did (tokens, answers). The last one is
            the baseline.
        rounds: measured turns, after one that is not counted.

    Returns:
        Ratio of each candidate's median rate to the baseline's.
    """
    rates: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(rounds + 1):
        for name, work in candidates.items():
            began = time.perf_counter()
            done = work()
            if turn:
                rates[name].append(done / (time.perf_counter() - began))
    peer = list(candidates)[-1]
    base = statistics.median(rates[peer])
    print(f"\n{title} ({rounds} turns each, side by side)")
    ratios = {}
    for name, found in rates.items():
        ratios[name] = statistics.median(found) / base
        if name != peer:
            ROWS.append(Row(title, name, peer, ratios[name], min(found) / base, max(found) / base))
        spread = f"{min(found) / base:.2f} to {max(found) / base:.2f}"
        print(f"  {name:<44} {ratios[name]:6.2f} x   ({spread};  {statistics.median(found):,.0f} a second)")
    return ratios
