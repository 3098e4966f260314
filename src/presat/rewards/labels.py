"""What is logged beside the reward: gold accuracy, votes, kinds of groups, and the parts of a weighted sum.

A step is counted process by process into sums that add up; the metrics come from the total. So they are the same
however a step is cut over processes. Right means right by the true answer: where a problem keeps it beside a noisy
label, the label decides the reward and the true answer what is logged here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from presat.metrics import GOLD_ACCURACY
from presat.rewards import Outcome, label_is_right
from presat.tasks.rows import original_gold
from presat.types import Problem, RolloutGroup, Score
from presat.verify.equivalence import judged_classes

if TYPE_CHECKING:
    from presat.verify import Verifier

Totals = Mapping[str, float]
_COUNTS = (
    "right", "judged", "missing", "all_right", "all_wrong", "mixed", "judged_groups", "groups",
    "votes", "share", "ties", "no_answer", "label_right", "label_known",
)  # fmt: skip
_PART = "part/"


def true_scores(
    verifier: Verifier, groups: Sequence[RolloutGroup], scores_PN: Sequence[list[Score]]
) -> list[list[Score]]:
    """Return the verdicts by the true answers: `scores_PN`, judged anew where a problem's label is another."""
    found = list(scores_PN)
    for place, group in enumerate(groups):
        truth = original_gold(group.problem)
        if truth is not None and truth != group.problem.gold:
            problem = replace(group.problem, gold=truth)
            found[place] = verifier.score_many([(problem, completion.text) for completion in group.completions])
    return found


def count_labels(
    groups: Sequence[RolloutGroup],
    truth_PN: Sequence[Sequence[Score]],
    outcomes_P: Sequence[Outcome],
    group_size: int,
) -> Totals:
    """Count the groups of one step.

    Args:
        groups: P groups of N responses.
        truth_PN: the verdicts by the true answers (see `true_scores`).
        outcomes_P: what the reward said of them.
        group_size: the first so many responses train; gold accuracy, kinds of groups and parts are theirs, a vote is
            everybody's.
    """
    totals: dict[str, float] = dict.fromkeys(_COUNTS, 0.0)
    for group, scores, outcome in zip(groups, truth_PN, outcomes_P, strict=True):
        _add(totals, _group(scores[:group_size]))
        _add(totals, _vote(scores, outcome))
        if outcome.vote is None:
            _add(totals, {"share": _agreement(scores[:group_size], group.problem.verifier)})
            _add(totals, _given_label(group.problem))
        for name, values_N in outcome.parts.items():
            known = [value for value in values_N[:group_size] if value is not None]
            _add(totals, {f"{_PART}{name}/sum": sum(known), f"{_PART}{name}/count": len(known)})
    return totals


def label_metrics(totals: Totals) -> dict[str, float]:
    """Return the metrics of a step by name; NaN where nothing could be judged."""
    groups, judged = totals["groups"], totals["judged"]
    metrics = {
        GOLD_ACCURACY: _ratio(totals["right"], judged),
        "labels/missing": _ratio(totals["missing"], judged + totals["missing"]),
        **{
            f"labels/{kind}": _ratio(totals[kind], totals["judged_groups"])
            for kind in ("all_right", "all_wrong", "mixed")
        },
        "labels/majority_share": _ratio(totals["share"], groups),
    }
    if totals["votes"] or totals["label_known"]:
        metrics["labels/label_accuracy"] = _ratio(totals["label_right"], totals["label_known"])
    if totals["votes"]:
        metrics["labels/ties"] = totals["ties"] / totals["votes"]
        metrics["labels/no_answer"] = totals["no_answer"] / totals["votes"]
    for name in sorted(key.removeprefix(_PART).removesuffix("/sum") for key in totals if key.endswith("/sum")):
        metrics[f"rewards/{name}/mean"] = _ratio(totals[f"{_PART}{name}/sum"], totals[f"{_PART}{name}/count"])
    return metrics


def _group(scores_G: Sequence[Score]) -> dict[str, float]:
    """Right, judged and missing responses of a group, and its kind (missing responses left out; none without any)."""
    values = [score.value for score in scores_G if score.value is not None]
    some_right, some_wrong = 1.0 in values, any(value != 1.0 for value in values)
    return {
        "right": sum(values),
        "judged": len(values),
        "missing": len(scores_G) - len(values),
        "all_right": some_right and not some_wrong,
        "all_wrong": some_wrong and not some_right,
        "mixed": some_right and some_wrong,
        "judged_groups": bool(values),
        "groups": 1,
    }


def _vote(scores_N: Sequence[Score], outcome: Outcome) -> dict[str, float]:
    """The vote of a group, and whether its label is the true answer: a response that agrees with it is right."""
    vote = outcome.vote
    if vote is None:
        return {}
    right = label_is_right([float(agrees) for agrees in vote.agrees_N], scores_N)
    return {
        "votes": 1,
        "share": vote.share,
        "ties": vote.tied,
        "no_answer": vote.label is None,
        "label_right": right is True,
        "label_known": right is not None,
    }


def _given_label(problem: Problem) -> dict[str, float]:
    """Whether the label that came with a problem is the true answer, where the problem keeps that beside it."""
    truth = original_gold(problem)
    return {} if truth is None else {"label_right": truth == problem.gold, "label_known": 1}


def _agreement(scores_G: Sequence[Score], verifier: str) -> float:
    """Share of the responses with the most frequent answer. Right ones are one answer, wrong ones go by their text.

    Comparing wrong answers with each other, as a vote does, may cost seconds for one that hangs Math-Verify, at every
    step: too much for a number that is only logged.
    """
    answers = Counter(number for number in judged_classes(scores_G, verifier) if number is not None)
    return max(answers.values(), default=0) / len(scores_G)


def _add(totals: dict[str, float], more: Totals) -> None:
    for name, value in more.items():
        totals[name] = totals.get(name, 0.0) + value


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")
