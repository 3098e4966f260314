"""What the analysis of a run finds, as plain values: its sets, its reward, its verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from presat.analysis.collapse import Fall
from presat.analysis.estimates import Change
from presat.analysis.peak import Peak
from presat.metrics import Coverage, Interval, SaturationGains, coverage_of, main_set, metric_of
from presat.metrics.gains import Grid, Reading
from presat.metrics.support import PassCurve, SupportChange

if TYPE_CHECKING:
    from presat.diagnosis import Alarm

WINDOW = 5
MIN_REWARD_RISE = 0.05
"""Rise of a reward from which on it has risen."""

Tone = Literal["good", "partly", "bad", "open"]
_MEANING: dict[str, tuple[Tone, str]] = {
    "learned to reason": ("good", "the held-out score rose with what the model can do, and right answers are derived"),
    "learned": ("good", "the held-out score rose, and greedy or pass@k with it"),
    "improved": ("good", "the held-out score rose; by learning or by sharpening was not measured"),
    "sharpened": ("partly", "the held-out score rose, but only to what the model could already do"),
    "learned without valid reasoning": ("partly", "the held-out score rose, but right answers are not derived"),
    "trained on its test": ("bad", "the evaluation set is trained on: nothing is known of other problems"),
    "learned, then lost it": ("bad", "the held-out score rose, and what it had gained is gone again"),
    "mostly memorised": ("bad", "the held-out score rose by little of what the reward did"),
    "memorised": ("bad", "the reward rose, the held-out score did not"),
    "hacked its reward": ("bad", "the reward rose, the true accuracy did not"),
    "did not train": ("bad", "the reward did not rise"),
    "collapsed": ("bad", "at least half of what the model could do, of its answers or of its reward, is gone"),
    "got worse": ("bad", "the model can clearly do less than before training"),
    "nothing to learn": ("open", "it was solved from the start"),
    "lost breadth": ("bad", "the reward rose, and fewer problems are solved by any of several samples"),
    "unclear": ("open", "the evaluation is too small to tell"),
}

BUT = ", and "
"""Joins a label and what was lost meanwhile: another set, if it is good news, or breadth."""
BREADTH = "lost breadth"
SINCE = ", then fell"
"""Ends a label that is good news of a score that was clearly better in between."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run did.

    Attributes:
        label: one of the bold words of `presat.analysis.verdict`.
        sentence: the numbers it rests on.
    """

    label: str
    sentence: str

    @property
    def tone(self) -> Tone:
        """Good news, partly good, bad, or open: not known."""
        label, _, lost = self.label.removesuffix(SINCE).partition(BUT)
        tone = _MEANING.get(label, ("open", ""))[0]
        if lost:
            return "partly" if lost == BREADTH and tone in ("good", "partly") else "bad"
        return "partly" if self.label.endswith(SINCE) else tone

    @property
    def meaning(self) -> str:
        """The label in a few words; empty where the sentence says it all."""
        label, _, lost = self.label.removesuffix(SINCE).partition(BUT)
        meaning = _MEANING.get(label, ("open", ""))[1]
        if lost == BREADTH:
            return f"{meaning}{'; ' if meaning else ''}fewer problems are solved by any of several samples"
        if lost:
            return "the main held-out score rose, and another clearly fell"
        if self.label.endswith(SINCE):
            return "the held-out score rose, and has clearly fallen since its best"
        return meaning


@dataclass(frozen=True, slots=True)
class Choices:
    """How the numbers of a summary were read; every table that prints them prints this too.

    Attributes:
        tail: steps at the end that t_sat is not searched in; None takes `default_tail(T)`.
        window: steps of the trailing mean: for the smoothed t_sat, and for the first and last reward.
        reading: how a score is read between evaluations.
        grid: where the maximum of D_post is taken.
    """

    tail: int | None = None
    window: int = WINDOW
    reading: Reading = "interpolate"
    grid: Grid = "curve"


@dataclass(frozen=True)
class SetSummary:
    """One evaluation set of one run.

    Attributes:
        name: the set.
        metric: the headline score (`avg@16`, or what there is).
        steps: evaluation steps of the headline score.
        scores: its values.
        intervals: 95% interval of each, over problems; None where the responses were not saved.
        first_step: where "before" was read; 0 unless the run has no evaluation before training.
        last_step: where "after" was read.
        gains: D_sat and D_post of the headline score, with the reasons for what is missing.
        smoothed_gains: the same with t_sat from the smoothed reward.
        changes: first to last evaluation, by metric name, the headline score first.
        peak: the best evaluation in between, where the headline score has clearly fallen since.
        support: problems solved at all, before and after; None where the responses were not saved.
        pass_curves: pass@k by k before and after, each with a band that holds for all k at once; likewise.
        models: what was evaluated at each step, where these are several models and no curve; else empty.
    """

    name: str
    metric: str
    steps: list[int]
    scores: list[float]
    intervals: list[Interval | None]
    first_step: int
    last_step: int
    gains: SaturationGains
    smoothed_gains: SaturationGains
    changes: Mapping[str, Change]
    peak: Peak | None = None
    support: SupportChange | None = None
    pass_curves: tuple[PassCurve, PassCurve] | None = None
    models: list[str] = field(default_factory=list)

    @property
    def coverage(self) -> Coverage | None:
        """How many problems the scores are over, of both evaluations the smaller number; None where not logged."""
        ends = [
            coverage_of({name: getattr(change, end) for name, change in self.changes.items()})
            for end in ("before", "after")
        ]
        return min((found for found in ends if found), key=lambda found: found.judged, default=None)

    @property
    def headline(self) -> Change:
        """Change of the headline score."""
        return self.changes[self.metric]

    def change(self, kind: str) -> tuple[str, Change] | None:
        """Name and change of a metric by its kind (`pass`, `maj`, `greedy`, ...), the largest k first."""
        name = metric_of(self.changes, kind)
        return None if name is None else (name, self.changes[name])


@dataclass(frozen=True)
class RunSummary:
    """Everything the report says about a run in numbers.

    Attributes:
        name: what the run is called.
        path: where it was read from.
        kind: `presat`, `trl`, `verl`, `rollouts` or `csv`.
        status: how it ended.
        status_reason: why.
        steps: T, the training steps logged.
        rewards_T: mean train reward of steps 1..T, NaN where not logged.
        reward_is_share: whether that is a share of what is paid (`Run.reward_is_share`).
        reward: mean of the first and of the last `choices.window` logged rewards; None without a reward.
        gold_T: accuracy of the same responses by the true answers, NaN where not logged; empty when never.
        gold: its first and last, like `reward`.
        loss: the training loss, likewise.
        t_sat: the paper's saturation step, on the reward as logged.
        t_sat_smoothed: the same on the trailing mean.
        t_sat_reason: why `t_sat` is None; a run that did not train has none.
        rapid: whether t_sat is below 100/496 of the run, which the paper calls rapid.
        tail: the tail that was used.
        choices: how everything was read.
        sets: evaluation sets with a score, the main one first.
        unscored: evaluation sets of which no response could be judged, by name.
        tainted: evaluation sets that are no held-out sets, because their problems were trained on.
        notes: what the reader of the run had to say.
        alarms: what `presat.diagnosis` warns of, as far as the verdict leaves it standing.
        falls: what has clearly fallen since the first step, the most telling first (`presat.analysis.collapse`).
        verdict: the run in plain words, by rule.
    """

    name: str
    path: str
    kind: str
    status: str
    status_reason: str
    steps: int
    rewards_T: list[float]
    reward_is_share: bool
    gold_T: list[float]
    reward: Change | None
    gold: Change | None
    loss: Change | None
    t_sat: int | None
    t_sat_smoothed: int | None
    t_sat_reason: str
    rapid: bool | None
    tail: int
    choices: Choices
    sets: list[SetSummary]
    unscored: Mapping[str, Coverage] = field(default_factory=dict)
    tainted: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)
    falls: list[Fall] = field(default_factory=list)
    verdict: Verdict = field(default_factory=lambda: Verdict("no verdict", ""))

    @cached_property
    def main_set(self) -> SetSummary | None:
        """The set the verdict looks at: the first in distribution whose scores are shares, as far as there is one.

        One whose problems were trained on comes after all others.
        """
        held_out = [item for item in self.sets if item.name not in self.tainted]
        return main_set(held_out or self.sets, lambda item: item.name, lambda item: item.scores)

    def transfer(self, item: SetSummary) -> float | None:
        """Rise of a set's headline score per unit of train reward gained: what of the training reached other problems.

        It compares runs that start or end at different rewards. None where the reward rose by too little to divide by,
        or there is no evaluation before and after.
        """
        if self.reward is None or self.reward.difference <= MIN_REWARD_RISE or item.first_step == item.last_step:
            return None
        return item.headline.difference / self.reward.difference

    def to_json(self) -> dict[str, Any]:
        """JSON-able form: not-a-number is null."""
        return _plain(asdict(self))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
