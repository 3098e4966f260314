"""Which problems each step trains on, and how a step is cut into batches: pure functions.

The schedule is laid out before training (T x prompts-per-step problem indices) and given to TRL as a data set of one
epoch read in order. TRL's own sampler is empty when there are fewer prompts than a batch, and replays its first epoch
when resumed; here every step's prompts are a function of (seed, step) alone, and a shorter run's schedule is a prefix
of a longer one's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from presat.config.schema import TrainConfig
from presat.errors import ConfigError


def make_schedule(problems: int, steps: int, prompts_per_step: int, seed: int) -> list[list[int]]:
    """Return the problem indices of each step, shape [steps, prompts_per_step].

    With fewer problems than a step holds, each step repeats all of them uniformly (8 problems fill 64 places 8 times;
    what does not divide goes to problems drawn without replacement). Otherwise fresh permutations follow one another.
    """
    if problems <= prompts_per_step:
        return [_repeated(problems, prompts_per_step, [seed, step]) for step in range(1, steps + 1)]
    passes = -(-steps * prompts_per_step // problems)
    order = np.concatenate([np.random.default_rng([seed, i]).permutation(problems) for i in range(passes)])
    return order[: steps * prompts_per_step].reshape(steps, prompts_per_step).tolist()


def _repeated(problems: int, places: int, seed: list[int]) -> list[int]:
    rest = np.random.default_rng(seed).choice(problems, places % problems, replace=False)
    return np.concatenate([np.tile(np.arange(problems), places // problems), np.sort(rest)]).astype(int).tolist()


@dataclass(frozen=True, slots=True)
class Batches:
    """How one step is cut up.

    Attributes:
        prompts: prompts a process samples at a step.
        micro_batch: responses a process puts through one forward-backward pass.
        passes: forward-backward passes a step (gradient accumulation); one generation and one update a step.
    """

    prompts: int
    micro_batch: int
    passes: int


def plan_batches(config: TrainConfig, processes: int) -> Batches:
    """Return how a step is cut up over `processes`, or refuse what would split a group over processes.

    Raises:
        ConfigError: `prompts_per_step` does not divide over the processes, or `micro_batch` does not divide a process's
            responses.
    """
    if config.prompts_per_step % processes:
        raise ConfigError(
            f"prompts_per_step is {config.prompts_per_step}, which does not divide over {processes} processes, so a "
            f"group would be split between two of them. Use a multiple of {processes}."
        )
    prompts = config.prompts_per_step // processes
    rows = prompts * config.group_size
    if config.micro_batch < 1 or rows % config.micro_batch:
        fits = max(m for m in range(1, rows + 1) if rows % m == 0 and m <= max(config.micro_batch, 1))
        raise ConfigError(
            f"micro_batch is {config.micro_batch}, which does not divide the {rows} responses a process trains on at a "
            f"step ({prompts} prompts x {config.group_size}). The nearest that does is {fits}."
        )
    return Batches(prompts, config.micro_batch, rows // config.micro_batch)
