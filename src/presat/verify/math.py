r"""Math-Verify, called one answer at a time: what a worker process runs for a math problem.

The gold answer is read as LaTeX in a box; the response as expressions or LaTeX, which is how the paper's release scores
(section 3, Math and Science). In mode `boxed` Math-Verify sees only the content of the last box, in mode `any` the
whole response with its own fallbacks. Math-Verify's time-outs are off: they work by signals in a main thread; the
worker that runs this is killed instead.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

from math_verify import parse, verify
from math_verify.parser import ExprExtractionConfig, LatexExtractionConfig

UNPARSABLE_GOLD = "unparsable gold answer"
NO_ANSWER = "no answer found"

_GOLD_TARGETS = (LatexExtractionConfig(),)
_ANSWER_TARGETS = (ExprExtractionConfig(), LatexExtractionConfig())

logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its time-outs are off, which is on purpose


@lru_cache(maxsize=4096)
def _read_gold(gold: str) -> list[Any]:
    return parse(f"\\boxed{{{gold}}}", _GOLD_TARGETS, parsing_timeout=None)  # pyright: ignore[reportArgumentType]


def _read_answer(text: str) -> list[Any]:
    return parse(text, _ANSWER_TARGETS, parsing_timeout=None)  # pyright: ignore[reportArgumentType]


def compare(gold: str, answer: str, mode: str) -> tuple[float | None, str | None, str | None]:
    """Judge one answer; returns (value, extracted, reason) as in `Score`.

    Args:
        gold: the reference answer, without a box.
        answer: the content of the response's box in mode `boxed`, the whole response in mode `any`.
        mode: `boxed` or `any`.
    """
    golds = _read_gold(gold)
    if not golds:
        return None, answer if mode == "boxed" else None, UNPARSABLE_GOLD
    answers = _read_answer(f"\\boxed{{{answer}}}" if mode == "boxed" else answer)
    if not answers:
        return 0.0, answer if mode == "boxed" else None, NO_ANSWER
    value = float(verify(golds, answers, timeout_seconds=None))
    return value, answer if mode == "boxed" else str(answers[-1]), None


def extract(text: str) -> tuple[None, str | None, None]:
    """Read the final answer out of a response with Math-Verify's fallbacks; returns (None, answer, None)."""
    answers = _read_answer(text)
    return None, str(answers[-1]) if answers else None, None
