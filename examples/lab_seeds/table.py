"""The demo over several seeds as Markdown tables, for the README and the lab log.

for seed in 20 21 22 23 24 25 26 27 28 29; do presat demo --seed $seed --out runs/lab/$seed; done
python examples/lab_seeds/table.py runs/lab
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np

from presat import open_run
from presat.analysis import RunSummary, summarise
from presat.demo.grid import BRANCHES, slug
from presat.metrics import mean_interval

HEADLINES = (
    ("train reward", lambda s: s.reward),
    ("held-out avg@16", lambda s: s.sets[0].changes["avg@16"]),
    ("greedy", lambda s: s.sets[0].changes["greedy"]),
    ("pass@16", lambda s: s.sets[0].changes["pass@16"]),
    ("shifted avg@16", lambda s: s.sets[1].changes["avg@16"]),
    ("valid traces", lambda s: s.sets[0].changes["valid_trace"]),
)


def load(folder: Path) -> dict[str, dict[int, RunSummary]]:
    """Summaries by branch and seed."""
    seeds = sorted(int(path.name) for path in folder.iterdir() if (path / "report.html").is_file())
    return {
        branch: {seed: summarise(open_run(folder / str(seed) / slug(branch) / "rl"), name=branch) for seed in seeds}
        for branch in BRANCHES
    }


def means(found: dict[str, dict[int, RunSummary]]) -> None:
    """Means over seeds; of the held-out change also its interval, of t_sat how many runs have one."""
    print(f"| | {' | '.join(name for name, _ in HEADLINES)} | change of avg@16 | transfer | t_sat | verdicts |")
    print("|---" * (len(HEADLINES) + 5) + "|")
    for branch, runs in found.items():
        cells = []
        for _, pick in HEADLINES:
            pairs = [(pick(s).before, pick(s).after) for s in runs.values()]
            cells.append(" → ".join(f"{value:.2f}" for value in np.mean(pairs, axis=0)))
        changes = [s.sets[0].changes["avg@16"].difference for s in runs.values()]
        change = mean_interval(changes, within=(-1.0, 1.0))
        moved = f"({change.low:+.2f} to {change.high:+.2f})" if change else f"({len(runs)} runs)"
        shares = [share for s in runs.values() if (share := s.transfer(s.sets[0])) is not None]
        steps = [s.t_sat_smoothed for s in runs.values() if s.t_sat_smoothed is not None]
        verdicts = Counter(s.verdict.label for s in runs.values())
        cells += [
            f"{np.mean(changes):+.2f} {moved}",
            f"{np.mean(shares):.2f}",
            f"{np.mean(steps):.0f} ({len(steps)} of {len(runs)})",
            ", ".join(f"{count} {label}" for label, count in verdicts.most_common()),
        ]
        print(f"| {branch} | {' | '.join(cells)} |")


def every_seed(found: dict[str, dict[int, RunSummary]]) -> None:
    """One row a run."""
    print(f"\n| | seed | {' | '.join(name for name, _ in HEADLINES)} | P(valid given right) | t_sat | verdict |")
    print("|---" * (len(HEADLINES) + 5) + "|")
    for branch, runs in found.items():
        for seed, s in runs.items():
            cells = [f"{pick(s).before:.2f} → {pick(s).after:.2f}" for _, pick in HEADLINES]
            faithful = s.sets[0].changes.get("valid_given_right")
            cells += [
                f"{faithful.before:.2f} → {faithful.after:.2f}" if faithful else "-",
                f"{s.t_sat or '-'} ({s.t_sat_smoothed or '-'})",
                s.verdict.label,
            ]
            print(f"| {branch} | {seed} | {' | '.join(cells)} |")


def ranks(values: list[float]) -> np.ndarray:
    """Ranks, ties sharing their mean."""
    array = np.array(values)
    return np.array([(array < v).sum() + ((array == v).sum() - 1) / 2 for v in array])


def predictors(found: dict[str, dict[int, RunSummary]]) -> None:
    """Spearman correlation of what is known before RL (and of t_sat) with the held-out gain."""
    print("\n| runs | n | P(valid given right) before | avg@16 before | t_sat, smoothed |")
    print("|---|---|---|---|---|")
    for title, branches in (
        ("CPT + Thinking", ["CPT + Thinking"]),
        ("both Thinking models", ["CPT + Thinking", "Base + Thinking"]),
        ("all four", list(BRANCHES)),
    ):
        runs = [s for branch in branches for s in found[branch].values()]
        columns = []
        for pick in (
            lambda s: s.sets[0].changes["valid_given_right"].before,
            lambda s: s.sets[0].changes["avg@16"].before,
            lambda s: s.t_sat_smoothed,
        ):
            pairs = [(pick(s), s.sets[0].changes["avg@16"].difference) for s in runs]
            pairs = [(a, b) for a, b in pairs if a is not None]
            a, b = (ranks(list(column)) for column in zip(*pairs, strict=True))
            columns.append(f"{np.corrcoef(a, b)[0, 1]:.2f} (n = {len(pairs)})" if len(pairs) > 2 else "-")
        print(f"| {title} | {len(runs)} | {' | '.join(columns)} |")


if __name__ == "__main__":
    summaries = load(Path(sys.argv[1]))
    means(summaries)
    every_seed(summaries)
    predictors(summaries)
