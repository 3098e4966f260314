"""Which problems to train on, decided from how often the model solves them (arXiv:2604.18574, section 2).

The choosing works on solve counts alone: `solve_counts_P[p]` is how many of `samples` responses to problem p were
right. Those functions return indices into it.
"""

from __future__ import annotations

import itertools
import logging
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from presat.errors import ConfigError, DataError, nearest
from presat.tasks.rows import extra_info
from presat.text import brief
from presat.types import Problem

if TYPE_CHECKING:
    from presat.config.schema import SubsetConfig

LOG = logging.getLogger("presat")

COUNT_COLUMN = "solve"
"""Column the filter writes: {right, samples, model, extraction}."""
MOST_SAMPLES = 1_000_000
"""Most samples of a problem that a count is believed to be out of: there is a bin for each."""


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


def with_solve_count(problem: Problem, right: int, samples: int, model: str, extraction: str) -> Problem:
    """Return the problem with its solve count in the column `solve`; a `difficulty` of its own stays as it is.

    Args:
        problem: the problem.
        right: right responses.
        samples: of so many.
        model: the model that was sampled.
        extraction: the mode their answers were read in (`verify.extraction`).
    """
    found = {"right": right, "samples": samples, "model": model, "extraction": extraction}
    return replace(problem, metadata={**problem.metadata, COUNT_COLUMN: found})


def solve_counts_of(problems: Sequence[Problem], column: str, samples: int) -> tuple[list[int], int]:
    """Read solve_counts_P out of the problems' rows; returns them and out of how many samples they are.

    Args:
        problems: the problems.
        column: `solve`, or a column with the count itself, or `COLUMN.KEY` for a mapping: the published files have
            `difficulty.MODEL`.
        samples: how many samples a bare count is out of; `solve` says so itself.

    Raises:
        DataError: a problem lacks the column, it holds no count, or the counts are out of different numbers of samples.
    """
    counts, totals = [], set()
    for problem in problems:
        value, total = _count_of(problem, column, samples)
        if not 0 <= value <= total <= MOST_SAMPLES:
            said = f"{brief(value, 40)} right of {brief(total, 40)} samples"
            raise DataError(f"Problem {problem.id}: field '{column}' says {said}, which cannot be.")
        counts.append(value)
        totals.add(total)
    if len(totals) > 1:
        raise DataError(
            f"The counts in '{column}' are out of {' and '.join(map(str, sorted(totals)))} samples: mix no sets."
        )
    return counts, totals.pop() if totals else samples


def _count_of(problem: Problem, column: str, samples: int) -> tuple[int, int]:
    name, _, key = column.partition(".")
    value, out_of = problem.metadata.get(name), samples
    if name not in problem.metadata:
        hint = "run `presat data filter` first" if column == COUNT_COLUMN else "`counts` says where they are"
        raise DataError(f"Problem {problem.id} has no field '{name}' ({hint}).{nearest(name, problem.metadata)}")
    if isinstance(value, Mapping):
        if column == COUNT_COLUMN:
            key, out_of = "right", value.get("samples")
        if key not in value:
            raise DataError(f"Problem {problem.id}: field '{name}' has no '{key}'.{nearest(key, map(str, value))}")
        value = value[key]
    count, total = _whole(value), _whole(out_of)
    if count is None:
        raise DataError(f"Problem {problem.id}: field '{column}' should hold a solve count; it is {brief(value)}.")
    if total is None:
        raise DataError(
            f"Problem {problem.id}: field '{column}' should say of how many `samples`; it says {brief(out_of)}."
        )
    return count, total


