"""What a reward pays and refuses: presat's answer formats and Math-Verify on the adversarial cases of `rewardlint`.

`rewardlint` (MIT, on the Python registry) says of each reference answer and response whether a right verifier accepts
it. It is no dependency: `pip install rewardlint`, then `python benchmarks/answers.py`. All its cases are math here.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

from math_verify import parse, verify
from math_verify.parser import ExprExtractionConfig, LatexExtractionConfig

from presat.types import Problem
from presat.verify import Verifier
from presat.verify.verifier import Mode

SHOWN: tuple[Mode, ...] = ("auto", "boxed", "any")
logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its time-outs are off

Accepts = Callable[[str, str], bool]


def math_verify(gold: str, text: str) -> bool:
    golds = parse(f"\\boxed{{{gold}}}", [LatexExtractionConfig()], parsing_timeout=None)
    answers = parse(text, [ExprExtractionConfig(), LatexExtractionConfig()], parsing_timeout=None)
    return verify(golds, answers, timeout_seconds=None)


def ours(verifier: Verifier) -> Accepts:
    def accepts(gold: str, text: str) -> bool:
        problem = Problem("case", ({"role": "user", "content": "?"},), gold, "math", "math")
        return verifier.score(problem, text).value == 1.0

    return accepts


def line(name: str, cases: Sequence[Any], accepts: Accepts) -> None:
    wrong = [case for case in cases if not case.expect]
    right = [case for case in cases if case.expect]
    paid = [case.id for case in wrong if accepts(case.reference, case.completion)]
    refused = [case.id for case in right if not accepts(case.reference, case.completion)]
    print(
        f"{name:<14} wrong answers paid {len(paid):>2} of {len(wrong)} ({len(paid) / len(wrong):.1%}), "
        f"right ones refused {len(refused):>2} of {len(right)} ({len(refused) / len(right):.1%})"
    )
    for word, ids in (("paid", paid), ("refused", refused)):
        if 0 < len(ids) <= 5:
            print(f"{'':<14} {word}: {', '.join(ids)}")


def main() -> None:
    try:
        from rewardlint import ALL_CASES, __version__  # pyright: ignore[reportMissingImports]  (no dependency)
    except ImportError:
        print("The audit of answers needs rewardlint, which is not installed: pip install rewardlint", file=sys.stderr)
        return
    print(f"\nThe {len(ALL_CASES)} cases of rewardlint {__version__}")
    for mode in SHOWN:
        with Verifier(mode, timeout_s=20) as verifier:
            line(f"presat, {mode}", ALL_CASES, ours(verifier))
    line("Math-Verify", ALL_CASES, math_verify)


if __name__ == "__main__":
    main()
