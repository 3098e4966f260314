"""How good is a forecast? Runs that were checked before RL, and what became of them.

A trial is one RL run with the evidence of its start. Trials of one seed share models and problems, so every interval is
over seeds: a bootstrap that draws whole seeds. Weights are fitted on some seeds and measured on others.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from presat.forecast.verdict import Kind, Weighed, standing
from presat.metrics import Interval, auroc
from presat.metrics.calibration import brier_score
from presat.metrics.logistic import fit_logistic
from presat.metrics.ranks import partial_spearman, spearman

DRAWS = 1000
"""Bootstrap samples of seeds."""
LEAST_SEEDS = 3
"""Fewer seeds have no interval."""
PENALTY = 2.0
"""Ridge penalty of a fit, in cases: tens of runs do not fix three weights."""
Statistic = Callable[[Sequence["Trial"]], float | None]


@dataclass(frozen=True)
class Trial:
    """One RL run and what was known before it.

    Attributes:
        kind: its supervision.
        seed: what it shares with other trials.
        start: what its model went through.
        known: quantities of the evidence by name; None where one is not defined.
        gain: held-out score after minus before.
        generalised: whether that is a gain beyond chance.
        during: quantities of the run itself (`t_sat`, `start_reward`, `length`, `lr`), which no forecast may use.
    """

    kind: Kind
    seed: int
    start: str
    known: Mapping[str, float | None]
    gain: float
    generalised: bool
    during: Mapping[str, float | None]


def over_seeds(trials: Sequence[Trial], statistic: Statistic, level: float = 0.95) -> Interval | None:
    """A statistic of trials with its interval over seeds; None where it is not defined.

    The ends are percentiles over drawn seeds; draws for which it is not defined are left out. For fewer than three
    seeds they are the estimate itself.
    """
    estimate = statistic(trials)
    if estimate is None:
        return None
    by_seed: dict[int, list[Trial]] = {}
    for trial in trials:
        by_seed.setdefault(trial.seed, []).append(trial)
    seeds = sorted(by_seed)
    if len(seeds) < LEAST_SEEDS:
        return Interval(estimate, estimate, estimate)
    rng = random.Random(0)
    found = []
    for _ in range(DRAWS):
        value = statistic([trial for seed in rng.choices(seeds, k=len(seeds)) for trial in by_seed[seed]])
        if value is not None:
            found.append(value)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high))


def gain_follows(name: str, given: Sequence[str] = ()) -> Statistic:
    """Spearman's correlation of a quantity with the gain, others held fixed; trials without one of them left out."""

    def statistic(trials: Sequence[Trial]) -> float | None:
        rows = [[_value(trial, each) for each in (name, *given)] for trial in trials]
        kept = [(row, trial.gain) for row, trial in zip(rows, trials, strict=True) if None not in row]
        columns = [np.array([row[i] for row, _ in kept], dtype=float) for i in range(1 + len(given))]
        gains = np.array([gain for _, gain in kept])
        if not given:
            return spearman(columns[0], gains) if kept else None
        return partial_spearman(columns[0], gains, columns[1:]) if kept else None

    return statistic


def tells_apart(name: str) -> Statistic:
    """AUROC of a quantity for having generalised; trials without it left out."""

    def statistic(trials: Sequence[Trial]) -> float | None:
        pairs = [(value, trial.generalised) for trial in trials if (value := _value(trial, name)) is not None]
        return auroc([value for value, _ in pairs], [right for _, right in pairs])

    return statistic


def _value(trial: Trial, name: str) -> float | None:
    return trial.known[name] if name in trial.known else trial.during.get(name)


