"""What is known before RL, in numbers: read off one pass of draws (`presat.forecast.probe`).

Every number is a mean over prompts or over responses with its 95% interval over prompts, and says how many it is of.
Shapes: P prompts, G responses each.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from presat.answers.boxes import boxed_answer
from presat.diagnosis.diversity import PathSimilarity, cluster_responses
from presat.diagnosis.judges import Judge
from presat.forecast.probe import CERTAINTY, SURPRISE, Drawn
from presat.metrics import auroc, dead_group, mean_interval, noise_limit, pass_at_k, share_interval

MEANINGS: Mapping[str, str] = {
    "usable": "prompts solved sometimes: 1 to k-1 of k",
    "never": "prompts never solved",
    "always": "prompts always solved",
    "avg": "accuracy, mean over samples",
    "pass": "prompts solved at least once",
    "cover": "prompts solved in at least half of the samples (Cover@.5)",
    "maj": "accuracy of the majority vote, which is how often its label is right",
    "live_vote": "of the groups that the vote divides, how many it labels rightly",
    "dead_right": "groups expected all right: no gradient",
    "dead_wrong": "groups expected all wrong: no gradient",
    "dead_vote": "groups expected of one answer, which no vote divides: no gradient",
    "read": "responses with an answer where one is read",
    "boxed": "responses with a box",
    "cut_off": "responses cut off at the length limit",
    "judged": "responses whose reasoning the judge could judge",
    "aligned": "of all judged, reasoning that leads to its answer",
    "aligned_right": "of right answers, reasoning that leads to them",
    "cot_pass": "prompts with a right answer whose reasoning leads to it (CoT-pass@k)",
    "diversity": "diversity of strategies, all responses",
    "faithful_diversity": "diversity of strategies, aligned responses",
    "right_diversity": "diversity of strategies, right responses",
    "certainty_auroc": "how well self-certainty tells right from wrong within a prompt; .5 is chance",
    "length_auroc": "how well length tells right from wrong within a prompt; .5 is chance",
    "noise_limit": "share of wrong labels at which the expected update stops pushing to right answers",
    "entropy": "entropy a token, in nats",
    "length": "tokens a response",
}
"""Every quantity by its name."""
SHARES = frozenset(MEANINGS) - {"entropy", "length"}


@dataclass(frozen=True, slots=True)
class Measure:
    """One quantity.

    Attributes:
        value: None where it is not defined here.
        low: lower end of its 95% interval over prompts; None where there are too few.
        high: upper end.
        prompts: how many prompts it is over.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    prompts: int = 0


@dataclass(frozen=True)
class Evidence:
    """What one pass of draws says.

    Attributes:
        prompts: P.
        samples: G, responses a prompt.
        group_size: responses of a group of the training that is asked about.
        histogram: how many prompts were solved 0, 1, ..., G times.
        measures: by the names of `MEANINGS`.
        exact: whether what the judge says may be weighed: the symbolic one is exact on the lab, and a language model or
            an ensemble was chosen for these responses. Else it is shown and not weighed.
    """

    prompts: int
    samples: int
    group_size: int
    histogram: list[int]
    measures: dict[str, Measure]
    exact: bool

    def __getitem__(self, name: str) -> float | None:
        """The value of a quantity; None where it is not defined here."""
        return self.measures[name].value

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        measures = {
            name: {"value": m.value, "low": m.low, "high": m.high, "prompts": m.prompts, "meaning": MEANINGS[name]}
            for name, m in self.measures.items()
        }
        return {"prompts": self.prompts, "samples": self.samples, "group_size": self.group_size,
                "histogram": self.histogram, "measures": measures, "exact": self.exact}  # fmt: skip


Values = dict[str, float | None]
"""The quantities of one prompt; None where one is not defined for it."""


def collect(
    drawn: Sequence[Drawn], group_size: int, values: Sequence[Values], exact: bool, bare: bool = False
) -> Evidence:
    """Return the evidence of some prompts.

    Args:
        drawn: P prompts.
        group_size: of the training asked about.
        values: what `values_of` says of each.
        exact: whether what the judge says may be weighed.
        bare: without intervals, which resamples of the prompts have no use for.
    """
    samples = len(drawn[0].scores_G) if drawn else 0
    right_P = [sum(value == 1.0 for value in row.values_G) for row in drawn]
    tally = Counter(right_P)
    measures = {name: _measure(name, [row.get(name) for row in values], bare) for name in MEANINGS}
    pushes = [(row["push_right"], row["push_wrong"]) for row in values]
    known = [(right, wrong) for right, wrong in pushes if right is not None and wrong is not None]
    limit = noise_limit([right for right, _ in known], [wrong for _, wrong in known])
    measures["noise_limit"] = Measure(limit, prompts=len(known))
    histogram = [tally[count] for count in range(samples + 1)]
    return Evidence(len(drawn), samples, group_size, histogram, measures, exact)


def _measure(name: str, found: Sequence[float | None], bare: bool) -> Measure:
    known = [value for value in found if value is not None]
    if not known:
        return Measure(None)
    interval = None if bare else (share_interval if name in SHARES else mean_interval)(known)
    mean = statistics.fmean(known)
    return Measure(mean, interval.low, interval.high, len(known)) if interval else Measure(mean, prompts=len(known))


