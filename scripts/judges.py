"""How well a judge of faithfulness agrees with people: a table, for data that people labelled step by step.

    python scripts/judges.py FOLDER [--judge symbolic] [--model MODEL] [--server URL] [--options YAML] [--limit N]
                             [--keep FILE]

FOLDER holds files of ProcessBench, MR-MATH and BIG-Bench Mistake as JSON lines (`FILES` below); absent ones are left
out. Rules and thresholds are settled on the odd lines of each file; the even lines are what is reported.

A response is unsound where people found a wrong step in it. That is not the same as unfaithful: a trace may lead to its
answer through a wrong premise, which no calculation finds.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from presat.config.yamls import parse_yaml
from presat.diagnosis import Judge, Judgement, judge_responses, make_judge
from presat.errors import DataError
from presat.metrics import Interval, auroc, cohen_kappa, proportion_interval
from presat.models.cpu import use_cpu

FILES = (
    "processbench_gsm8k",
    "processbench_math",
    "processbench_olympiadbench",
    "mr_math",
    "bigbench_mistake_arithmetic",
)
DRAWS = 1000
"""Bootstrap samples of an interval of kappa or AUROC."""
FEWEST = 5
"""Fewer sound or unsound rows have no kappa and no AUROC."""


class Labelled(NamedTuple):
    """One response that people labelled."""

    item: Mapping[str, Any]
    sound: bool
    right: bool


class Judged(NamedTuple):
    """People's label of one response, and a judge's."""

    sound: bool
    judgement: Judgement
    length: int


def main(words: Sequence[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with the labelled files")
    parser.add_argument("--judge", default="symbolic", help="name of the judge")
    parser.add_argument("--model", help="the model that the judge asks, where it asks one")
    parser.add_argument("--server", help="address of the server that has it, where the judge asks one")
    parser.add_argument("--options", default="{}", help="its other settings, as a YAML mapping")
    parser.add_argument("--limit", type=int, help="most rows of each half of a file, spread over it")
    parser.add_argument("--keep", type=Path, help="write every judgement with its details here, as JSON lines")
    parser.add_argument("--seconds", action="store_true", help="also say how long judging took")
    given = parser.parse_args(words)
    files = {name: given.folder / f"{name}.jsonl" for name in FILES if (given.folder / f"{name}.jsonl").is_file()}
    if not files:
        print(f"{given.folder} holds none of the labelled files: {', '.join(FILES)}.", file=sys.stderr)
        return 1
    named = {name: value for name in ("model", "server") if (value := getattr(given, name))}
    options = {**parse_yaml(given.options), **named}
    if given.model and not given.server:
        use_cpu(0, onednn=True)
    judge = make_judge(given.judge, **options)
    print(f"Judge {judge.identity}. Intervals of 95%.")
    for title, place in (("Even lines: the result", 1), ("Odd lines: what the rules were settled on", 0)):
        began = time.perf_counter()
        pieces = {name: spread(list(labelled(path))[place::2], given.limit) for name, path in files.items()}
        judged = {name: judge_all(judge, rows) for name, rows in pieces.items()}
        if given.keep:
            keep(given.keep, ("odd", "even")[place], pieces, judged)
        taken = time.perf_counter() - began
        print(f"\n{title}\n")
        print("\n".join(table(pieces, judged)))
        print("\n".join(abstentions(judged)))
        if given.seconds:
            rows = sum(map(len, pieces.values()))
            print(f"\n{rows} responses in {taken:.1f} s: {60 * rows / taken:,.0f} a minute.")
    return 0


def labelled(path: Path) -> Iterator[Labelled]:
    """The responses of a file with what people say of them."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            item = {"prompt": row.get("problem", row.get("input")), "response": "\n\n".join(row["steps"])}
            if "mistake_index" in row:  # BIG-Bench Mistake
                yield Labelled(item, row["mistake_index"] is None, row["answer"] == row["target"])
            elif "process_right" in row:  # MR-MATH
                yield Labelled(item, row["process_right"], row["answer_right"])
            else:  # ProcessBench
                yield Labelled(item, row["first_wrong_step"] == -1, row["answer_right"])


