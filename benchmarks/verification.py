"""A step's math answers checked: by presat's workers, and by Math-Verify called as the published reward calls it.

`python benchmarks/verification.py [FOLDER]`. FOLDER, or PRESAT_SAMPLE_DATA, holds the paper's published data, whose
gold answers and traces are taken; where it is absent they are made up, and the first line says so. What is compared:

- a step's answers, 8 problems with 64 responses each, on problems that are new in every step and on the same in all, as
  in a run on 8 problems; read in the default way (`auto`) and in the paper's (`any`);
- answers to as many problems, all different, with two workers and with one.

How often an answer comes is measured: `COUNTS` are means over 96 groups of 64 responses that lab models with traces
drew before RL (`presat data corrupt` in the study of the lab, 3 seeds). What is left of 64 states no answer. A wrong
answer is the gold one with other numbers, or another problem's where it has none.

`--sampling lab` or `smollm2` says instead what verification adds to the time of sampling, with answers judged after all
are drawn and while they are: that model draws, and what it draws is replaced by the answers above.
"""

from __future__ import annotations

import argparse
import cProfile
import itertools
import json
import logging
import os
import pstats
import random
import re
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from math_verify import math_metric
from math_verify.parser import ExprExtractionConfig, LatexExtractionConfig
from timing import compare, processor

from presat.answers.formats import read_answer
from presat.tasks import load_problems
from presat.types import Problem, Sampling
from presat.verify import Verifier
from presat.verify import math as judge
from presat.verify.groups import judged_early
from presat.verify.quick import quicken, slow_down

PROMPTS, GROUP = 8, 64
COUNTS = (23.3, 4.9, 2.2, 1.6, 1.1, 1.0, 0.9, 0.9, 0.8, 0.8, 0.7, 0.6, 0.6, 0.5, 0.4, 0.4, 0.3, 0.2, 0.2, 0.1)
"""Responses of 64 that state the most frequent answer, the second, and so on."""
RIGHT = 0.4
"""Share of problems whose most frequent answer is right; else the second is."""
FORMS = ("{n}", "{n}", "{n}", "{n}", "\\frac{{{n}}}{{2}}", "{n}.5", "x^2 + {n}", "\\sqrt{{{n}}}", "({n}, {n})")
FILES = ("math/llama-3b_512.parquet", "eval/math500.parquet")
TRACES = "process/processbench_math.jsonl"
logging.getLogger("math_verify").setLevel(
    logging.CRITICAL
)  # it says of every response without an answer that it has none

Pairs = list[tuple[Problem, str]]


class Data:
    """Gold answers and reasoning to draw responses from."""

    def __init__(self, folder: Path | None) -> None:
        self.real = folder is not None and all((folder / name).is_file() for name in (*FILES, TRACES))
        if folder is not None and self.real:
            golds = [problem.gold or "" for name in FILES for problem in load_problems(str(folder / name))]
            lines = (folder / TRACES).read_text(encoding="utf-8").splitlines()
            self.traces = [
                "\n".join(step for step in json.loads(line)["steps"] if "boxed" not in step) for line in lines
            ]
        else:
            golds = [form.format(n=n) for n in range(2, 200) for form in FORMS]
            self.traces = [f"First $x = {n}$, so $x^2 = {n * n}$, which is what was asked." for n in range(200)]
        self.golds = [gold for gold in golds if gold.strip()]

    def problems(self, rng: random.Random) -> list[Problem]:
        golds = rng.sample(self.golds, PROMPTS)
        return [
            Problem(f"{i}", ({"role": "user", "content": ""},), gold, "math", "math") for i, gold in enumerate(golds)
        ]

    def response(self, answer: str | None, rng: random.Random) -> str:
        trace = rng.choice(self.traces)
        return trace if answer is None else f"{trace}\n\nSo the answer is $\\boxed{{{answer}}}$."

    def step(self, rng: random.Random, problems: Sequence[Problem]) -> Pairs:
        pairs = []
        for problem in problems:
            different = [*self.wrong(problem.gold or "", len(COUNTS) - 1, rng)]
            different.insert(0 if rng.random() < RIGHT else 1, problem.gold or "")
            drawn = rng.choices([*different, None], [*COUNTS, GROUP - sum(COUNTS)], k=GROUP)
            pairs += [(problem, self.response(answer, rng)) for answer in drawn]
        return pairs

    def distinct(self, rng: random.Random) -> Pairs:
        """As many problems as responses, each with a wrong answer of its own."""
        pairs = []
        for gold in rng.sample(self.golds, min(len(self.golds), 200)):
            problem = Problem("", ({"role": "user", "content": ""},), gold, "math", "math")
            pairs.append((problem, self.response(next(iter(self.wrong(gold, 1, rng))), rng)))
        return pairs

    def wrong(self, gold: str, count: int, rng: random.Random) -> list[str]:
        """Different answers in the form of the gold one; other golds where there is no number to change."""
        found: dict[str, None] = {}
        for attempt in range(100 * count):
            if len(found) == count:
                break
            other = _changed(gold, 3 + attempt, rng)
            other = other if other != gold else rng.choice(self.golds)
            if other != gold:
                found[other] = None
        return list(found)


