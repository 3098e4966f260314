"""Is a forecast any good: fits, intervals over seeds, and skill on seeds that were not fitted."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from presat.forecast.skill import Trial, as_weights, fit, gain_follows, measure, over_seeds, tells_apart


def trials(seeds: range, rule=lambda known: known["aligned_right"], noise: float = 0.1) -> list[Trial]:
    """Four runs a seed whose gain follows one quantity and not the other."""
    found = []
    for seed in seeds:
        rng = random.Random(seed)
        for start in "abcd":
            known = {"aligned_right": rng.random(), "diversity": rng.random(), "absent": None}
            gain = rule(known) - 0.5 + rng.gauss(0.0, noise)
            during = {"lr": rng.random()}
            found.append(Trial("clean", seed, start, known, gain, gain > 0, during))
    return found


def test_the_quantity_that_decides_is_found() -> None:
    some = trials(range(20))
    decides, other = (over_seeds(some, gain_follows(name)) for name in ("aligned_right", "diversity"))
    assert decides is not None
    assert other is not None
    assert decides.low > 0.7
    assert other.low < 0.0 < other.high
    area = over_seeds(some, tells_apart("aligned_right"))
    assert area is not None
    assert area.low > 0.8
    assert over_seeds(some, gain_follows("absent")) is None


def test_what_another_quantity_explains_is_taken_off() -> None:
    some = [
        replace(trial, during={"lr": (trial.known["aligned_right"] or 0.0) + random.Random(place).gauss(0, 0.05)})
        for place, trial in enumerate(trials(range(40)))
    ]
    alone, held = (over_seeds(some, gain_follows("lr", given)) for given in ((), ("aligned_right",)))
    assert alone is not None
    assert held is not None
    assert alone.estimate > 0.7
    assert abs(held.estimate) < 0.3


def test_a_fit_holds_on_other_seeds_and_knows_what_it_does_not() -> None:
    model = fit(trials(range(40)), ["aligned_right", "diversity", "absent"])
    weight = {name: weighed["weight"] for name, weighed in model.quantities.items()}
    assert weight["aligned_right"] > 4 * abs(weight["diversity"])
    assert weight["absent"] == 0.0
    skill = measure(model, trials(range(100, 120)))
    assert (skill.trials, skill.seeds) == (80, 20)
    assert skill.auroc is not None
    assert skill.brier is not None
    assert skill.auroc.low > 0.8
    assert skill.brier.high < skill.baseline
    assert "80 held-out lab runs of 20 seeds" in skill.sentence
    kept = json.loads(json.dumps(as_weights(model, skill)))
    assert kept["quantities"]["aligned_right"]["weight"] == weight["aligned_right"]


def test_nothing_is_weighed_where_no_run_differs() -> None:
    model = fit(trials(range(5), rule=lambda known: -9.0), ["aligned_right"])
    assert model.quantities == {}
    assert model.probability(trials(range(1))[0]) == pytest.approx(0.5 / 21, abs=1e-3)
    skill = measure(model, trials(range(7, 9), rule=lambda known: -9.0))
    assert skill.auroc is None
    assert "nothing could be told apart" in skill.sentence


def test_noise_is_no_skill() -> None:
    model = fit(trials(range(30), rule=lambda known: 0.5, noise=1.0), ["aligned_right", "diversity"])
    skill = measure(model, trials(range(50, 80), rule=lambda known: 0.5, noise=1.0))
    assert skill.auroc is not None
    assert skill.auroc.low < 0.5 < skill.auroc.high
