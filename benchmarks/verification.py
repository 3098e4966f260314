"""A step's math answers checked: presat's worker, the same without its cache, and Math-Verify called directly."""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Callable

from math_verify import parse, verify
from math_verify.parser import ExprExtractionConfig, LatexExtractionConfig
from timing import compare

from presat.types import Problem
from presat.verify import Verifier

PROMPTS, GROUP, DIFFERENT = 8, 64, 5
FORMS = ("{n}", "\\frac{{{n}}}{{2}}", "{n}.5", "x^2 + {n}", "\\sqrt{{{n}}}", "({n}, {n})")
GOLD_TARGETS, ANSWER_TARGETS = [LatexExtractionConfig()], [ExprExtractionConfig(), LatexExtractionConfig()]
logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its time-outs are off

Pairs = list[tuple[Problem, str]]


def answers(step: int) -> Pairs:
    """The responses of one training step: new problems, each answered in a handful of ways."""
    rng = random.Random(step)
    pairs = []
    for index in range(PROMPTS):
        form = FORMS[index % len(FORMS)]
        different = [form.format(n=1000 * step + rng.randint(2, 999)) for _ in range(DIFFERENT)]
        problem = Problem(f"{step}-{index}", ({"role": "user", "content": ""},), different[0], "math", "math")
        pairs += [(problem, f"So the answer is $\\boxed{{{rng.choice(different)}}}$.") for _ in range(GROUP)]
    return pairs


def direct(pairs: Pairs) -> None:
    for problem, text in pairs:
        gold = parse(f"\\boxed{{{problem.gold}}}", GOLD_TARGETS, parsing_timeout=None)
        verify(gold, parse(text, ANSWER_TARGETS, parsing_timeout=None), timeout_seconds=None)


def work(check: Callable[[Pairs], object]) -> Callable[[], float]:
    steps = itertools.count()

    def one_step() -> float:
        pairs = answers(next(steps))
        check(pairs)
        return float(len(pairs))

    return one_step


def main() -> None:
    with Verifier() as cached, Verifier(cache=False) as plain:
        compare(
            f"Math answers checked, {PROMPTS} prompts x {GROUP} responses, {DIFFERENT} different answers a prompt",
            {
                "presat, one worker": work(cached.score_many),
                "presat, one worker, no cache": work(plain.score_many),
                "Math-Verify called directly, no time limit": work(direct),
            },
        )


if __name__ == "__main__":
    main()
