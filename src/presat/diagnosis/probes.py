"""What a policy is asked about a response, and what its log-probabilities come to: the quantities of `self_support`.

q is the prompt, r the reasoning, a the answer. Every probe is a way on from the response's own text, so that one
reading of it serves them all (`presat.rollouts.scoring`). Logarithms are natural; means are over an answer's tokens.

The True Thinking Score (arXiv:2510.24941) of a step is the mean of two effects on the probability of the answer when it
is asked for right after the step: of changing the step's number where all before it is as it was, and where it is
changed too. A step without a number is left out instead of changed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from presat.config.schema import SelfSupportConfig
from presat.diagnosis.spans import Parts, Span
from presat.rollouts.scoring import Branch, Scored, Tree

LEAST = -1000.0
"""Where a token's log-probability is lower, it is taken for this: differences of two infinities are no numbers."""


@dataclass
class Plan:
    """The trees of one response, and which branch of them is which probe.

    Attributes:
        prompt: the prompt's tokens.
        parts: the response.
        names: of each tree, its branches' names.
        trees: the trees; the first has the response as its trunk.
    """

    prompt: tuple[int, ...]
    parts: Parts
    names: list[list[str]] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """Tokens that are read for it."""
        return sum(tree.places for tree in self.trees)


def plan(
    prompt: tuple[int, ...],
    parts: Parts,
    settings: SelfSupportConfig,
    rng: random.Random,
    others: Sequence[tuple[int, ...]] = (),
    traces: Mapping[str, tuple[int, ...]] | None = None,
) -> Plan:
    """Say what to ask about a response.

    Args:
        prompt: the prompt's tokens.
        parts: the response.
        settings: which probes.
        rng: decides what is changed.
        others: the other answers to the prompt, as tokens.
        traces: traces that stand in for the response's own, by the name of the quantity.
    """
    made, trace, count = Plan(prompt, parts), parts.trace, len(prompt)
    ways: dict[str, Branch] = {}

    def ask(at: int, before: tuple[int, ...], answer: tuple[int, ...], cue_at: int | None = None) -> Branch:
        lead = (*before, *parts.cue(at if cue_at is None else cue_at))
        return Branch(count + at, (*lead, *answer), len(lead))

    for share in settings.fractions:
        at = trace.start + round(share * (trace.end - trace.start))
        ways[f"at_{share:g}"] = ask(at, (), parts.answer_ids)
    if settings.contrast:
        for number, other in enumerate(others):
            ways[f"answer_{number}"] = ask(trace.end, (), other)
    if settings.corrupted:
        with_numbers = [step for step in parts.steps if parts.numbers(step)]
        if with_numbers:
            step = rng.choice(with_numbers)
            changed = parts.corrupted(step, rng) or ()
            rest = parts.text.ids[step.end : trace.end]
            ways["changed"] = ask(step.start, (*changed, *rest), parts.answer_ids, trace.end)
    for name, other in (traces or {}).items():
        ways[name] = ask(trace.start, other, parts.answer_ids, trace.end)
    if settings.true_thinking:
        _true_thinking(made, ways, ask, rng)
    trunk = (*prompt, *parts.text.ids[: trace.end])
    made.trees.insert(0, Tree(trunk, tuple(ways.values()), count + trace.start if count + trace.start else 1))
    made.names.insert(0, list(ways))
    return made


def _true_thinking(made: Plan, ways: dict[str, Branch], ask: Callable[..., Branch], rng: random.Random) -> None:
    """Add the four probes of each step: step kept or changed (1, 0) after a context kept or changed."""
    parts, context = made.parts, (*made.prompt, *made.parts.text.ids[: made.parts.trace.start])
    others: dict[str, Branch] = {}
    for number, step in enumerate(parts.steps):
        own, changed = parts.text.ids[step.start : step.end], parts.corrupted(step, rng) or ()
        lead = parts.cue(step.end)
        ways[f"step_{number}_11"] = ask(step.end, (), parts.answer_ids)
        ways[f"step_{number}_10"] = ask(step.start, changed, parts.answer_ids, step.end)
        for kept, tokens in ((1, own), (0, changed)):
            way = (*tokens, *lead, *parts.answer_ids)
            others[f"step_{number}_0{kept}"] = Branch(len(context), way, len(tokens) + len(lead))
        context = (*context, *changed)
    made.trees.append(Tree(context, tuple(others.values())))
    made.names.append(list(others))


def quantities(made: Plan, scored: Sequence[Scored], shares: Sequence[float]) -> dict[str, float]:
    """What the log-probabilities say of a response, by the names of `docs/judges.md`.

    Args:
        made: what was asked.
        scored: the answers to it.
        shares: the fractions of the trace that were asked about.
    """
    found = {
        name: [max(value, LEAST) for value in values]
        for names, item in zip(made.names, scored, strict=True)
        for name, values in zip(names, item.branches, strict=True)
    }
    mean = {name: math.fsum(values) / len(values) for name, values in found.items()}
    ways = [mean[f"at_{share:g}"] for share in shares]
    details = {"without": ways[0], "with": ways[-1], "support": ways[-1] - ways[0]}
    details |= {f"with/{share:g}": value for share, value in zip(shares, ways, strict=True) if 0 < share < 1}
    if ways[-1] > ways[0]:
        half = (ways[0] + ways[-1]) / 2
        below = [index for index, value in enumerate(ways) if value < half]
        details["certain_at"] = shares[below[-1] + 1]
    others = [math.fsum(values) for name, values in found.items() if name.startswith("answer_")]
    if others:
        own = math.fsum(found["at_1"])
        most = max(own, *others)
        details["contrast"] = own - most - math.log(math.fsum(math.exp(value - most) for value in (own, *others)))
    details |= {name: ways[-1] - mean[name] for name in ("changed", "other_trace", "other_problem") if name in mean}
    details |= _of_trace(made, [max(value, LEAST) for value in scored[0].trunk])
    steps = [name.removesuffix("_11") for name in found if name.endswith("_11")]
    if steps:
        scores = [_effect(mean, step) for step in steps]
        details["true_thinking"] = math.fsum(scores) / len(scores)
        details |= {f"true_thinking/{number}": score for number, score in enumerate(scores, 1)}
    return details


def _of_trace(made: Plan, values: Sequence[float]) -> dict[str, float]:
    """How likely the trace is to the policy: all of it, its least likely step and its least likely number."""
    parts, first = made.parts, made.parts.trace.start
    steps = [_mean(values, step, first) for step in parts.steps]
    numbers = [values[place - first] for span in parts.numbers(parts.trace) for place in range(*span)]
    found = {"trace": math.fsum(values) / len(values), "weakest_step": min(steps)}
    return found | ({"weakest_number": min(numbers), "numbers": math.fsum(numbers) / len(numbers)} if numbers else {})


def _mean(values: Sequence[float], span: Span, first: int) -> float:
    return math.fsum(values[span.start - first : span.end - first]) / (span.end - span.start)


def _effect(mean: Mapping[str, float], step: str) -> float:
    """The True Thinking Score of a step."""
    p = {kind: math.exp(mean[f"{step}_{kind}"]) for kind in ("11", "10", "01", "00")}
    return (abs(p["11"] - p["10"]) + abs(p["01"] - p["00"])) / 2
