"""Runs whose responses were saved with fewer columns give the same numbers, page, alarms and labels."""

import json

import polars as pl
import pytest

from presat.analysis import summarise
from presat.diagnosis import alarms, faithfulness
from presat.report.samples import pick_sample
from presat.tasks.lab import lab_problems
from presat.tracking import RolloutStore, open_run
from presat.types import Completion, RolloutGroup, Score

OLD = ("step", "set", "problem_id", "sample", "prompt", "text", "gold", "extracted", "score", "reason", "reward",
       "finished", "n_tokens", "valid_trace")  # fmt: skip


def collapsed(folder):
    """Add a training step whose every response gives one answer."""
    groups = [
        RolloutGroup(item, (1,), (Completion("\\boxed{ 3 }", (1,), None, True),) * 4)
        for item in lab_problems(count=4, seed=1)
    ]
    RolloutStore(folder / "rollouts").write("train", 40, groups, [[Score(0.0, "3")] * 4] * 4)


def found(folder):
    run = open_run(folder)
    summary = summarise(run)
    labels = faithfulness(run, "train")
    assert summary.main_set.headline.interval is not None
    assert labels[40].all.responses == 16
    return json.dumps(summary.to_json()), pick_sample(run, summary), alarms(run), labels


@pytest.mark.parametrize("kept", [OLD, (*OLD[:-1],)])
def test_old_runs_are_read_by_all_that_reads_responses(make_run, kept):
    folder = make_run(ood=(0.2, 0.4), valid=0.9)
    collapsed(folder)
    before = found(folder)
    assert before[1].moments[0].responses
    assert any("same answer, '3'" in alarm.sentence for alarm in before[2])
    for file in (folder / "rollouts").rglob("*.parquet"):
        frame = pl.read_parquet(file)
        frame.select(name for name in kept if name in frame.columns).write_parquet(file)
    after = found(folder)
    assert after[2:] == before[2:]
    if "valid_trace" in kept:
        assert after == before
    else:
        assert after[1].moments[0].responses[0].valid_trace is None
        assert json.loads(after[0])["sets"][0]["intervals"] == json.loads(before[0])["sets"][0]["intervals"]