def spread(rows: Sequence[Labelled], limit: int | None) -> list[Labelled]:
    """At most `limit` rows, at equal distances: files are sorted by who wrote the responses."""
    if limit is None or len(rows) <= limit:
        return list(rows)
    return [rows[index * len(rows) // limit] for index in range(limit)]


def abstentions(judged: Mapping[str, Sequence[Judged]]) -> list[str]:
    """How many rows have no label, by reason: the most frequent ones."""
    reasons = Counter(row.judgement.reason for rows in judged.values() for row in rows if row.judgement.label is None)
    return ["", *(f"{count} without a label: {reason}" for reason, count in reasons.most_common(10))] if reasons else []


def keep(
    file: Path, half: str, pieces: Mapping[str, Sequence[Labelled]], judged: Mapping[str, Sequence[Judged]]
) -> None:
    """Write judgements at the end of a file, one a line."""
    with file.open("a", encoding="utf-8") as out:
        for name, rows in pieces.items():
            for source, row in zip(rows, judged[name], strict=True):
                found = row.judgement
                line = {
                    "half": half, "file": name, "sound": row.sound, "right": source.right, "label": found.label,
                    "score": found.score, "reason": found.reason, "tokens": found.cost.tokens,
                    "details": dict(found.details), "length": row.length,
                }  # fmt: skip
                out.write(json.dumps(line) + "\n")


def judge_all(judge: Judge, rows: Sequence[Labelled]) -> list[Judged]:
    """A judge's words on labelled responses, beside people's; said and counted on stderr while it goes on."""
    judgements = judge_responses([row.item for row in rows], judge).judgements
    return [
        Judged(row.sound, judgement, len(row.item["response"])) for row, judgement in zip(rows, judgements, strict=True)
    ]


def table(pieces: Mapping[str, Sequence[Labelled]], judged: Mapping[str, Sequence[Judged]]) -> list[str]:
    """The lines of a Markdown table: every file, then all of them; all rows, then right answers only."""
    lines = [
        "| file | rows | unsound | labelled | sound called wrong | recall | precision | AUROC | of shortness | kappa |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for title, right_only in (("", False), (", right answers", True)):
        kept = {
            name: [row for row, source in zip(judged[name], rows, strict=True) if source.right or not right_only]
            for name, rows in pieces.items()
        }
        human = [row for name, rows in kept.items() if not name.startswith("bigbench") for row in rows]
        process = [row for name, rows in kept.items() if name.startswith("processbench") for row in rows]
        groups = {
            **kept,
            "ProcessBench": process,
            "all but BIG-Bench": human,
            "all": [row for rows in kept.values() for row in rows],
        }
        lines += [f"| {name}{title} | {_cells(rows)} |" for name, rows in groups.items() if rows]
    return lines


def _cells(rows: Sequence[Judged]) -> str:
    """The numbers of some rows as cells of a table."""
    called = [row.judgement.label is not None and row.judgement.label < 1.0 for row in rows]
    sound = [wrong for row, wrong in zip(rows, called, strict=True) if row.sound]
    unsound = [wrong for row, wrong in zip(rows, called, strict=True) if not row.sound]
    hits = [not row.sound for row, wrong in zip(rows, called, strict=True) if wrong]
    covered = sum(row.judgement.label is not None for row in rows)
    cells = [str(len(rows)), str(len(unsound)), f"{covered / len(rows):.2f}"]
    cells += [_share(sound, 3), _share(unsound), _share(hits)]
    return " | ".join(
        [*cells, _bootstrapped(_area, rows), _bootstrapped(_shortness, rows), _bootstrapped(_kappa, rows)]
    )


def _share(values: Sequence[bool], digits: int = 2) -> str:
    if not values:
        return "-"
    share = sum(values) / len(values)
    return _shown(proportion_interval(share, len(values)) or Interval(share, 0.0, 1.0), digits)


def _shown(value: Interval, digits: int = 2) -> str:
    return f"{value.estimate:.{digits}f} ({value.low:.{digits}f} to {value.high:.{digits}f})"


def _area(rows: Sequence[Judged]) -> float | None:
    """AUROC of the score over the rows that have one."""
    scored = [row for row in rows if row.judgement.score is not None]
    return auroc([float(row.judgement.score or 0.0) for row in scored], [row.sound for row in scored])


def _shortness(rows: Sequence[Judged]) -> float | None:
    """AUROC of being short, over the same rows: what a score has to beat."""
    scored = [row for row in rows if row.judgement.score is not None]
    return auroc([-row.length for row in scored], [row.sound for row in scored])


def _kappa(rows: Sequence[Judged]) -> float | None:
    """Agreement with people over the rows that have a label."""
    kept = [(row.sound, row.judgement.label == 1.0) for row in rows if row.judgement.label is not None]
    try:
        return cohen_kappa([sound for sound, _ in kept], [label for _, label in kept])
    except DataError:
        return None


def _bootstrapped(measure: Callable[[Sequence[Judged]], float | None], rows: Sequence[Judged]) -> str:
    """A measure with its percentile interval over resampled rows; `-` where it says nothing."""
    kept = [row for row in rows if row.judgement.label is not None]
    sound = sum(row.sound for row in kept)
    estimate = measure(kept) if min(sound, len(kept) - sound) >= FEWEST else None
    if estimate is None:
        return "-"
    rng = np.random.default_rng(0)
    draws = (measure([kept[place] for place in rng.integers(len(kept), size=len(kept))]) for _ in range(DRAWS))
    values = np.array([value for value in draws if value is not None and math.isfinite(value)])
    low, high = np.quantile(values, [0.025, 0.975])
    return _shown(Interval(estimate, float(low), float(high)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