@dataclass(frozen=True)
class Fitted:
    """A model of one kind of supervision, as `weights.json` holds it.

    Attributes:
        bias: log-odds where nothing is known.
        quantities: what each weighs.
        base_rate: share of the trials it was fitted on that generalised: what always saying it comes to.
    """

    bias: float
    quantities: dict[str, Weighed]
    base_rate: float

    def probability(self, trial: Trial) -> float:
        """The chance that a trial generalises."""
        pushes = [
            weighed["weight"] * standing(value, weighed["middle"], weighed["scale"])
            for name, weighed in self.quantities.items()
            if (value := trial.known.get(name)) is not None
        ]
        return float(1.0 / (1.0 + np.exp(-self.bias - sum(pushes))))


def fit(trials: Sequence[Trial], names: Sequence[str]) -> Fitted:
    """Fit the weights of some quantities; one that is not known adds nothing, as in a verdict.

    Where all trials generalised, or none, nothing weighs, and the chance is theirs with half a run added to either
    side.
    """
    happened = [trial.generalised for trial in trials]
    share = sum(happened) / len(happened)
    if share in (0.0, 1.0):
        odds = (sum(happened) + 0.5) / (len(happened) - sum(happened) + 0.5)
        return Fitted(round(math.log(odds), 3), {}, share)
    scales: dict[str, tuple[float, float]] = {}
    for name in names:
        values = [value for trial in trials if (value := trial.known.get(name)) is not None]
        spread = statistics.pstdev(values) if values else 0.0
        scales[name] = round(statistics.fmean(values), 4) if values else 0.0, round(2.0 * spread, 4) or 1.0
    features = [[_feature(trial.known.get(name), *scales[name]) for name in names] for trial in trials]
    found = fit_logistic(features, happened, PENALTY)
    quantities: dict[str, Weighed] = {
        name: {
            "weight": round(float(weight), 3),
            "middle": round(scales[name][0], 4),
            "scale": round(scales[name][1], 4),
        }
        for name, weight in zip(names, found.weights, strict=True)
    }
    return Fitted(round(found.bias, 3), quantities, share)


def _feature(value: float | None, middle: float, scale: float) -> float:
    return 0.0 if value is None else standing(value, middle, scale)


@dataclass(frozen=True)
class Skill:
    """How a fitted model does on trials that it was not fitted on.

    Attributes:
        trials: how many.
        seeds: of how many seeds.
        generalised: how many of them generalised.
        auroc: how well it tells those from the others, over seeds; None where there is nothing to tell apart.
        brier: mean squared distance of the chance from what happened, over seeds.
        baseline: the same for always saying the base rate of the fit.
    """

    trials: int
    seeds: int
    generalised: int
    auroc: Interval | None
    brier: Interval | None
    baseline: float

    @property
    def sentence(self) -> str:
        """In words, as `weights.json` and every verdict say it."""
        runs = f"{self.trials} held-out lab runs of {self.seeds} seeds, {self.generalised} of which generalised"
        if self.auroc is None:
            return f"on {runs}, nothing could be told apart"
        low, high = self.auroc.low, self.auroc.high
        brier = "" if self.brier is None else f", Brier {self.brier.estimate:.2f} against {self.baseline:.2f} by chance"
        return f"AUROC {self.auroc.estimate:.2f} ({low:.2f} to {high:.2f}){brier}, on {runs}"


def measure(model: Fitted, trials: Sequence[Trial]) -> Skill:
    """Measure a fitted model on trials of other seeds."""

    def ranked(some: Sequence[Trial]) -> float | None:
        return auroc([model.probability(trial) for trial in some], [trial.generalised for trial in some])

    def distance(some: Sequence[Trial]) -> float | None:
        return brier_score([model.probability(t) for t in some], [t.generalised for t in some]) if some else None

    return Skill(
        len(trials),
        len({trial.seed for trial in trials}),
        sum(trial.generalised for trial in trials),
        over_seeds(trials, ranked),
        over_seeds(trials, distance),
        brier_score([model.base_rate] * len(trials), [trial.generalised for trial in trials]) if trials else 0.25,
    )


def as_weights(model: Fitted, skill: Skill) -> dict[str, Any]:
    """What `weights.json` holds of a model."""
    return {"bias": model.bias, "skill": skill.sentence, "quantities": model.quantities}
