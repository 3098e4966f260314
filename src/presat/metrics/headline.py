"""*The* held-out score of a run, defined once: which of its evaluation sets is the main one, and which score of it.

Early stopping, alarms, summaries, verdicts, the live view and comparisons between runs all ask here. The main set is
the first, in the order of the run's configuration, that is not out of distribution by its name and whose scores are
shares; its score is avg@k with the largest k where there is one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")

GOLD_ACCURACY = "labels/gold_accuracy"
"""The true accuracy of a step's training responses, as the trainers log it: what the reward is a proxy of."""
_KINDS = ("avg", "gold_accuracy", "score", "accuracy", "acc", "greedy", "maj", "best", "pass", "reward")
"""Of scores, the preferred first. A mean reward is the last: it is one where the reward is no proxy."""
_PART = re.compile(r"rewards/(.+)/mean")
_K = re.compile(r"(\w+)@(\d+)")
_OUT_OF_DISTRIBUTION = re.compile(r"(^|[^a-z])(ood(?![a-z])|out[-_ ]?of[-_ ]?d\w*)", re.IGNORECASE)


def headline_metric(names: Iterable[str]) -> str | None:
    """The score to show of a set: avg@k with the largest k, else the next of `_KINDS`; None when there is none.

    Numbers that are not known to be a score (lengths, losses, whatever a log holds) are never taken.
    """
    names = list(names)
    for kind in _KINDS:
        found = metric_of(names, kind)
        if found is not None:
            return found
    return None


def is_score(metric: str) -> bool:
    """Whether a metric is known to be a score by its name."""
    return headline_metric([metric]) is not None


def metric_of(names: Iterable[str], kind: str) -> str | None:
    """The metric of a kind (`pass`, `maj`, `greedy`, ...), of several k the largest; None when there is none."""
    return max((name for name in names if name == kind or name.startswith(f"{kind}@")), key=k_of, default=None)


MOST_DIGITS = 9
"""Of k; a longer one is none."""


def k_of(metric: str) -> int:
    """K of `avg@k`, `pass@k` and their like; 0 where there is none."""
    match = _K.fullmatch(metric)
    return int(match.group(2)) if match and len(match.group(2)) <= MOST_DIGITS else 0


def reward_parts(names: Iterable[str]) -> list[str]:
    """What a train reward is a weighted sum of, by the metrics of its run; empty where it is one reward alone."""
    found = [match[1] for name in names if (match := _PART.fullmatch(name))]
    return found if len(found) > 1 else []


def is_share(values: Iterable[float]) -> bool:
    """Whether all values that are numbers lie within 0 and 1."""
    return all(0.0 <= value <= 1.0 for value in values if not math.isnan(value))


def is_out_of_distribution(set_name: str) -> bool:
    """Whether a set's name says so (`ood`, `out-of-distribution`)."""
    return bool(_OUT_OF_DISTRIBUTION.search(set_name))


def ordered_sets(names: Iterable[str], order: Sequence[str] = ()) -> list[str]:
    """Sets in the order of the configuration, those it does not list after them; out-of-distribution ones last."""

    def rank(name: str) -> tuple[bool, int]:
        return is_out_of_distribution(name), order.index(name) if name in order else len(order)

    return sorted(names, key=rank)


def main_set(
    sets: Sequence[T], name_of: Callable[[T], str], scores_of: Callable[[T], Iterable[float]] = lambda _: ()
) -> T | None:
    """The main set of some in the order of the configuration; None of none.

    Args:
        sets: the sets, as whatever the caller has of them.
        name_of: the name of one.
        scores_of: the values of its headline score, where they are known.
    """
    return min(
        sets, key=lambda item: (is_out_of_distribution(name_of(item)), not is_share(scores_of(item))), default=None
    )
