"""Which problems to train on, decided from how often the model solves them (METHOD section 2).

Everything here works on solve counts alone: `solve_counts_P[p]` is how many of `samples` responses to problem p were
right. Functions return indices into it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from presat.errors import DataError


def usable(solve_counts_P: Sequence[int], samples: int = 16) -> list[int]:
    """Return the problems solved sometimes: at least once and not always (the model-aware filter, [1, 15] of 16)."""
    return [index for index, count in enumerate(solve_counts_P) if 1 <= count <= samples - 1]


def stratified_round_robin(solve_counts_P: Sequence[int], n: int, seed: int, samples: int = 16) -> list[int]:
    """Choose `n` usable problems across the range of difficulty, as the paper does.

    There is one bin per solve count 1..samples-1; rounds go through the bins in order and draw one unused problem at
    random from each that is not empty.

    Raises:
        DataError: fewer than `n` problems are usable.
    """
    rng = random.Random(f"round robin/{seed}")
    bins: dict[int, list[int]] = {count: [] for count in range(1, samples)}
    for index in _enough(solve_counts_P, n, samples):
        bins[solve_counts_P[index]].append(index)
    for members in bins.values():
        rng.shuffle(members)
    chosen: list[int] = []
    while len(chosen) < n:
        for members in bins.values():
            if members and len(chosen) < n:
                chosen.append(members.pop())
    return chosen


def near_mean(
    solve_counts_P: Sequence[int], n: int, target: float, seed: int, samples: int = 16, tries: int = 2000
) -> list[int]:
    """Choose `n` usable problems whose mean solve rate is near `target`, so that runs start from the same reward.

    The best of `tries` random subsets, which keeps the spread of difficulty a random subset has.

    Raises:
        DataError: fewer than `n` problems are usable.
    """
    rng = random.Random(f"near mean/{seed}")
    candidates = _enough(solve_counts_P, n, samples)
    subsets = (sorted(rng.sample(candidates, n)) for _ in range(tries))
    return min(subsets, key=lambda chosen: abs(sum(solve_counts_P[index] for index in chosen) - target * samples * n))


def _enough(solve_counts_P: Sequence[int], n: int, samples: int) -> list[int]:
    """The usable problems, checked to be at least `n`."""
    candidates = usable(solve_counts_P, samples)
    if len(candidates) < n:
        raise DataError(
            f"Only {len(candidates)} of {len(solve_counts_P)} problems are solved sometimes but not always, and {n} "
            "are asked for: sample more problems, or take easier or harder ones."
        )
    return candidates
