"""One pass of draws over some of the problems, before any training: what every quantity of a check is read from.

Prompts are drawn in a random order that depends on the seed alone, so those that are there are a fair sample at any
moment: a pass may be cut short by the clock, or because nothing would change any more.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
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
LONG_S = 600.0
"""Seconds from which on a pass is long enough to say so beforehand."""
SURPRISE = "surprise"
"""Mean of -log p over the tokens that were drawn, in nats: at temperature 1 the policy's entropy a token, unbiased."""
CERTAINTY = "self_certainty"


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
        seconds: what drawing a response took here, alone; None where all of them were there already.
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
    progress: Progress,
    is_clear: Callable[[list[Drawn]], bool],
) -> Probe:
    """Draw what is not on the disk yet, until all is drawn, the time is over, or nothing would change.

    Args:
        config: the verb's settings.
        engine: draws.
        verifier: judges.
        problems: the prompts wanted, in their order.
        chunks: where the draws are.
        progress: is told how far it is.
        is_clear: whether the draws so far say all there is to say; not asked before `LEAST_PROMPTS` are drawn.
    """
    known, drawn = chunks.saved(), []
    began, new, stopped = time.monotonic(), 0, ""
    for problem, found in _pass(config, engine, verifier, problems, chunks, known):
        group, scores = found
        drawn.append(Drawn(replace(group, problem=problem), scores, judged_classes(scores, problem.verifier, verifier)))
        new += group.seed not in known
        progress.tell(len(drawn) * config.samples, "")
        if len(drawn) % AT_ONCE or len(drawn) == len(problems):
            continue
        spent = (time.monotonic() - began) / 60
        if new == AT_ONCE and config.minutes is None:
            _foresee(60 * spent / new * len(problems), len(problems))
        if config.minutes is not None and spent + spent / max(1, new) * AT_ONCE > config.minutes:
            stopped = f"the next {AT_ONCE} would have gone over {config.minutes:g} minutes (`minutes`)"
        elif config.until_clear and len(drawn) >= LEAST_PROMPTS and is_clear(drawn):
            stopped = "no verdict would change any more (`until_clear`)"
        if stopped:
            break
    took = time.monotonic() - began
    return Probe(drawn, len(problems), took / (new * config.samples) if new else None, stopped)


def _foresee(seconds: float, prompts: int) -> None:
    """Say how long a long pass will take, as soon as that is known."""
    if seconds > LONG_S:
        said = "At the pace of the first %d, drawing for all %d prompts takes about %s. --minutes M draws for fewer."
        LOG.warning(said, AT_ONCE, prompts, duration(seconds))


def _pass(
    config: CheckConfig,
    engine: BatchEngine,
    verifier: Verifier,
    problems: Sequence[Problem],
    chunks: Chunks,
    known: dict[int, tuple[RolloutGroup, list[Score]]],
) -> Iterator[tuple[Problem, tuple[RolloutGroup, list[Score]]]]:
    """Yield every problem with its group and verdicts, drawing `AT_ONCE` at a time."""
    sampling = Sampling(config.temperature, config.max_new_tokens, config.max_prompt_tokens)
    measure = measured_by(engine, config.certainty)
    for first in range(0, len(problems), AT_ONCE):
        part = problems[first : first + AT_ONCE]
        seeds = [seed_for(config.seed, "check", problem.id) for problem in part]
        new = [index for index, seed in enumerate(seeds) if seed not in known]
        found = {seed: known[seed] for seed in seeds if seed in known}
        left = [part[index] for index in new]
        for groups, scores_PG in chunks.draw(
            engine, verifier, left, config.samples, sampling, [seeds[i] for i in new], AT_ONCE, measure
        ):
            found |= {group.seed: (group, scores) for group, scores in zip(groups, scores_PG, strict=True)}
        for problem, seed in zip(part, seeds, strict=True):
            yield problem, found[seed]