def _whole(value: Any) -> int | None:
    """A whole number, which tables with gaps hold in floating point; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if isinstance(value, int) or value.is_integer() else None


def choose_subset(problems: Sequence[Problem], config: SubsetConfig) -> list[Problem]:
    """Choose `config.n` problems by stratified round robin, each to be written `batch / n` times where n < batch.

    With `mean` they are chosen at random, so that their mean solve rate is near it.

    For one seed the subsets are nested: the 8 problems chosen first are the first 8 of 64. With `balance` each value of
    that field gets its own round robin and they take turns, as in the published Graph sets (4 + 4 of the two tasks);
    where one has no usable problem left the others fill in, as there, and a warning says so.

    Raises:
        ConfigError: a batch that is no multiple of a smaller `n`, an `n` that the values of `balance` cannot share, or
            `balance` beside `mean`.
        DataError: the rows hold no counts or no such field, or too few problems are usable.
    """
    from presat.config.unused import refuse_unused

    refuse_unused(config)
    if config.n < config.batch and config.batch % config.n:
        raise ConfigError(
            f"{config.n} problems do not fill a batch of {config.batch} uniformly; `--batch 0` repeats none."
        )
    if config.mean is not None and config.balance:
        raise ConfigError("`mean` chooses among all problems at once: leave out `balance`, or `mean`.")
    counts, samples = solve_counts_of(problems, config.counts, config.samples)
    parts = _parts(problems, config.balance)
    if config.n % len(parts):
        raise ConfigError(f"{config.n} problems cannot be shared by {len(parts)} values of `{config.balance}` equally.")
    _enough(counts, config.n, samples)
    orders = {value: _order([counts[i] for i in part], part, config.seed, samples) for value, part in parts.items()}
    if config.mean is not None:
        chosen = near_mean(counts, config.n, config.mean, config.seed, samples)
        return _repeated([problems[index] for index in chosen], config)
    turns = itertools.zip_longest(*([(value, index) for index in order] for value, order in orders.items()))
    taken = [choice for turn in turns for choice in turn if choice is not None][: config.n]
    shares = Counter(value for value, _ in taken)
    if any(shares[value] < config.n // len(parts) for value in parts):
        LOG.warning(
            "The values of `%s` have unequal shares, %s: where one ran out of problems that are solved sometimes, the "
            "others fill in.",
            config.balance,
            ", ".join(f"{value} {shares[value]}" for value in parts),
        )
    return _repeated([problems[index] for _, index in taken], config)


def _repeated(chosen: Sequence[Problem], config: SubsetConfig) -> list[Problem]:
    """The problems with how often each is to be written."""
    repeats = max(1, config.batch // config.n)
    return [replace(problem, metadata={**problem.metadata, "repeats": repeats}) for problem in chosen]


def _order(counts: Sequence[int], part: Sequence[int], seed: int, samples: int) -> list[int]:
    """All usable problems of a part, in the order in which the round robin takes them; `counts` are those of `part`."""
    return [part[i] for i in stratified_round_robin(counts, len(usable(counts, samples)), seed, samples)]


def _parts(problems: Sequence[Problem], field: str) -> dict[str, list[int]]:
    """Indices of the problems by their value of `field` (a column, or a key of `extra_info`); one part when empty."""
    parts: dict[str, list[int]] = {}
    for index, problem in enumerate(problems):
        known = {**problem.metadata, **extra_info(problem.metadata)} if field else {"": ""}
        if field not in known:
            raise DataError(f"Problem {problem.id} has no field '{field}' to balance over.{nearest(field, known)}")
        parts.setdefault(str(known[field]), []).append(index)
    return dict(sorted(parts.items()))


def cut(problems: list[Problem], source: str, count: int | None, seed: int, sample: bool) -> list[Problem]:
    """Return the first `count` problems, or random ones; all when None.

    Raises:
        DataError: there are fewer.
    """
    if count is None:
        return problems
    places = draw_places(len(problems), source, count, seed)
    return [problems[place] for place in places] if sample else problems[:count]


def draw_places(total: int, source: str, count: int, seed: int) -> list[int]:
    """Return `count` random places of `total`.

    Raises:
        DataError: there are fewer.
    """
    if count > total:
        raise DataError(f"{source} holds {total} different problems, fewer than the {count} asked for.")
    return random.Random(f"rows/{seed}").sample(range(total), count)


def sampled(count: int | None, seed: int, options: Mapping[str, Any]) -> bool:
    """Whether rows are drawn at random: the option `sample`, held against `count` and `seed`.

    Raises:
        ConfigError: `sample` without a `count`, or a `seed` without `sample`.
    """
    sample = bool(options.get("sample"))
    if sample and count is None:
        raise ConfigError("The option `sample` draws `count` rows at random, and no `count` is given.")
    if seed and not sample:
        raise ConfigError("`data.seed` decides nothing here: leave it out, or draw rows with the option `sample`.")
    return sample
