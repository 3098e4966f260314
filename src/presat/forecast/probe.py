"""One pass of draws over some of the problems, before any training: what every quantity of a check is read from.

Prompts are drawn in a random order that depends on the seed alone, so those that are there are a fair sample at any
moment: a pass may be cut short by the clock, or because nothing would change any more.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from presat.config.schema import CheckConfig
from presat.config.schema.check import LEAST_PROMPTS
from presat.evaluation.chunks import Chunks
from presat.rewards.certainty import Statistic
from presat.rollouts import seed_for
from presat.rollouts.batching import BatchEngine
from presat.tasks.turns import asked_in
from presat.tracking.pace import duration
from presat.tracking.progress import Progress
from presat.types import Completion, Problem, RolloutGroup, Sampling, Score
from presat.verify import Verifier
from presat.verify.equivalence import judged_classes

LOG = logging.getLogger("presat")
SPLIT = "probe"
"""Folder of the draws below `rollouts`."""
AT_ONCE = 8
"""Prompts between two saves, and between two looks at whether the answer is clear."""
TRIED = 8
"""Tokens of the trial that says beforehand how long a prompt can take."""
LONG_S = 600.0
"""Seconds from which on a pass is long enough to say so beforehand."""
SURPRISE = "surprise"
"""Mean of -log p over the tokens that were drawn, in nats: at temperature 1 the policy's entropy a token, unbiased."""
CERTAINTY = "self_certainty"
Found = tuple[RolloutGroup, list[Score]]
"""A group and the verdicts on its responses."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One prompt with its responses.

    Attributes:
        group: the prompt and G responses.
        scores_G: their verdicts.
        classes_G: which of the prompt's answers each gives, equivalent ones being one; None for none.
    """

    group: RolloutGroup
    scores_G: list[Score]
    classes_G: list[int | None]

    @property
    def values_G(self) -> list[float | None]:  # noqa: N802 (G responses)
        """1 right, 0 wrong, None missing."""
        return [score.value for score in self.scores_G]

    @property
    def asked(self) -> str:
        """What the user said."""
        return asked_in(self.group.problem.messages)


@dataclass(frozen=True, slots=True)
class Probe:
    """A pass of draws.

    Attributes:
        drawn: the prompts that were drawn, in the order they were.
        wanted: how many were wanted.
        seconds: what drawing, verifying and saving a response took here; None where all of them were there already.
        stopped: why not all were drawn; empty where they were.
    """

    drawn: list[Drawn]
    wanted: int
    seconds: float | None = None
    stopped: str = ""


def choose_prompts(problems: Sequence[Problem], count: int, seed: int) -> list[Problem]:
    """Choose problems at random, each question once; another count takes more or fewer of the same order."""
    once = list({problem.messages[-1]["content"]: problem for problem in reversed(problems)}.values())[::-1]
    return random.Random(f"check/{seed}").sample(once, min(count, len(once)))


def measured_by(engine: BatchEngine, certainty: bool) -> Callable[[list[RolloutGroup]], list[RolloutGroup]]:
    """Return what adds the statistics of a check to responses: entropy, and self-certainty where it is asked for."""
    scorer: Any = None
    if certainty and engine.model is not None:
        from presat.rewards.policy import PolicyScorer

        scorer = PolicyScorer(engine.model)

    def measure(groups: list[RolloutGroup]) -> list[RolloutGroup]:
        known = [
            replace(group, completions=tuple(replace(c, stats={**c.stats, **_surprise(c)}) for c in group.completions))
            for group in groups
        ]
        return scorer(known, [Statistic(CERTAINTY)]) if scorer else known

    return measure


def _surprise(response: Completion) -> dict[str, float]:
    known = response.logprobs
    return {SURPRISE: -math.fsum(known) / len(known)} if known else {}