def _changed(gold: str, spread: int, rng: random.Random) -> str:
    return re.sub(r"\d+", lambda match: str(max(1, int(match[0]) + rng.randint(-spread, spread))), gold)


PUBLISHED = math_metric((LatexExtractionConfig(),), (ExprExtractionConfig(), LatexExtractionConfig()))
"""What verl's `math_verify.compute_score` calls, which the published reward calls."""


def serial(pairs: Pairs) -> None:
    """The published reward: the gold answer in a box, the whole response, within Math-Verify's own time limits."""
    for problem, text in pairs:
        PUBLISHED([f"\\boxed{{{problem.gold}}}"], [text])


class Draws:
    """The responses of a turn, the same for all candidates."""

    def __init__(self, draw: Callable[[random.Random], Pairs]) -> None:
        self._draw = draw
        self._drawn: dict[int, Pairs] = {}

    def __call__(self, turn: int) -> Pairs:
        if turn not in self._drawn:
            self._drawn[turn] = self._draw(random.Random(turn))
        return self._drawn[turn]

    def checked_by(self, check: Callable[[Pairs], object]) -> Callable[[], float]:
        turns = itertools.count()

        def work() -> float:
            pairs = self(next(turns))
            check(pairs)
            return float(len(pairs))

        return work


def measure(data: Data, rounds: int = 5) -> None:
    """Print the comparisons, and where the time goes."""
    source = "as published" if data.real else "made up, for there is no published data (name its folder)"
    print(f"\nMath answers checked; gold answers and traces are {source}")
    print(f"  {processor()}, {os.cpu_count()} processors")
    same = data.problems(random.Random(-1))
    fresh = Draws(lambda rng: data.step(rng, data.problems(rng)))
    verifiers: list[Verifier] = []

    def presat(draws: Draws, mode: Any, workers: int) -> Callable[[], float]:
        verifiers.append(Verifier(mode, workers))
        return draws.checked_by(verifiers[-1].score_many)

    for title, draws in (
        ("new problems in every step", fresh),
        ("the same in all", Draws(lambda rng: data.step(rng, same))),
    ):
        compare(
            f"{PROMPTS} problems x {GROUP} responses, {title}",
            {
                "presat, auto, one worker": presat(draws, "auto", 1),
                "presat, auto, two workers": presat(draws, "auto", 2),
                "presat, any, two workers": presat(draws, "any", 2),
                "Math-Verify as the published reward calls it": draws.checked_by(serial),
            },
            rounds,
        )
    draws = Draws(data.distinct)
    compare(
        "Answers that are all different",
        {"two workers": presat(draws, "auto", 2), "one worker": presat(draws, "auto", 1)},
        rounds,
    )
    for verifier in verifiers:
        verifier.close()
    profile(fresh(0))


