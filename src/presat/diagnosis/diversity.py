"""Diversity of the responses to one prompt: greedy clusters of one strategy each (section 5, appendix F).

Every response is compared with one representative of each cluster there is, and opens a new one where it matches none.
Who compares is interchangeable: `PathSimilarity` needs no model, `presat.diagnosis.embedding` compares
embeddings, `presat.diagnosis.llm.StrategyJudge` asks a language model. The index over the sizes is
`presat.metrics.diversity_index`: over all responses it is semantic diversity, over the aligned ones faithful diversity.
"""

from __future__ import annotations

import random
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

from presat.diagnosis.sides import Piece, equalities
from presat.diagnosis.symbolic import lab_problem
from presat.errors import DataError
from presat.metrics import diversity_index

ORDERS = 20
"""Orders of the responses over which the effect of the order is measured."""


class Similarity(Protocol):
    """Says whether two responses to a prompt follow one strategy."""

    @property
    def identity(self) -> str:
        """Name and version."""
        ...

    def readable(self, prompt: str, response: str) -> bool:
        """Whether anything can be told of a response; others are in no cluster."""
        ...

    def same_strategy(self, prompt: str, response_a: str, response_b: str) -> bool | None:
        """Whether they do; None where that cannot be told."""
        ...


@dataclass(frozen=True)
class PathSimilarity:
    """The path of the calculation: on the lab the steps written out, elsewhere the equalities in a normal form.

    Two responses are of one strategy where the equalities that both have are at least `least` of those that either has
    (Jaccard's index). A response without any says nothing of its path.

    Attributes:
        least: on the lab paths must be equal, whatever it is.
    """

    least: float = 0.5
    identity: str = "path/1"

    def __post_init__(self) -> None:
        """Refuse a share that is none."""
        if not 0.0 < self.least <= 1.0:
            raise DataError(f"Two paths are one from a share above 0 and up to 1 on; it is {self.least}.")

    def readable(self, prompt: str, response: str) -> bool:
        """Whether it has a path."""
        return lab_problem(prompt) is not None or bool(path_of(response))

    def same_strategy(self, prompt: str, response_a: str, response_b: str) -> bool | None:
        """Compare two paths."""
        if lab_problem(prompt) is not None:
            return response_a.split() == response_b.split()
        paths = path_of(response_a), path_of(response_b)
        if not all(paths):
            return None
        shared, either = (sum(found.values()) for found in (paths[0] & paths[1], paths[0] | paths[1]))
        return shared >= self.least * either


class Clusters(NamedTuple):
    """Responses by strategy.

    Attributes:
        cluster_N: which cluster each response is in, numbered by first appearance; None where nothing can be told.
        sizes: how many responses each cluster has.
    """

    cluster_N: list[int | None]
    sizes: list[int]

    @property
    def diversity(self) -> float | None:
        """(N_eff - 1) / (K - 1); 0 for one cluster; None where no response could be placed."""
        return diversity_index(self.sizes) if self.sizes else None


@lru_cache(4096)  # a response is compared with one representative after another
def path_of(text: str) -> Counter[str]:
    """The equalities of a response, each in one normal form, with how often it has them."""
    found = [(pair.relation.text, pair.left, pair.right) for pair in equalities(text)]
    return Counter(f"{_normal(left)} {relation} {_normal(right)}" for relation, left, right in found if left and right)


def _normal(piece: Piece) -> str:
    return " ".join(token.text for token in piece.tokens)


def cluster_responses(prompt: str, responses_N: Sequence[str], similarity: Similarity) -> Clusters:
    """Cluster the responses to one prompt greedily, in their order.

    Args:
        prompt: what was asked.
        responses_N: the responses.
        similarity: compares two of them.
    """
    representatives: list[str] = []
    sizes: list[int] = []
    cluster_N: list[int | None] = []
    for response in responses_N:
        if not similarity.readable(prompt, response):
            cluster_N.append(None)
            continue
        matches = (n for n, other in enumerate(representatives) if similarity.same_strategy(prompt, other, response))
        place = next(matches, len(representatives))
        if place == len(representatives):
            representatives.append(response)
            sizes.append(0)
        sizes[place] += 1
        cluster_N.append(place)
    return Clusters(cluster_N, sizes)


def order_effect(prompt: str, responses_N: Sequence[str], similarity: Similarity, seed: int = 0) -> float:
    """How much the order of the responses matters: the standard deviation of the diversity over random orders.

    Greedy clusters depend on which response came first. 0 where no response could be placed.
    """
    rng = random.Random(seed)
    values = []
    for _ in range(ORDERS):
        shuffled = rng.sample(list(responses_N), len(responses_N))
        value = cluster_responses(prompt, shuffled, similarity).diversity
        if value is None:
            return 0.0
        values.append(value)
    return statistics.pstdev(values)
