"""Which problems each step trains on: a pure function.

The schedule is laid out before training (T x prompts-per-step problem indices) and given to TRL as a data set of one
epoch read in order. TRL's own sampler is empty when there are fewer prompts than a batch, and replays its first epoch
when resumed; here every step's prompts are a function of (seed, step) alone, and a shorter run's schedule is a prefix
of a longer one's.
"""

from __future__ import annotations

import numpy as np


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
