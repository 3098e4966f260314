"""`presat data filter` and `presat data corrupt`: what can only be known by sampling the model to be trained.

The model-aware filter (section 2) and noisy rewards (section 3).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from presat.config.schema import CorruptConfig, FilterConfig
from presat.errors import DataError
from presat.evaluation.solve import Samples, open_sampler
from presat.metrics import avg_at_k
from presat.tasks import save_problems
from presat.tasks.inputs import inputs_of
from presat.tasks.noise import (
    corrupted,
    corruption_order,
    keep_original,
    refuse_corrupted,
    with_noise_note,
    wrong_labels,
)
from presat.tasks.saving import problems_maker
from presat.tasks.subsets import with_solve_count
from presat.types import Problem
from presat.verify import Verifier
from presat.verify.equivalence import equivalence_classes

FILTERED, CORRUPTED = problems_maker("presat data filter"), problems_maker("presat data corrupt")


@dataclass(frozen=True)
class Filtered:
    """What `run_filter` found.

    Attributes:
        out: the file written.
        problems: problems sampled.
        kept: of these, how many were kept.
        never: how many were never solved, of those of which a response could be judged.
        always: how many were always solved.
        outside: how many were solved sometimes, but outside the bounds asked for.
        unjudged: how many had no response that could be judged; they are not kept, and solved nobody knows how often.
        too_long: problems left out because their prompt is too long.
        missing: share of responses nobody could judge (they count as not right).
        histogram: how many problems were solved 0, 1, ..., k times, the unjudged left out.
    """

    out: str
    problems: int
    kept: int
    never: int
    always: int
    outside: int
    unjudged: int
    too_long: int
    missing: float
    histogram: list[int]

    def to_json(self) -> dict[str, Any]:
        """The findings as plain data."""
        return asdict(self)


def run_filter(config: FilterConfig, quiet: bool = False) -> Filtered:
    """Sample every problem, write those solved often enough but not too often, with their counts, to `config.out`.

    Args:
        config: the resolved configuration.
        quiet: show no progress line.

    Raises:
        ConfigError: `config.out` is an input, or is there and not a filter's.
        DataError: no problem is left.
        DataError, ModelError, RunError: as `open_sampler`.
    """
    inputs = inputs_of(config.data)
    maker = FILTERED.using(config.model_dump(mode="json"))
    maker.check([config.out], inputs)
    k = config.samples
    highest = k - 1 if config.highest is None else config.highest
    with open_sampler(config, "data filter", quiet) as sampler:
        drawn = list(zip(sampler.problems, sampler.draw(sampler.problems), strict=True))
        judged = [(problem, samples.right) for problem, samples in drawn if samples.judged]
        kept = [
            with_solve_count(problem, count, k, config.model.name, config.verify.extraction)
            for problem, count in judged
            if config.lowest <= count <= highest
        ]
        values_PG = [samples.values_G for _, samples in drawn]
        tally = Counter(count for _, count in judged)
        never, always, unjudged = tally[0], tally[k], len(drawn) - len(judged)
        sampler.writer.append(0, {"data/problems": len(drawn), "data/kept": len(kept), "data/never": never,
                                  "data/always": always, "data/unjudged": unjudged, "data/too_long": sampler.too_long,
                                  f"eval/{config.data.label()}/avg@{k}": avg_at_k(values_PG)})  # fmt: skip
        if not kept:
            unknown = f", of {unjudged} no response could be judged" if unjudged else ""
            raise DataError(
                f"None of {len(drawn)} problems is solved {config.lowest} to {highest} times out of {k}: {never} are "
                f"never and {always} always solved{unknown}. Take easier or harder problems, or more samples."
            )
        ends = sum(tally[count] for count in (0, k) if not config.lowest <= count <= highest)
        return Filtered(
            out=str(save_problems(kept, config.out, maker, inputs)),
            problems=len(drawn),
            kept=len(kept),
            never=never,
            always=always,
            outside=len(judged) - len(kept) - ends,
            unjudged=unjudged,
            too_long=sampler.too_long,
            missing=sum(row.count(None) for row in values_PG) / (k * len(values_PG)),
            histogram=[tally[count] for count in range(k + 1)],
        )


@dataclass(frozen=True)
class Corrupted:
    """What `run_corrupt` did.

    Attributes:
        out: the file written.
        problems: problems written.
        corrupted: how many carry a wrong label now.
        gamma: their share: the achieved gamma.
        asked: the gamma asked for.
        incorruptible: ids of the problems that were drawn and have no label to corrupt them with.
        second_choice: labels that are not the most frequent incorrect answer, because that one does not work as a
            label (see `usable_label`).
        too_long: problems left out because their prompt is too long.
    """

    out: str
    problems: int
    corrupted: int
    gamma: float
    asked: float
    incorruptible: list[str]
    second_choice: int
    too_long: int

    def to_json(self) -> dict[str, Any]:
        """The findings as plain data."""
        return asdict(self)


def run_corrupt(config: CorruptConfig, quiet: bool = False) -> Corrupted:
    """Replace the gold answers of a `gamma` share of the problems by wrong ones and write all to `config.out`.

    Problems are drawn in an order that depends on the seed alone, and one that cannot be corrupted is passed over: the
    problems corrupted at a lower gamma are corrupted, with the same labels, at a higher one. Only as many are sampled
    as are needed.

    Args:
        config: the resolved configuration.
        quiet: show no progress line.

    Raises:
        ConfigError: `config.out` is an input, or is there and not of this make.
        DataError: the labels are corrupted already.
        DataError, ModelError, RunError: as `open_sampler`.
    """
    inputs = inputs_of(config.data)
    maker = CORRUPTED.using(config.model_dump(mode="json"))
    maker.check([config.out], inputs)
    with open_sampler(config, "data corrupt", quiet) as sampler:
        refuse_corrupted(sampler.problems)
        order = corruption_order(len(sampler.problems), config.seed)
        wanted = round(config.gamma * len(order))
        labels: dict[int, str] = {}
        incorruptible: list[str] = []
        second = 0
        for place, index in enumerate(order):
            if len(labels) == wanted:
                break
            if place % config.chunk == 0:  # drawn side by side, asked for one by one below
                sampler.draw([sampler.problems[index] for index in order[place : place + config.chunk]])
            (samples,) = sampler.draw([sampler.problems[index]])
            label, rank = usable_label(samples, sampler.problems[index], sampler.verifier)
            if label is None:
                incorruptible.append(sampler.problems[index].id)
            else:
                labels[index] = label
                second += rank > 0
        noisy = [
            corrupted(problem, labels[index]) if index in labels else keep_original(problem)
            for index, problem in enumerate(sampler.problems)
        ]
        noisy = [with_noise_note(p, config.samples, config.model.name, config.verify.extraction) for p in noisy]
        achieved = len(labels) / len(noisy)
        sampler.writer.append(0, {"data/problems": len(noisy), "data/corrupted": len(labels), "data/gamma": achieved,
                                  "data/incorruptible": len(incorruptible)})  # fmt: skip
        out = str(save_problems(noisy, config.out, maker, inputs))
        return Corrupted(out, len(noisy), len(labels), achieved, config.gamma, incorruptible, second, sampler.too_long)


def usable_label(samples: Samples, problem: Problem, verifier: Verifier) -> tuple[str | None, int]:
    """The most frequent incorrect answer that works as a label, and how many more frequent ones do not.

    A label works when it accepts itself (else nothing earns the reward), rejects the true answer (else it is no noise:
    Quantum Lock's scorer accepts every shortest way under a label of the same length) and rejects an answer that says
    nothing (else everything of its kind is right: to that scorer all labels and answers without a button are equal).
    """
    classes = equivalence_classes(samples.answers_G, problem.verifier, verifier)
    for rank, label in enumerate(wrong_labels(samples.answers_G, samples.values_G, classes)):
        relabelled = corrupted(problem, label)
        pairs = [(relabelled, f"\\boxed{{{answer}}}") for answer in (label, problem.gold, "?")]
        if [score.value for score in verifier.score_many(pairs)] == [1.0, 0.0, 0.0]:
            return label, rank
    return None, 0
