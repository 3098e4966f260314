"""Targets of supervised fine-tuning: the same problems with the reasoning written out, or with the answer alone.

As in the paper (section 4, appendix B) a Thinking target is `<think>` trace `</think>` and the solution, a Non-Thinking
one the solution alone.
"""

from __future__ import annotations

from collections.abc import Iterable

from presat.tasks.lab.chains import LABELS, Chain, chain_of
from presat.types import Problem

THINK, END_THINK, BOX, END_BOX = "<think>", "</think>", "\\boxed{", "}"


def trace(chain: Chain) -> str:
    """The worked chain: `7 a +3 10 b -2 8`."""
    parts = [str(chain.start)]
    for label, operand, total in zip(LABELS, chain.operands, chain.totals, strict=False):
        parts += [label, f"{operand:+d}", str(total)]
    return " ".join(parts)


def boxed(answer: str) -> str:
    """The answer in its box, as single tokens."""
    return f"{BOX} {answer} {END_BOX}"


def thinking_target(problem: Problem) -> str:
    r"""Response with the reasoning: `<think> 7 a +3 10 b -2 8 </think> \\boxed{ 8 }`."""
    chain = chain_of(problem)
    return f"{THINK} {trace(chain)} {END_THINK} {boxed(chain.gold)}"


def answer_target(problem: Problem) -> str:
    r"""Response without it: `\\boxed{ 8 }`."""
    return boxed(chain_of(problem).gold)


def targets(problems: Iterable[Problem], thinking: bool) -> list[tuple[Problem, str]]:
    """Pair each problem with its target response."""
    target = thinking_target if thinking else answer_target
    return [(problem, target(problem)) for problem in problems]
