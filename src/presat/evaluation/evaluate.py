"""Evaluation through our own engine: avg@k, pass@k, maj@k, greedy accuracy, and for the lab the share of valid traces.

Problem i of a set always gets the same random numbers (a function of the seed and i), at every step and in every
process: two evaluations differ by what the model does, not by the draw, and `presat eval` on a checkpoint repeats the
number its training logged.

A response that could not be judged is left out, and a problem with too few of the others for a metric is left out of
it (`presat.metrics.accuracy`). `missing` is the share of such responses, `unjudged_problems` how many problems are
left out of pass@k with the largest k (of avg@k, where there are too few samples for any pass@k). Of the `problems`,
`judged_problems` have a judged response, and `unlabelled_problems` cannot have one: they have no gold answer.

maj@k votes as the majority-vote reward does: equivalent answers are one, ties go to the answer that appeared first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from presat.metrics import avg_at_k, maj_at_k, mean_pass_at_k, too_few_judged
from presat.metrics import greedy as greedy_accuracy
from presat.rollouts import seed_for
from presat.tasks.cells import sound_problems
from presat.tasks.rows import is_labelled
from presat.types import Engine, Problem, RolloutGroup, Sampling, Score
from presat.verify.equivalence import judged_classes
from presat.verify.groups import judged_early, score_groups

if TYPE_CHECKING:
    from presat.verify import Verifier

PASS_K = (4, 8, 16)

Gather = Callable[[list[Any]], list[Any]]
"""Collects a list over all processes, in process order."""
Draw = Callable[[str, Sequence[Problem], int, Sampling, Sequence[int]], tuple[list[RolloutGroup], list[list[Score]]]]
"""Draws and judges: `sampled` or `greedy`, and the arguments of `Engine.generate`; returns groups and scores_PG."""


class Evaluation(NamedTuple):
    """What one evaluation of one set found. P problems, G samples each.

    Attributes:
        metrics: by name, without the `eval/SET/` prefix; None where a number is not defined.
        groups: the responses.
        scores_PG: the verdicts.
        extra_PG: further columns for the rollout store (`valid_trace` for lab problems).
        greedy_P: the value of each problem's greedy response; None where missing or not decoded.
        classes_PG: for each response which of its problem's answers it gives, equivalent ones being one; None for none.
    """

    metrics: dict[str, float | None]
    groups: list[RolloutGroup]
    scores_PG: list[list[Score]]
    extra_PG: dict[str, list[list[bool]]]
    greedy_P: list[float | None]
    classes_PG: list[list[int | None]]


@dataclass(frozen=True, slots=True)
class _Record:
    """One problem, sampled and judged."""

    index: int
    group: RolloutGroup
    scores_G: list[Score]
    classes_G: list[int | None]
    greedy: Score | None


def evaluate_problems(
    engine: Engine,
    verifier: Verifier,
    problems: Sequence[Problem],
    samples: int,
    sampling: Sampling,
    seed: int,
    greedy: bool = True,
    share: tuple[int, int] = (0, 1),
    gather: Gather | None = None,
    draw: Draw | None = None,
) -> Evaluation:
    """Sample `samples` responses a problem, judge them and summarise.

    Args:
        engine: draws the responses.
        verifier: judges them.
        problems: the set.
        samples: k of avg@k.
        sampling: temperature and lengths; greedy decoding uses the same lengths.
        seed: problem i is drawn with a seed that is a function of `seed` and i.
        greedy: also decode each problem once greedily.
        share: (process, processes): this process takes every processes-th problem.
        gather: collects the records of all processes.
        draw: draws with the engine and judges; all at once when None.

    Raises:
        DataError: a problem with a text that is none (see `sound_problems`).
    """
    sound_problems(problems)
    mine = range(share[0], len(problems), share[1])
    draw = draw or _at_once(engine, verifier)
    records = _judge(draw, verifier, [problems[i] for i in mine], list(mine), samples, sampling, seed, greedy)
    if gather is not None:
        records = sorted(gather(records), key=lambda record: record.index)
    return summarise(records)


def _at_once(engine: Engine, verifier: Verifier) -> Draw:
    def draw(
        _: str, problems: Sequence[Problem], samples: int, sampling: Sampling, seeds: Sequence[int]
    ) -> tuple[list[RolloutGroup], list[list[Score]]]:
        with judged_early(verifier, engine, problems):
            groups = engine.generate(problems, samples, sampling, seeds)
        return groups, score_groups(verifier, groups)

    return draw


def _judge(
    draw: Draw,
    verifier: Verifier,
    problems: list[Problem],
    indices: list[int],
    samples: int,
    sampling: Sampling,
    seed: int,
    greedy: bool,
) -> list[_Record]:
    seeds = [seed_for(seed, "eval", i) for i in indices]
    groups, scores_PG = draw("sampled", problems, samples, sampling, seeds)
    classes_PG = [
        judged_classes(scores, group.problem.verifier, verifier)
        for group, scores in zip(groups, scores_PG, strict=True)
    ]
    once: list[Score | None] = [None] * len(problems)
    if greedy:
        likeliest = Sampling(0.0, sampling.max_new_tokens, sampling.max_prompt_tokens)
        once = [row[0] for row in draw("greedy", problems, 1, likeliest, seeds)[1]]
    return [_Record(*row) for row in zip(indices, groups, scores_PG, classes_PG, once, strict=True)]


def summarise(records: Sequence[_Record]) -> Evaluation:
    """Return the metrics of judged records, with the responses they come from."""
    groups = [record.group for record in records]
    scores_PG = [record.scores_G for record in records]
    values_PG = [[score.value for score in row] for row in scores_PG]
    classes_PG = [record.classes_G for record in records]
    greedy_P = [record.greedy.value if record.greedy else None for record in records]
    flat = [value for row in values_PG for value in row]
    k = len(values_PG[0]) if values_PG else 0
    metrics: dict[str, float | None] = {f"avg@{k}": avg_at_k(values_PG)}
    pass_k = [n for n in PASS_K if n <= k]
    metrics.update({f"pass@{n}": mean_pass_at_k(values_PG, n) for n in pass_k})
    metrics[f"maj@{k}"] = maj_at_k(classes_PG, values_PG, ties="first")
    if records and records[0].greedy is not None:
        metrics["greedy"] = greedy_accuracy(greedy_P)
    metrics["missing"] = sum(value is None for value in flat) / len(flat) if flat else None
    metrics["problems"] = float(len(groups))
    metrics["judged_problems"] = float(len(groups) - too_few_judged(values_PG, 1))
    metrics["unlabelled_problems"] = float(sum(not is_labelled(group.problem) for group in groups))
    metrics["unjudged_problems"] = float(too_few_judged(values_PG, max(pass_k, default=1)))
    metrics["length"] = _mean([len(c.token_ids) for group in groups for c in group.completions])
    metrics["finished"] = _mean([c.finished for group in groups for c in group.completions])
    extra_PG = {}
    if groups and all(group.problem.domain == "lab" for group in groups):
        extra_PG["valid_trace"] = valid_traces(groups)
        metrics.update(_trace_metrics(extra_PG["valid_trace"], values_PG))
    return Evaluation(metrics, groups, scores_PG, extra_PG, greedy_P, classes_PG)


def valid_traces(groups: Sequence[RolloutGroup]) -> list[list[bool]]:
    """Check the reasoning of lab responses symbolically; returns valid_PG."""
    from presat.tasks.lab import trace_is_valid

    return [[trace_is_valid(group.problem, c.text) for c in group.completions] for group in groups]


def _trace_metrics(valid_PG: list[list[bool]], values_PG: list[list[float | None]]) -> dict[str, float | None]:
    """Share of valid traces, over all responses and over the right ones (None without a right one)."""
    pairs = [pair for row in zip(valid_PG, values_PG, strict=True) for pair in zip(*row, strict=True)]
    return {
        "valid_trace": _mean([valid for valid, _ in pairs]),
        "valid_given_right": _mean([valid for valid, value in pairs if value == 1.0]),
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
