"""Chains of small additions: the lab's problems, in its domain and out of it.

Values run from 0 to 19 and addends from 1 to 5; a sign that would leave the range is flipped. Answers of problems are
drawn uniformly, so a constant guess earns about one in twenty. Each operand carries a label (`a`, `b`, ...) that the
reasoning repeats.

Chains belong to one of two splits by a hash of their text, so that a held-out chain can appear in no training corpus,
SFT set or RL set whatever their seeds.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from presat.errors import ConfigError, DataError, nearest
from presat.types import Message, Problem

Split = Literal["train", "held_out"]

TOP = 19
"""Largest value; the smallest is 0."""
LARGEST_ADDEND = 5
LABELS = "abcdefghi"
"""One label an operand, in order; their number bounds the length of a chain."""
HELD_OUT_SHARE = 0.1
"""Share of all chains that belongs to the held-out split."""
TRIES = 20_000
"""Draws before a kind of chain is taken not to exist; one in a few hundred fits where there are any to speak of."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A start value and the signed operands added to it, one after the other."""

    start: int
    operands: tuple[int, ...]

    @property
    def totals(self) -> tuple[int, ...]:
        """Running totals after each operand."""
        totals, total = [], self.start
        for operand in self.operands:
            total += operand
            totals.append(total)
        return tuple(totals)

    @property
    def prompt(self) -> str:
        """The question as the model reads it: `7 a +3 b -2`."""
        parts = [str(self.start)]
        for label, operand in zip(LABELS, self.operands, strict=False):
            parts += [label, f"{operand:+d}"]
        return " ".join(parts)

    @property
    def gold(self) -> str:
        """The answer: the last total."""
        return str(self.totals[-1])

    @property
    def split(self) -> Split:
        """Which split the chain belongs to, by a hash of its text."""
        return "held_out" if zlib.crc32(self.prompt.encode()) % 1000 < 1000 * HELD_OUT_SHARE else "train"


@dataclass(frozen=True, slots=True)
class Kind:
    """A named family of chains: bounds (inclusive) and the share of minus signs before flipping."""

    operands: tuple[int, int] = (6, 8)
    minus_share: float = 0.5
    lowest_start: int = 0
    highest_answer: int = TOP


KINDS = {
    "chains": Kind(),
    "mostly_minus": Kind(minus_share=0.75, lowest_start=10, highest_answer=13),
    "long": Kind(operands=(9, 9)),
}
NAMES = tuple(KINDS)


def draw_chain(
    rng: random.Random, length: int, kind: Kind = KINDS["chains"], split: Split | None = None, answer: int | None = None
) -> Chain:
    """Draw a chain of `length` operands, redrawing until it belongs to `split` and ends in `answer` (None: any).

    Raises:
        DataError: `TRIES` draws brought none, as happens where chains are so short that hardly any fit.
    """
    for _ in range(TRIES):
        start = rng.randint(kind.lowest_start, TOP)
        operands, total = [], start
        for _operand in range(length):
            size = rng.randint(1, LARGEST_ADDEND)
            operand = -size if rng.random() < kind.minus_share else size
            if not 0 <= total + operand <= TOP:
                operand = -operand
            operands.append(operand)
            total += operand
        if answer is not None and total != answer:
            continue
        chain = Chain(start, tuple(operands))
        if split is None or chain.split == split:
            return chain
    raise DataError(
        f"No chain of {length} operands in the split '{split}' ends in {answer}: too few exist. Use more operands."
    )


def chain_rng(*key: object) -> random.Random:
    """A generator that is a function of `key` alone, the same in every process."""
    return random.Random("/".join(str(part) for part in key))


def refuse_unknown_lab(name: str) -> None:
    """Refuse a name that no lab task has.

    Raises:
        ConfigError: it is none; the message has the nearest one.
    """
    if name not in KINDS:
        raise ConfigError(f"There is no lab task '{name}'.{nearest(name, KINDS)}")


def lab_problems(
    name: str = "chains",
    count: int = 100,
    seed: int = 0,
    operands: int | Sequence[int] | None = None,
    split: Split = "train",
    weights: Sequence[float] | None = None,
) -> list[Problem]:
    """Make problems of a named family; problem i is a function of (name, split, operands, seed, i).

    Args:
        name: `chains` (in domain), `mostly_minus` (a moderate shift) or `long` (9 operands).
        count: how many; no two are equal.
        seed: seed of the set.
        operands: one count, or the smallest and the largest; the family's own when None.
        split: `train` or `held_out`; the two share no chain.
        weights: relative weight of each operand count from the smallest to the largest; equal when None.

    Raises:
        ConfigError: unknown name or split, or operand counts the labels cannot carry.
        DataError: there are fewer different chains than asked for.
    """
    refuse_unknown_lab(name)
    if split not in ("train", "held_out"):
        raise ConfigError(f"There is no lab split '{split}'.{nearest(split, ('train', 'held_out'))}")
    kind = KINDS[name]
    low, high = _bounds(operands, kind.operands)
    lengths = range(low, high + 1)
    if weights is not None and len(weights) != len(lengths):
        raise ConfigError(f"weights has {len(weights)} entries for the {len(lengths)} operand counts {low} to {high}.")
    problems: dict[str, Problem] = {}
    for index in range(50 * count):
        if len(problems) == count:
            break
        rng = chain_rng(name, split, low, high, seed, index)
        length = rng.choices(lengths, weights)[0]
        chain = draw_chain(rng, length, kind, split, answer=rng.randint(0, kind.highest_answer))
        problems.setdefault(chain.prompt, _problem(chain, name, split, f"{name}-{split}-{low}-{high}-{seed}-{index}"))
    if len(problems) < count:
        raise DataError(
            f"lab/{name} gave {len(problems)} different chains of {low} to {high} operands in {50 * count} draws, "
            f"fewer than the {count} asked for: ask for {len(problems)} or fewer, or for more operands."
        )
    return list(problems.values())


def chain_of(problem: Problem) -> Chain:
    """Return the chain a lab problem holds in its metadata.

    Raises:
        DataError: the problem is not a lab problem.
    """
    try:
        return Chain(int(problem.metadata["start"]), tuple(int(operand) for operand in problem.metadata["operands"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"Problem {problem.id} is not a lab problem: its metadata lacks `start` or `operands`."
        ) from error


def constant_guess(problems: Iterable[Problem]) -> float:
    """Share of problems that the single best constant answer gets right."""
    golds = [problem.gold for problem in problems]
    return max(golds.count(gold) for gold in set(golds)) / len(golds)


def _bounds(operands: int | Sequence[int] | None, default: tuple[int, int]) -> tuple[int, int]:
    """Smallest and largest operand count asked for."""
    pair = default if operands is None else (operands, operands) if isinstance(operands, int) else tuple(operands)
    if len(pair) != 2 or not 1 <= pair[0] <= pair[1] <= len(LABELS):
        raise ConfigError(
            f"operands should be one count or [smallest, largest] within 1..{len(LABELS)}; got {operands}."
        )
    return pair[0], pair[1]


def _problem(chain: Chain, name: str, split: Split, identity: str) -> Problem:
    metadata: dict[str, Any] = {"start": chain.start, "operands": list(chain.operands), "split": split, "task": name}
    message: Message = {"role": "user", "content": chain.prompt}
    return Problem(identity, (message,), chain.gold, "lab", "lab", metadata)
