from pathlib import Path

import numpy as np
import polars as pl
import pytest

from presat.diagnosis import alarms
from presat.diagnosis.alarms import CATALOGUE
from presat.diagnosis.alarms.series import Curves
from presat.tracking import Run

T = 100
RISING = np.linspace(0.2, 0.9, T)
QUICK = np.concatenate([np.linspace(0.2, 1.0, 10), np.ones(T - 10)])
NOISE = np.random.default_rng(0).normal(0, 0.1, T)


def said(name):
    """What one check of the catalogue says of a run; None where it raises nothing."""

    def say(run):
        found = CATALOGUE[name].find(Curves(run))
        return None if found is None else found.sentence

    return say


constant_answer, held_out_flat, rapid_saturation, reward_hacking = map(
    said, ("constant_answer", "held_out_flat", "rapid_saturation", "reward_hacking")
)


def run(rewards=None, frame=None, **series):
    values = {"reward": dict(enumerate(map(float, rewards), start=1))} if rewards is not None else {}
    values |= {name: dict(enumerate(map(float, points), start=1)) for name, points in series.items()}
    return Run(Path("nowhere"), "presat", values, rollout_frames={} if frame is None else {"train": frame})


def with_eval(rewards, **sets):
    made = run(rewards)
    made.values |= {
        f"eval/{name}/avg@16": {0: start, 50: (start + end) / 2, T: end} for name, (start, end) in sets.items()
    }
    return made


def test_rapid_saturation():
    assert "step 10 of 100" in rapid_saturation(run(QUICK))
    assert rapid_saturation(run(RISING)) is None  # not before the tail
    assert rapid_saturation(run(np.concatenate([np.linspace(0.2, 1.0, 40), np.ones(60)]))) is None  # not rapid
    assert rapid_saturation(run([1.0] * 10)) is None  # too short to judge
    assert rapid_saturation(run()) is None


def test_reward_hacking_needs_a_rise_and_a_fall():
    up, down, flat = RISING + NOISE, RISING[::-1] + NOISE, 0.5 + NOISE
    hacked = reward_hacking(run(up, **{"labels/gold_accuracy": down}))
    assert "rose from 0.2" in hacked
    assert "fell from 0.9" in hacked
    for gold in (up, flat):
        assert reward_hacking(run(up, **{"labels/gold_accuracy": gold})) is None
    assert reward_hacking(run(flat, **{"labels/gold_accuracy": down})) is None
    assert reward_hacking(run(up)) is None


def test_hacking_within_the_first_fifth_is_seen():
    """All is over by step 6 of 100: the means of the first fifth tell little of it, or nothing."""
    reward = np.concatenate([np.linspace(0.4, 1.0, 6), np.ones(T - 6)])
    gold = np.concatenate([np.linspace(0.5, 0.0, 6), np.zeros(T - 6)])
    hacked = reward_hacking(run(reward, **{"labels/gold_accuracy": gold}))
    assert "rose from 0.40 to 1.00 while accuracy against the gold answers fell from 0.50 to 0.00" in hacked
    certainty = run(19 + 3 * reward, **{"labels/gold_accuracy": np.where(np.arange(T) < 3, 0.5, 0.0)})
    assert "fell from 0.50 to 0.00" in reward_hacking(certainty)
    assert reward_hacking(run(np.full(T, 0.4), **{"labels/gold_accuracy": gold})) is None


def test_noise_alone_is_not_called_hacking():
    rng = np.random.default_rng(1)
    raised = 0
    for _ in range(200):
        reward, gold = (rng.binomial(64, 0.5, T) / 64 for _ in range(2))
        raised += reward_hacking(run(reward, **{"labels/gold_accuracy": gold})) is not None
    assert raised == 0


def responses(answers, golds, step=7):
    prompts = [f"p{i // 2}" for i in range(len(answers))]
    return pl.DataFrame(
        {"step": [step] * len(answers), "problem_id": prompts, "extracted": answers, "gold": golds},
        schema_overrides={"extracted": pl.String, "gold": pl.String},
    )


def test_a_constant_answer_is_seen_in_the_last_step():
    golds = [str(i // 2) for i in range(20)]
    collapsed = pl.concat([responses(golds, golds, step=1), responses(["4"] * 19 + [None], golds)])
    sentence = constant_answer(run(frame=collapsed))
    assert "At step 7, 95% of 20 responses to 10 different prompts" in sentence
    assert "'4'" in sentence
    recovered = pl.concat([responses(["4"] * 20, golds, step=1), responses(golds, golds)])
    assert constant_answer(run(frame=recovered)) is None


@pytest.mark.parametrize(
    ("answers", "golds"),
    [
        (["4"] * 4, ["4"] * 4),  # all golds are that answer
        (["4", "4"], ["4", "5"]),  # one prompt
        ([None] * 4, ["4", "4", "5", "5"]),  # nothing boxed
        (["4"] * 3 + ["5"], ["4", "4", "5", "5"]),  # three quarters
    ],
)
def test_what_is_no_constant_answer(answers, golds):
    assert constant_answer(run(frame=responses(answers, golds))) is None


def test_a_saturated_run_that_gained_nothing_held_out():
    sentence = held_out_flat(with_eval(QUICK, held=(0.24, 0.18), far=(0.21, 0.2)))
    assert "saturated at step 10" in sentence
    assert "held 0.24 to 0.18" in sentence
    assert held_out_flat(with_eval(QUICK, held=(0.24, 0.6), far=(0.21, 0.2))) is None
    assert held_out_flat(with_eval(RISING, held=(0.24, 0.18))) is None  # not saturated
    assert held_out_flat(run(QUICK)) is None  # never evaluated


def test_all_alarms_of_a_run():
    raised = alarms(with_eval(QUICK, held=(0.3, 0.3)))
    assert [alarm.name for alarm in raised] == ["held_out_flat", "rapid_saturation"]
    assert all(alarm.sentence.endswith((".", ").")) for alarm in raised)
    assert alarms(run()) == []