def values_of(row: Drawn, group_size: int, judge: Judge | None) -> Values:
    """Return the quantities of one prompt.

    Args:
        row: the prompt with its responses.
        group_size: of the training asked about.
        judge: of the reasoning; None leaves faithfulness out.
    """
    labelled = row.group.problem.gold is not None
    texts = [response.text for response in row.group.completions]
    finished = [response.finished for response in row.group.completions]
    lengths = [float(len(response.token_ids)) for response in row.group.completions]
    return {
        **(_solved(row, group_size) if labelled else {}),
        **_voted(row, group_size),
        **_faithful(row, judge, texts),
        **_told_apart(row, lengths),
        "read": _share(score.extracted is not None for score in row.scores_G),
        "boxed": _share(boxed_answer(text) is not None for text in texts),
        "cut_off": _share(not whole for whole in finished),
        "entropy": _mean(_stats(row, SURPRISE)),
        "length": statistics.fmean(lengths),
    }


def _solved(row: Drawn, group_size: int) -> Values:
    judged = [value for value in row.values_G if value is not None]
    if not judged:
        return {}
    n, right = len(judged), int(sum(judged))
    dead = dead_group(n, right, group_size)
    return {
        "usable": float(0 < right < n),
        "never": float(right == 0),
        "always": float(right == n),
        "avg": right / n,
        "pass": pass_at_k(n, right, n),
        "cover": float(right >= n / 2),
        "dead_right": dead.all_right if dead else None,
        "dead_wrong": dead.all_wrong if dead else None,
    }


def _voted(row: Drawn, group_size: int) -> Values:
    """The vote of all responses, and what a group pushes to under the true label and under the commonest wrong one."""
    votes = Counter(number for number in row.classes_G if number is not None)
    right_of = {number: value for number, value in zip(row.classes_G, row.values_G, strict=True) if number is not None}
    wrong = [count for number, count in votes.items() if right_of[number] == 0.0]
    judged = [value for value in row.values_G if value is not None]
    pushes: Values = {
        "push_right": sum(judged) / len(judged) if judged else None,
        "push_wrong": max(wrong, default=0) / len(row.classes_G),
    }
    if not votes:
        return {**pushes, "maj": 0.0 if judged else None}
    winner, most = votes.most_common(1)[0]  # ties go to the answer that appeared first, as in the reward
    undivided = dead_group(len(row.classes_G), most, group_size)
    lives = undivided is not None and undivided.either < 1.0
    return {
        **pushes,
        "maj": right_of[winner],
        "live_vote": right_of[winner] if lives else None,
        "dead_vote": _alike([*votes.values(), row.classes_G.count(None)], group_size),
    }


def _alike(counts: Sequence[int], group_size: int) -> float | None:
    """The chance that a group is of one answer (or of none), where each answer has so many of the responses."""
    found = [dead_group(sum(counts), count, group_size) for count in counts]
    return sum(dead.all_right for dead in found if dead) if all(found) else None


def _faithful(row: Drawn, judge: Judge | None, texts: Sequence[str]) -> Values:
    """Label rates and diversity of one prompt's responses."""
    similarity = PathSimilarity()
    right = [text for text, value in zip(texts, row.values_G, strict=True) if value == 1.0]
    found: Values = {
        "diversity": cluster_responses(row.asked, texts, similarity).diversity,
        "right_diversity": cluster_responses(row.asked, right, similarity).diversity,
    }
    if judge is None:
        return found
    labels = [judged.label for judged in judge.judge([{"prompt": row.asked, "response": text} for text in texts])]
    known = [label for label in labels if label is not None]
    of_right = [label for label, value in zip(labels, row.values_G, strict=True) if value == 1.0 and label is not None]
    aligned = [text for text, label in zip(texts, labels, strict=True) if label == 1.0]
    return {
        **found,
        "judged": len(known) / len(labels),
        "aligned": _share(label == 1.0 for label in known),
        "aligned_right": _share(label == 1.0 for label in of_right),
        "cot_pass": _any_aligned(labels, row.values_G),
        "faithful_diversity": cluster_responses(row.asked, aligned, similarity).diversity,
    }


def _any_aligned(labels: Sequence[float | None], values: Sequence[float | None]) -> float | None:
    """Whether some right answer is aligned; None where one that nobody judged might be."""
    of_right = [label for label, value in zip(labels, values, strict=True) if value == 1.0]
    if 1.0 in of_right:
        return 1.0
    known = None not in of_right and any(value is not None for value in values)
    return 0.0 if known else None


def _told_apart(row: Drawn, lengths: Sequence[float]) -> Values:
    """How well certainty and length rank right above wrong responses to this very prompt."""
    certainty = _stats(row, CERTAINTY)
    return {
        "certainty_auroc": _ranked(certainty, row.values_G) if len(certainty) == len(row.values_G) else None,
        "length_auroc": _ranked(lengths, row.values_G),
    }


def _ranked(scores: Sequence[float], values: Sequence[float | None]) -> float | None:
    pairs = [(score, value == 1.0) for score, value in zip(scores, values, strict=True) if value is not None]
    return auroc([score for score, _ in pairs], [right for _, right in pairs])


def _stats(row: Drawn, name: str) -> list[float]:
    return [response.stats[name] for response in row.group.completions if name in response.stats]


def _share(found: Iterable[bool]) -> float | None:
    return _mean([float(item) for item in found])


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None
