"""Side-by-side timing: the candidates take turns in one process, and what is printed are ratios of their medians."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch


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
    base = statistics.median(rates[list(candidates)[-1]])
    print(f"\n{title} ({rounds} turns each, side by side)")
    ratios = {}
    for name, found in rates.items():
        ratios[name] = statistics.median(found) / base
        spread = f"{min(found) / base:.2f} to {max(found) / base:.2f}"
        print(f"  {name:<44} {ratios[name]:6.2f} x   ({spread};  {statistics.median(found):,.0f} a second)")
    return ratios
