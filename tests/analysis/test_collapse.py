"""What a run has lost is said first, whatever its reward did."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from rich.console import Console

from presat.analysis import collapse, summarise
from presat.analysis.collapse import find_falls
from presat.analysis.numbers import RunSummary
from presat.analysis.verdict import standing
from presat.diagnosis import Alarm
from presat.report import build_report
from presat.report.terminal import summary_table
from presat.tracking import Run, open_run

T = 40
FELL = (0.54, 0.3, 0.1, 0.03, 0.02)


def bare(rewards=(0.3, 0.9), scores=FELL, gold=None, problems=None, config=None, **others) -> Run:
    """A run without saved responses: a reward, scores at five evaluations, the true accuracy of its steps."""
    rewards_T = np.linspace(*rewards, T)
    values = {"reward": dict(enumerate(rewards_T.tolist(), start=1))}
    at = [step * T // 4 for step in range(5)]
    for name, found in {"avg@16": scores, **others}.items():
        if found is not None:
            values[f"eval/math/{name}"] = dict(zip(at, found, strict=True))
    if problems:
        values["eval/math/judged_problems"] = dict.fromkeys(at, float(problems))
    if gold is not None:
        values["labels/gold_accuracy"] = dict(enumerate(map(float, gold), start=1))
    return Run(Path("nowhere"), "presat", values, config or {})


@pytest.mark.parametrize(
    ("rewards", "name"),
    [((15.0, 25.0), "self-certainty"), ((0.5, 0.51), "random"), ((-2.0, -0.1), "entropy"), ((0.3, 0.9), "share")],
)
def test_a_collapse_is_the_verdict_whatever_the_reward_did(rewards, name):
    summary = summarise(bare(rewards, problems=60), name=name)
    assert summary.verdict.label == "collapsed"
    assert summary.verdict.tone == "bad"
    assert summary.verdict.sentence.startswith(
        "Held-out avg@16 on math fell from 0.54 at step 0 to 0.02, from step 10 on (-0.52, 95% interval -0.6"
    )
    assert "a bound from 60 problems). Take a checkpoint from before step 10, or the model as it came;" in (
        summary.verdict.sentence
    )
    assert "The train reward" in summary.verdict.sentence or "the train reward" in summary.verdict.sentence


def test_it_is_first_on_the_terminal_and_on_the_page(make_run, tmp_path):
    run = open_run(make_run(rewards=(0.5, 0.5), levels=FELL, held_out=(0.5, 0.0)))
    summary = summarise(run, name="mine")
    (fall,) = summary.falls
    assert (fall.kind, fall.first, fall.step, fall.basis) == ("main", 0, 10, "paired over 40 problems")
    shown = Console(width=400, file=StringIO(), record=True)
    shown.print(summary_table([summary]))
    assert f"mine: collapsed. {fall.sentence} {fall.advice}" in shown.export_text()
    page = build_report([run], tmp_path / "page.html").read_text()
    assert page.index("Held-out avg@8 on held_out fell from") < page.index("The train reward went from")


def test_what_is_clear_rests_on_what_is_known():
    down = (0.54, 0.5, 0.47, 0.46, 0.46)
    assert find_falls(bare(scores=down)) == []  # 0.08, of who knows how many problems
    assert find_falls(bare(scores=down, problems=60)) == []
    (fall,) = find_falls(bare(scores=down, problems=2000))
    assert (fall.basis, fall.step) == ("a bound from 2000 problems", 10)
    (fall,) = find_falls(bare(scores=(0.54, 0.5, 0.47, 0.46, 0.40)))
    assert (fall.basis, fall.step, fall.change.interval) == ("no interval: a fall of 0.10 counts", 40, None)
    assert find_falls(bare(scores=FELL, problems=2))[0].basis.startswith("no interval")
    assert find_falls(bare(scores=(20.0, 10.0, 5.0, 2.0, 0.0))) == []  # no shares


def test_a_fall_that_was_made_good_is_none():
    assert find_falls(bare(scores=(0.5, 0.1, 0.2, 0.4, 0.5), problems=60)) == []
    (fall,) = find_falls(bare(scores=(0.5, 0.1, 0.5, 0.2, 0.1), problems=60))
    assert fall.step == 30  # for good


def test_a_smaller_fall_is_said_first_and_called_by_its_cause_where_one_is_known():
    down = (0.54, 0.5, 0.45, 0.4, 0.36)
    assert summarise(bare((0.5, 0.5), down, problems=500)).verdict.label == "got worse"
    learned_by_heart = summarise(bare((0.3, 0.9), down, problems=500))
    assert learned_by_heart.verdict.label == "memorised"
    assert learned_by_heart.verdict.sentence.startswith("Held-out avg@16 on math fell from 0.54 at step 0 to 0.36")


def test_gold_that_is_lost_within_the_first_steps_is_seen():
    gold = [0.47, 0.4, 0.2, 0.05, *[0.0] * (T - 4)]  # the mean of the first five steps is 0.22
    summary = summarise(bare((-2.0, -0.5), (0.1, 0.1, 0.1, 0.1, 0.1), gold, config={"prompts_per_step": 16}))
    assert summary.verdict.label == "collapsed"
    assert summary.verdict.sentence.startswith(
        "The true accuracy of the training responses fell from 0.47 at step 1 to 0.00, from step 4 on ("
    )
    assert "a bound from 16 problems a step" in summary.verdict.sentence
    less = [0.6] + [0.4] * (T - 1)
    hacked = summarise(bare((0.4, 0.9), None, less, config={"prompts_per_step": 256}))
    assert hacked.verdict.label == "hacked its reward"
    assert hacked.verdict.sentence.startswith("The true accuracy of the training responses fell from 0.60")


def test_answers_that_are_lost_are_a_fall(make_run):
    folder = make_run(rewards=(0.5, 0.5), held_out=(0.1, 0.1), spread=0.0)
    for step in (20, 30, 40):
        file = folder / "rollouts" / "eval" / f"held_out-step_{step:06d}.parquet"
        frame = pl.read_parquet(file)
        kept = pl.when(pl.int_range(frame.height) % 10 == 0).then(pl.col("extracted"))
        frame.with_columns(kept.alias("extracted")).write_parquet(file)
    summary = summarise(open_run(folder))
    assert summary.verdict.label == "collapsed"
    assert summary.verdict.sentence.startswith(
        "The share of responses with an answer on held_out fell from 1.00 at step 0 to 0.10, from step 20 on ("
    )


def test_another_set_that_fell_is_in_the_label_of_a_run_that_learned(make_run):
    summary = summarise(open_run(make_run(held_out=(0.3, 0.8), ood=(0.6, 0.1))))
    assert summary.verdict.label.startswith("learned")
    assert summary.verdict.label.endswith(", and collapsed on ood")
    assert summary.verdict.tone == "bad"
    assert summary.verdict.meaning
    assert summary.verdict.sentence.startswith("Held-out avg@8 on ood fell from 0.6")
    assert [fall.kind for fall in summary.falls] == ["other"]


def test_scores_that_were_measured_otherwise_are_no_fall(make_run):
    folder = make_run(rewards=(0.5, 0.5), held_out=(0.6, 0.1), levels=(0.6, 0.6, 0.1, 0.1, 0.1))
    assert find_falls(open_run(folder)) != []
    noted = {str(step): {"temperature": 1.0 if step < 20 else 0.1} for step in range(0, 50, 10)}
    (folder / "evaluated.json").write_text(str({"held_out": noted}).replace("'", '"'))
    assert find_falls(open_run(folder)) == []


def test_the_record_of_evaluations_is_read_once(make_run, monkeypatch):
    run = open_run(make_run(held_out=(0.7, 0.1), ood=(0.5, 0.1)))
    read = []
    monkeypatch.setattr(collapse, "read_recorded", lambda path: read.append(path) or {})
    assert len(find_falls(run)) >= 2
    assert read == [run.path]


def test_no_alarm_says_another_thing_than_the_verdict():
    raised = [Alarm(name, "") for name in ("rapid_saturation", "reward_hacking", "constant_answer", "held_out_flat")]

    def left(label, fallen=False):
        summary: RunSummary = summarise(bare(scores=None))
        return [alarm.name for alarm in standing(raised, replace(summary.verdict, label=label), fallen)]

    assert left("memorised") == ["rapid_saturation", "constant_answer", "held_out_flat"]
    assert left("learned") == ["constant_answer"]
    assert left("sharpened") == ["rapid_saturation", "constant_answer"]
    assert left("did not train") == ["constant_answer"]
    assert left("hacked its reward") == ["rapid_saturation", "reward_hacking", "constant_answer"]
    assert left("collapsed", fallen=True) == ["reward_hacking", "constant_answer"]
    assert left("memorised", fallen=True) == ["constant_answer"]  # the fall is said with what to do about it


def rewarded(*levels):
    """A run that logged nothing but these rewards."""
    return Run(Path("nowhere"), "verl", {"reward": dict(enumerate(map(float, levels), start=1))}, {})


def test_a_train_reward_that_fell_to_nothing_is_said_first():
    run = rewarded(*np.linspace(0.6, 0.75, 49), *[0.02] * 51)
    summary = summarise(run)
    assert summary.verdict.label == "collapsed"
    assert summary.verdict.sentence.startswith(
        "The train reward fell from 0.75 at step 49 to 0.02, from step 50 on (-0.73;"
    )
    assert summarise(rewarded(*[0.6] * 20, *[0.35] * 20)).verdict.label == "got worse"
    noisy = 0.5 + 0.1 * np.random.default_rng(0).standard_normal(100)
    assert find_falls(rewarded(*noisy)) == []
    assert find_falls(rewarded(*[0.3] * 20, *[0.9] * 20, *[0.5] * 20)) == []  # not below its start
    assert find_falls(rewarded(*[9.0] * 20, *[0.0] * 20)) == []  # no share
