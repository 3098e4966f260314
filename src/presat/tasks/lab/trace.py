"""The symbolic check of a lab response: is its reasoning a derivation of its answer?

The labels are the paper's (appendix F): *aligned*, *partial*, *misaligned*, whatever the correctness of the answer. A
valid trace is an aligned one: the problem's operands in their order, every total right, the answer equal to the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from presat.tasks.lab.chains import LABELS, chain_of
from presat.tasks.lab.solutions import BOX, END_BOX, END_THINK, THINK
from presat.types import Problem

Label = Literal["aligned", "partial", "misaligned"]


@dataclass(frozen=True, slots=True)
class TraceVerdict:
    """What the check found.

    Attributes:
        label: `aligned`: every step sound and leading to the answer; `partial`: the trace leads to the answer and at
            least half of its steps are sound; `misaligned`: the answer is not the trace's last total, or the trace is
            not a derivation of this problem at all.
        reasons: what is wrong, in words, first fault first; empty when aligned.
        sound_steps: steps that take the problem's operand in its place and add it rightly to the total before.
        steps: steps of the problem.
        answer: the boxed answer, None when there is none.
    """

    label: Label
    reasons: tuple[str, ...]
    sound_steps: int
    steps: int
    answer: str | None

    @property
    def valid(self) -> bool:
        """True when every step is right, in order, and the answer is the last total."""
        return self.label == "aligned"

    @property
    def score(self) -> float:
        """The label as the paper's appendix F counts it: 1, 1/2 or 0."""
        return {"aligned": 1.0, "partial": 0.5, "misaligned": 0.0}[self.label]


def trace_is_valid(problem: Problem, text: str) -> bool:
    """True when the response's reasoning derives its answer without a fault."""
    return check_trace(problem, text).valid


def check_trace(problem: Problem, text: str) -> TraceVerdict:
    """Check the reasoning in `text`, a response to the lab problem `problem`."""
    chain = chain_of(problem)
    reasoning, answer = _split(text.split())
    steps = len(chain.operands)
    if reasoning is None:
        return TraceVerdict("misaligned", ("no reasoning between <think> and </think>",), 0, steps, answer)
    reasons: list[str] = []
    if reasoning[:1] != [str(chain.start)]:
        reasons.append(f"starts from {reasoning[0] if reasoning else 'nothing'} instead of {chain.start}")
    sound = 0
    total = _value(reasoning[0]) if reasoning else None
    for index, operand in enumerate(chain.operands):
        step = reasoning[1 + 3 * index : 4 + 3 * index]
        fault = _step_fault(step, LABELS[index], operand, total)
        if fault:
            reasons.append(f"step {LABELS[index]}: {fault}")
        else:
            sound += 1
        total = _value(step[2]) if len(step) == 3 else None
    if len(reasoning) > 1 + 3 * steps:
        reasons.append("goes on after the last operand")
    last = reasoning[-1] if reasoning else None
    if answer is None:
        reasons.append("no boxed answer")
    elif answer != last:
        reasons.append(f"answers {answer} where the trace ends in {last}")
    if not reasons:
        return TraceVerdict("aligned", (), sound, steps, answer)
    leads_there = answer is not None and answer == last and 2 * sound >= steps
    return TraceVerdict("partial" if leads_there else "misaligned", tuple(reasons), sound, steps, answer)


def _split(tokens: list[str]) -> tuple[list[str] | None, str | None]:
    """Return the reasoning's tokens (None without a closed `<think>`) and the boxed answer after it."""
    reasoning, rest = None, tokens
    if tokens[:1] == [THINK] and END_THINK in tokens:
        end = tokens.index(END_THINK)
        reasoning, rest = tokens[1:end], tokens[end + 1 :]
    answer = None
    for index in range(len(rest) - 2):
        if rest[index] == BOX and rest[index + 2] == END_BOX:
            answer = rest[index + 1]
    return reasoning, answer


def _step_fault(step: list[str], label: str, operand: int, before: int | None) -> str | None:
    """What is wrong with one `label operand total` step; None when nothing is."""
    if len(step) < 3:
        return "missing"
    if step[0] != label:
        return f"labelled {step[0]}"
    if step[1] != f"{operand:+d}":
        return f"uses {step[1]} instead of {operand:+d}"
    if before is None or _value(step[2]) != before + operand:
        return f"{before} {operand:+d} is not {step[2]}"
    return None


def _value(token: str) -> int | None:
    """The number a total's token stands for; None for any other token."""
    return int(token) if token.isascii() and token.isdigit() else None
