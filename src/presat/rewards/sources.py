r"""Rewards that need no vote: the verifier's verdict, and two controls that know nothing of the answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from presat.errors import ConfigError
from presat.rewards.gates import has_box, has_single_box
from presat.types import RolloutGroup, Score


@dataclass(frozen=True)
class Verifiable:
    """1 if the final answer is right, else 0; None where the verifier could not decide (section 3, no format bonus)."""

    name: str = "verifiable"
    lowest: ClassVar[float] = 0.0

    def __call__(self, group: RolloutGroup, scores: Sequence[Score]) -> list[float | None]:
        """Return the scores' values."""
        del group
        return [score.value for score in scores]


@dataclass(frozen=True)
class RandomCoin:
    """A fair coin for each response with a single boxed answer, 0 for any other (arXiv:2506.10947).

    The coin is a function of (seed, the group's seed, the response's place in it), so it falls the same on resume.

    Attributes:
        seed: seed of the run.
        probability: of a 1.
    """

    seed: int = 0
    probability: float = 0.5
    name: str = "random"
    lowest: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        """Refuse a probability that is none."""
        if not 0 <= self.probability <= 1:
            raise ConfigError(f"The random reward's probability should be within 0 and 1; it is {self.probability}.")

    def __call__(self, group: RolloutGroup, scores: Sequence[Score]) -> list[float | None]:
        """Toss once per response; scores and gold are not looked at."""
        del scores
        return [
            float(self._uniform(group.seed, index) < self.probability) if has_single_box(completion.text) else 0.0
            for index, completion in enumerate(group.completions)
        ]

    def _uniform(self, group_seed: int, index: int) -> float:
        digest = hashlib.sha256(f"coin/{self.seed}/{group_seed}/{index}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64


@dataclass(frozen=True)
class FormatOnly:
    r"""1 for a response with a `\boxed{}` answer, whatever it says (arXiv:2506.10947)."""

    name: str = "format_only"
    lowest: ClassVar[float] = 0.0

    def __call__(self, group: RolloutGroup, scores: Sequence[Score]) -> list[float | None]:
        """Look at the form alone."""
        del scores
        return [float(has_box(completion.text)) for completion in group.completions]
