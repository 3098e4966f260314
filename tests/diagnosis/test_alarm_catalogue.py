"""Every alarm of the catalogue on a curve that calls for it, and none on healthy ones; onset, severity, what to do."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from presat.diagnosis import alarms
from presat.diagnosis.alarms import CATALOGUE, SEVERITIES, worst
from presat.diagnosis.alarms.lengths import repeated_share
from presat.diagnosis.alarms.series import Curve
from presat.tracking import Run

T = 200
STEPS = np.arange(1, T + 1)
RNG = np.random.default_rng(3)
UP = 0.2 + 0.4 * STEPS / T


def noisy(values, by=0.02):
    return np.asarray(values, dtype=float) * np.ones(T) + RNG.normal(0, by, T)


def late(before, after, start=100):
    """A level that goes over into another one from a step on."""
    return np.where(start > STEPS, before, after)


def made(frame=None, config=None, **series):
    values = {
        name.replace("__", "/"): {int(s): float(v) for s, v in zip(STEPS, np.ones(T) * points, strict=True)}
        for name, points in series.items()
    }
    frames = {} if frame is None else {"train": frame}
    return Run(Path("nowhere"), "csv", values, config=config or {}, rollout_frames=frames)


def healthy(**other):
    series = {
        "reward": noisy(UP), "labels__gold_accuracy": noisy(UP), "entropy": noisy(1.0 - 0.5 * STEPS / T),
        "kl": np.abs(noisy(0.1 * STEPS / T, 0.005)), "grad_norm": np.abs(noisy(0.5, 0.1)), "learning_rate": 1e-6,
        "frac_reward_zero_std": noisy(0.2), "completions__clipped_ratio": noisy(0.05),
        "completions__mean_length": noisy(300 + 100 * STEPS / T, 5), "step_time": noisy(10, 0.5),
        "clip_ratio__region_mean": noisy(0.08, 0.01), "reward_std": noisy(0.45), "loss": noisy(0.0, 0.01),
    }  # fmt: skip
    return made(**{**series, **other})


FLAT = noisy(0.4)
SPIKED = np.where(np.isin(STEPS, (120, 150, 180)), 30.0, np.abs(noisy(0.5, 0.05)))
CASES = {
    "dead_groups_all_right": {"frac_reward_zero_std": noisy(late(0.2, 0.8)), "reward": noisy(late(0.3, 0.9))},
    "dead_groups_all_wrong": {
        "frac_reward_zero_std": noisy(late(0.2, 0.8)),
        "reward": noisy(0.1),
        "labels__gold_accuracy": noisy(0.05),
    },
    "dead_groups_all_rewarded": {
        "frac_reward_zero_std": noisy(late(0.2, 0.8)),
        "reward": noisy(0.95),
        "labels__gold_accuracy": noisy(0.1),
    },
    "dead_groups_all_unrewarded": {
        "frac_reward_zero_std": noisy(late(0.2, 0.8)),
        "reward": noisy(0.1),
        "labels__gold_accuracy": noisy(0.9),
    },
    "dead_groups_truncated": {"frac_reward_zero_std": noisy(0.95), "completions__clipped_ratio": noisy(0.97)},
    "dead_groups_mixed": {"frac_reward_zero_std": noisy(0.8), "reward": noisy(0.5)},
    "vanishing_advantage": {"reward_std": np.abs(noisy(late(0.45, 0.01), 0.001))},
    "truncation": {"completions__clipped_ratio": noisy(late(0.02, 0.4))},
    "length_growth": {"completions__mean_length": noisy(300 + 500 * STEPS / T, 5), "labels__gold_accuracy": FLAT},
    "repetition": {"repetition_rate": noisy(late(0.02, 0.5))},
    "entropy_collapse": {"entropy": noisy(late(1.0, 0.02), 0.005), "reward": FLAT},
    "kl_runaway": {"kl": np.abs(noisy(late(0.05, 3.0)))},
    "policy_stuck": {"learning_rate": 0.0, "reward": FLAT},
    "kl_weight": {"reward": FLAT, "kl": np.linspace(0.001, 0.003, T), "loss": 10 * np.linspace(0.001, 0.003, T)},
    "kl_in_first_tokens": {f"kl_positional__{i}": noisy(late(0.02, 0.5 if i == 0 else 0.02), 0.001) for i in range(8)},
    "clip_saturation": {"clip_ratio__region_mean": noisy(late(0.08, 0.4))},
    "critic_diverging": {"value_explained_variance": noisy(late(0.5, -0.4))},
    "gradient_spikes": {"grad_norm": SPIKED},
    "zero_gradients": {"grad_norm": late(0.5, 0.0)},
    "not_finite": {"loss": np.where(STEPS == 150, np.nan, 0.1)},
    "slower_steps": {"step_time": noisy(10 + 20 * STEPS / T, 0.2)},
    "reward_hacking": {"labels__gold_accuracy": noisy(UP[::-1])},
    "truth_flat": {"labels__gold_accuracy": FLAT},
    "above_truth": {"reward": noisy(0.9), "labels__gold_accuracy": noisy(0.1)},
    "reward_collapse": {"reward": noisy(late(0.7, 0.1))},
    "held_out_fell": {"eval__held__avg@4": np.where(STEPS % 20 == 0, late(0.5, 0.2, 120), np.nan)},
    "memorising": {"eval__held__avg@4": np.where(STEPS % 20 == 0, 0.3, np.nan)},
    "labels_wrong": {"labels__label_accuracy": noisy(late(0.8, 0.2))},
    "part_drowns": {
        "rewards__accuracy__mean": 0.02 * UP,
        "rewards__format__mean": noisy(0.8),
        "reward": 0.02 * UP + 0.8,
    },
    "format_farming": {"rewards__accuracy__mean": noisy(0.3), "rewards__format__mean": noisy(late(0.3, 0.9, 60))},
    "plateau": {"reward": noisy(np.minimum(0.2 + 0.01 * STEPS, 0.6), 0.01)},
    "never_rose": {"reward": FLAT},
}


@pytest.mark.parametrize("name", CASES)
def test_an_alarm_names_its_fault(name):
    found = {alarm.name: alarm for alarm in alarms(healthy(**CASES[name]))}
    assert name in found
    alarm = found[name]
    assert alarm.sentence.endswith(".")
    assert "nan" not in alarm.sentence.lower()
    assert alarm.severity in SEVERITIES
    assert alarm.evidence
    assert all((alarm.remedy.text, alarm.remedy.presat, alarm.remedy.trl, alarm.remedy.verl))
    assert alarm.to_json()["remedy"]["trl"] == alarm.remedy.trl
    if any(np.ptp(np.nan_to_num(series)) > 0 for series in CASES[name].values()) and name in STARTING_AT_100:
        assert alarm.onset is not None
        assert 98 <= alarm.onset <= 104


STARTING_AT_100 = (
    "dead_groups_all_right", "dead_groups_all_rewarded", "truncation", "repetition", "entropy_collapse", "kl_runaway",
    "clip_saturation", "critic_diverging", "zero_gradients", "reward_collapse", "labels_wrong",
)  # fmt: skip


def test_a_healthy_run_raises_nothing_at_any_moment():
    whole = healthy()
    for last in range(5, T + 1, 5):
        values = {name: {s: v for s, v in series.items() if s <= last} for name, series in whole.values.items()}
        assert [alarm.name for alarm in alarms(Run(Path("nowhere"), "csv", values), live=True)] == []


def test_every_alarm_has_a_case_or_a_test_of_its_own():
    elsewhere = {
        "nothing_earned", "answers_unread", "constant_answer", "dead_groups_unjudged", "dead_groups_identical",
        "rapid_saturation", "held_out_flat",
    }  # fmt: skip
    assert set(CATALOGUE) == elsewhere | set(CASES)


def test_every_alarm_is_documented():
    page = (Path(__file__).resolve().parents[2] / "docs" / "alarms.md").read_text(encoding="utf-8")
    table = page.split("## The catalogue")[1].split("\n## ")[0]
    named = set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
    assert named == set(CATALOGUE)


def responses(count=8, **columns):
    """Two groups of four responses at each of three steps."""
    rows = {
        "step": [step for step in (1, 2, 3) for _ in range(count)],
        "problem_id": [f"p{i // 4}" for _ in range(3) for i in range(count)],
        "seed": [1] * 3 * count,
        "reward": [0.0] * 3 * count,
        "text": [f"text {i}" for i in range(3 * count)],
        **{name: values * 3 for name, values in columns.items()},
    }
    return pl.DataFrame(rows, schema_overrides={"reward": pl.Float64, "score": pl.Float64, "extracted": pl.String})


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("truncated", {"finished": [False] * 16}),
        ("unjudged", {"reward": [None] * 16}),
        ("identical", {"text": ["the same"] * 16}),
        ("all_right", {"reward": [1.0] * 16}),
        ("all_right", {"reward": [1.0] * 16, "score": [1.0] * 16}),
        ("all_rewarded", {"reward": [1.0] * 16, "score": [0.0, 0.0, 1.0, 0.0] * 4}),
        ("all_unrewarded", {"score": [1.0] * 16}),
        ("all_wrong", {}),
        ("all_wrong", {"score": [0.0] * 16}),
    ],
)
def test_dead_groups_are_told_apart_by_their_responses(kind, columns):
    run = Run(Path("nowhere"), "rollouts", {}, rollout_frames={"train": responses(16, **columns)})
    (found,) = [alarm for alarm in alarms(run) if alarm.name.startswith("dead_groups")]
    assert (found.name, found.wasted) == (f"dead_groups_{kind}", 1.0)
    mixed = Run(Path("n"), "rollouts", {}, rollout_frames={"train": responses(16, reward=[0.0, 1.0] * 8)})
    assert [alarm.name for alarm in alarms(mixed) if alarm.name.startswith("dead")] == []


def test_dead_groups_from_the_first_step_on_are_critical_be_it_the_only_one():
    frame = responses(16, reward=[1.0] * 16).filter(pl.col("step") == 1)
    frame = pl.concat([frame, frame.with_columns(problem_id=pl.col("problem_id") + "-2")])
    (found,) = alarms(Run(Path("nowhere"), "rollouts", {}, rollout_frames={"train": frame}))
    assert (found.name, found.severity, found.onset) == ("dead_groups_all_right", "critical", 1)
    learned = healthy(frac_reward_zero_std=noisy(late(0.2, 0.97)), reward=late(0.3, 0.97))
    (found,) = [alarm for alarm in alarms(learned) if alarm.name == "dead_groups_all_right"]
    assert found.severity == "warning"


GROWING = 0.01 * np.exp(STEPS / 35)


@pytest.mark.parametrize("shape", [GROWING, np.minimum(GROWING, 0.6)])
def test_a_runaway_begins_where_its_rule_first_holds_for_good_whatever_it_comes_to(shape):
    (found,) = [alarm for alarm in alarms(healthy(kl=shape)) if alarm.name == "kl_runaway"]
    holds = shape >= max(0.2, 8 * np.median(shape[:100]))
    assert abs(found.onset - int(STEPS[np.argmax(holds)])) <= 2
    assert found.severity == ("critical" if shape[-1] >= 1 else "warning")


def test_entropy_is_gone_from_where_it_first_is_for_good():
    gone = 0.5 * np.exp(-STEPS / 40)
    (found,) = [alarm for alarm in alarms(healthy(entropy=gone, reward=FLAT)) if alarm.name == "entropy_collapse"]
    assert abs(found.onset - int(STEPS[np.argmax(gone <= 0.15 * gone[0])])) <= 5


def test_a_bound_that_is_passed_only_now_and_then_is_no_onset():
    values = np.where(np.isin(STEPS, (20, 60, 90)), 1.0, 0.0) + np.where(STEPS >= 150, 1.0, 0.0)
    assert Curve(STEPS, values).above_since(0.5) == Curve(STEPS, -values).below_since(-0.5) == 150
    values[169] = 0.0  # nor does one odd step put it off
    assert Curve(STEPS, values).above_since(0.5) == 150
    assert Curve(STEPS, values[::-1].copy()).above_since(0.5) is None


@pytest.mark.parametrize("part", ["accuracy_reward", "correctness_reward_func", "math_verify", "check_answer"])
def test_length_that_comes_with_a_part_that_pays_for_being_right_is_no_fault(part):
    right = noisy(0.3 + 0.4 * STEPS / T)
    log = {"completions__mean_length": noisy(500 + 8 * STEPS, 5), "reward": right}
    for reward in (right, right + 0.5):  # the only reward, or one of a sum
        grown = made(**{**log, "reward": reward, f"rewards__{part}__mean": right})
        assert "length_growth" not in {alarm.name for alarm in alarms(grown)}
    assert "length_growth" in {alarm.name for alarm in alarms(made(**log))}
    for name, values in ((part, FLAT), ("answer_format", right), ("length_of_answer", right), ("incorrect", right)):
        paid = made(**{**log, f"rewards__{name}__mean": values})
        assert "length_growth" in {alarm.name for alarm in alarms(paid)}


def test_a_plateau_warns_only_while_steps_can_be_saved_and_the_truth_stands_still_too():
    flat = CASES["plateau"]["reward"]

    def severity(status="unknown", **known):
        log = made(reward=flat, **known)
        log.status = status
        return next(alarm.severity for alarm in alarms(log) if alarm.name == "plateau")

    assert severity() == severity("running") == "warning"
    assert severity("finished") == "info"
    assert severity(labels__gold_accuracy=noisy(UP)) == "info"
    assert severity(labels__gold_accuracy=flat) == "warning"


def answered(count, texts, **columns):
    rows = {
        "step": [1] * count, "problem_id": [f"p{i // 4}" for i in range(count)], "seed": [1] * count,
        "reward": [0.0, 1.0] * (count // 2), "text": [texts(i) for i in range(count)], **columns,
    }  # fmt: skip
    frame = pl.DataFrame(rows, schema_overrides={"text": pl.String, "gold": pl.String})
    found = alarms(Run(Path("nowhere"), "rollouts", {}, rollout_frames={"train": frame}))
    return [alarm for alarm in found if alarm.name == "constant_answer"]


def test_a_constant_answer_is_read_from_the_text_where_nothing_says_what_was_read():
    (found,) = answered(64, lambda i: f"I think of {i}, so \\boxed{{7}}")
    assert "100% of 64 responses to 16 different prompts give the same answer, '7'" in found.sentence
    assert found.onset == 1
    assert answered(64, lambda i: f"so \\boxed{{{i // 4}}}") == []
    assert answered(16, lambda i: "so \\boxed{7}") == []  # four questions may have one answer
    assert answered(16, lambda i: "so \\boxed{7}", gold=[f"{i // 4}" for i in range(16)])
    assert answered(64, lambda i: None) == []
    assert answered(4096, lambda i: f"{i} \\boxed{{7}}")[0].evidence["share"] == 1.0


def test_answers_in_another_format_are_said_to_be_unread():
    columns = {"extracted": [None] * 8, "finished": [True] * 8, "text": [f"so \\boxed{{{i}}}" for i in range(8)]}
    run = Run(Path("nowhere"), "presat", {}, rollout_frames={"train": responses(**columns)})
    (found,) = [alarm for alarm in alarms(run) if alarm.name == "answers_unread"]
    assert "100% state one as `boxed`" in found.sentence
    read = {**columns, "extracted": list("01234567")}
    run = Run(Path("nowhere"), "presat", {}, rollout_frames={"train": responses(**read)})
    assert "answers_unread" not in {alarm.name for alarm in alarms(run)}


def test_the_penalty_of_a_log_without_settings_is_read_off_its_loss():
    quiet = healthy(reward=FLAT, kl=np.linspace(0.001, 0.003, T), loss=0.001 * np.linspace(0.001, 0.003, T))
    assert "kl_weight" not in {alarm.name for alarm in alarms(quiet)}
    told = made(config={"beta": 5.0}, reward=FLAT)
    assert "set to 5" in next(alarm for alarm in alarms(told) if alarm.name == "kl_weight").sentence


def test_the_worst_comes_first():
    raised = alarms(healthy(learning_rate=0.0, reward=FLAT))
    assert [alarm.severity for alarm in raised] == sorted((a.severity for a in raised), key=SEVERITIES.index)
    assert (worst(raised), worst([])) == ("critical", None)


def test_repeats_are_counted_by_sequences_of_words():
    assert repeated_share("a b c d e f g") == 0.0
    assert repeated_share("so it goes on and on " * 20) > 0.9
    assert repeated_share("") == 0.0