def draw_probe(
    config: CheckConfig,
    engine: BatchEngine,
    verifier: Verifier,
    problems: Sequence[Problem],
    chunks: Chunks,
    known: dict[int, Found],
    progress: Progress,
    is_clear: Callable[[list[Drawn]], bool],
) -> Probe:
    """Draw what is not on the disk yet, until all is drawn, the time is over, or nothing would change.

    Args:
        config: the verb's settings.
        engine: draws.
        verifier: judges.
        problems: the prompts wanted, in their order.
        chunks: where new draws go.
        known: the draws that are there, by the seed of their group.
        progress: is told how far it is.
        is_clear: whether the draws so far say all there is to say; not asked before `LEAST_PROMPTS` are drawn.
    """
    seeds = {problem.id: seed_for(config.seed, "check", problem.id) for problem in problems}
    draw = _drawer(config, engine, verifier, chunks, known, seeds)
    drawn: list[Drawn] = []
    spent, new, stopped = 0.0, 0, ""
    while len(drawn) < len(problems) and not stopped:
        part = problems[len(drawn) : len(drawn) + AT_ONCE - len(drawn) % AT_ONCE]
        fresh = [problem for problem in part if seeds[problem.id] not in known]
        if fresh:
            pace = spent / new if new else _longest(config, engine, fresh, [seeds[p.id] for p in fresh], problems)
            most = _most(config, pace, spent)
            if not most and drawn:
                stopped = f"the next one would have gone over {config.minutes:g} minutes (`minutes`)"
                break
            fresh = fresh[: max(1, most)]
            part = part[: part.index(fresh[-1]) + 1]
        began = time.monotonic()
        found = draw(part, fresh)
        if fresh:
            spent, new = spent + time.monotonic() - began, new + len(fresh)
            if new == len(fresh) and config.minutes is None:
                _foresee(spent / new * len(problems), len(problems), new)
        for problem, (group, scores) in zip(part, found, strict=True):
            classes = judged_classes(scores, problem.verifier, verifier)
            drawn.append(Drawn(replace(group, problem=problem), scores, classes))
        progress.tell(len(drawn) * config.samples, "")
        whole = len(drawn) % AT_ONCE == 0 and LEAST_PROMPTS <= len(drawn) < len(problems)
        if config.until_clear and whole and is_clear(drawn):
            stopped = "no verdict would change any more (`until_clear`)"
    return Probe(drawn, len(problems), spent / (new * config.samples) if new else None, stopped)


def _most(config: CheckConfig, pace: float | None, spent: float) -> int:
    """How many prompts may be drawn at once: as many as fit into the time that is left."""
    if config.minutes is None or pace is None:
        return AT_ONCE
    return max(0, min(AT_ONCE, int((60 * config.minutes - spent) / max(pace, 1e-9))))


def _longest(
    config: CheckConfig,
    engine: BatchEngine,
    fresh: Sequence[Problem],
    seeds: Sequence[int],
    problems: Sequence[Problem],
) -> float | None:
    """Return the most seconds a prompt can take, from a trial of a few tokens; None where responses are short."""
    if config.max_new_tokens < 8 * TRIED:
        return None
    took = []
    room = config.max_prompt_tokens + config.max_new_tokens  # kept, for vLLM is started for it
    for length in (1, 1, 1 + TRIED):  # the first one warms up
        began = time.monotonic()
        engine.generate(fresh, config.samples, Sampling(config.temperature, length, room - length), seeds)
        took.append(time.monotonic() - began)
    token = max(0.0, took[2] - took[1]) / TRIED
    pace = (took[1] + token * config.max_new_tokens) / len(fresh)
    told = {"samples": config.samples, "length": config.max_new_tokens, "prompt": duration(pace)}
    if config.minutes is None and pace * len(problems) > LONG_S:
        LOG.warning(
            "Drawing for all %(prompts)d prompts takes up to %(all)s here, if every response runs to %(length)d "
            "tokens. --minutes M draws for fewer.",
            {**told, "prompts": len(problems), "all": duration(pace * len(problems))},
        )
    elif config.minutes is not None and pace > 60 * config.minutes:
        LOG.warning(
            "The %(samples)d responses to one prompt may take up to %(prompt)s here, if they run to %(length)d tokens: "
            "more than `minutes`. One is drawn all the same; lower `max_new_tokens` or `samples`.",
            told,
        )
    return pace


def _foresee(seconds: float, prompts: int, new: int) -> None:
    """Say how long a long pass will take, as soon as that is known."""
    if seconds > LONG_S:
        said = "At the pace of the first %d, drawing for all %d prompts takes about %s. --minutes M draws for fewer."
        LOG.warning(said, new, prompts, duration(seconds))


def _sampling(config: CheckConfig) -> Sampling:
    return Sampling(config.temperature, config.max_new_tokens, config.max_prompt_tokens)


def _drawer(
    config: CheckConfig,
    engine: BatchEngine,
    verifier: Verifier,
    chunks: Chunks,
    known: dict[int, Found],
    seeds: Mapping[str, int],
) -> Callable[[Sequence[Problem], Sequence[Problem]], list[Found]]:
    """Return what draws some problems, saves them, and returns them with those that were there."""
    measure = measured_by(engine, config.certainty)

    def draw(part: Sequence[Problem], fresh: Sequence[Problem]) -> list[Found]:
        given = [seeds[problem.id] for problem in fresh]
        drawn = chunks.draw(engine, verifier, fresh, config.samples, _sampling(config), given, AT_ONCE, measure)
        new = {
            group.seed: (group, scores)
            for groups, scores_PG in drawn
            for group, scores in zip(groups, scores_PG, strict=True)
        }
        return [known.get(seeds[problem.id]) or new[seeds[problem.id]] for problem in part]

    return draw