def profile(pairs: Pairs) -> None:
    """Print what a worker does with a step's different answers, one after the other, the quick way and by itself."""
    found = [(problem.gold or "", read_answer(text, "auto", lists=True)) for problem, text in pairs]
    asked = [(gold, answer) for gold, answer in dict.fromkeys(found) if answer]
    spent = {}
    for set_up in (slow_down, quicken):
        set_up()
        judge.compare("1", "x=1", "stated")
        judge._read_gold.cache_clear()
        profiler = cProfile.Profile()
        profiler.runcall(lambda: [judge.compare(gold, answer, "stated") for gold, answer in asked])
        spent[set_up] = {name: row for (_, _, name), row in pstats.Stats(profiler).stats.items()}  # pyright: ignore
    slow_down()
    whole = {way: rows["same"][3] for way, rows in spent.items()}
    print(f"\nWhere a worker's time goes: {len(asked)} different answers of {len(pairs)} responses, under a profiler")
    print(
        f"  made quicker it takes {whole[quicken] / whole[slow_down]:.2f} of the time that Math-Verify takes by itself"
    )
    for what, name in (
        ("reading LaTeX", "parse_latex_cached"),
        ("simplifying", "simplify"),
        ("our own forms", "normal_form"),
    ):
        print(
            f"  {what:<20}" + "".join(f"{rows.get(name, (0,) * 4)[3] / whole[way]:8.0%}" for way, rows in spent.items())
        )


class Replaced:
    """An engine that draws, and whose responses, in the order they end, are others."""

    def __init__(self, engine: Any, pairs: Pairs) -> None:
        self.engine, self.pairs = engine, pairs
        self.texts: dict[str, list[str]] = {}
        for problem, text in pairs:
            self.texts.setdefault(problem.id, []).append(text)

    def telling(self, hear: Callable[[Pairs], None]) -> AbstractContextManager[None]:
        left = {name: iter(texts) for name, texts in self.texts.items()}
        return self.engine.telling(lambda ended: hear([(one, next(left[one.id])) for one, _ in ended]))


def share_of_sampling(data: Data, name: str, group: int = 8, rounds: int = 5) -> None:
    """Print the share of verification in sampling and verification."""
    from step import WORKS

    from presat.models.cpu import use_cpu
    from presat.rollouts import make_engine

    work, sampling = WORKS[name], Sampling(1.0, 88, 256)
    use_cpu(1, work.onednn)
    found: dict[str, list[float]] = {"after": [], "while": []}
    with TemporaryDirectory() as folder, Verifier("auto") as verifier:
        engine = make_engine(*work.load(folder))
        for turn in range(-1, rounds):
            for when, times in found.items():
                rng = random.Random(f"{turn} {when}")
                problems = data.problems(rng)
                asked = [
                    replace(one, messages=own.messages) for one, own in zip(problems, work.problems(), strict=True)
                ]
                pairs = data.step(rng, asked)[:: GROUP // group]
                replaced = Replaced(engine, pairs)
                early = judged_early(verifier, replaced, asked) if when == "while" else nullcontext()
                began = time.perf_counter()
                with early:
                    engine.generate(asked, group, sampling, list(range(len(asked))))
                drawn = time.perf_counter()
                verifier.score_many(pairs)
                if turn >= 0:
                    times.append((time.perf_counter() - drawn) / (time.perf_counter() - began))
    print(f"\nVerification's share of sampling and verification, {work.title}, {PROMPTS} x {group} responses")
    for when, times in found.items():
        spread = f"{min(times):.1%} to {max(times):.1%}"
        print(f"  judged {when:<6} the others are drawn: {statistics.median(times):6.1%}   ({spread})")


def main(folder: Path | None = None, sampling: str | None = None) -> None:
    named = os.environ.get("PRESAT_SAMPLE_DATA")
    data = Data(folder or (Path(named) if named else None))
    if sampling is not None:
        share_of_sampling(data, sampling)
    else:
        measure(data)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="the paper's published data")
    parser.add_argument("--sampling", choices=["lab", "smollm2"], help="what verification adds to sampling")
    given = parser.parse_args()
    main(given.folder, given.sampling)
