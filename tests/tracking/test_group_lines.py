"""JSON lines of groups, or of single responses, with a step or without."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from presat.diagnosis import alarms
from presat.errors import RunError
from presat.tracking import open_run


def write(folder: Path, rows: list[dict]) -> Path:
    file = folder / "responses.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_groups_without_a_step_count_the_passes_over_each_prompt(tmp_path):
    rows = [{"prompt_id": f"p{p}", "rewards": [1.0, float(turn == 2)]} for turn in range(3) for p in range(4)]
    run = open_run(write(tmp_path, rows))
    assert run.values["reward"] == {1: 0.5, 2: 0.5, 3: 1.0}
    assert run.rollout_steps() == [1, 2, 3]
    frame = run.rollouts(columns=("step", "problem_id", "sample", "reward"))
    assert frame.height == 24
    assert frame["sample"].to_list()[:2] == [0, 1]


def test_single_responses_of_a_step(tmp_path):
    rows = [
        {"step": step, "prompt": f"what is {p}", "response": f"it is {s}", "reward": 0.0, "finished": True}
        for step in (3, 4) for p in range(5) for s in range(4)
    ]  # fmt: skip
    run = open_run(write(tmp_path, rows))
    assert run.rollout_steps() == [3, 4]
    assert [alarm.name for alarm in alarms(run)] == ["dead_groups_all_wrong"]
    assert alarms(run)[0].wasted == 1.0


def test_a_reward_that_is_null_is_missing_and_one_of_two_values_a_share(tmp_path):
    rows = [{"prompt_id": "p", "step": s, "rewards": [-1.0, 1.0, None]} for s in range(1, 10)]
    run = open_run(write(tmp_path, rows))
    assert run.values["reward"][1] == 0.5
    assert "read as the share" in run.notes[0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt_id": "p", "rewards": ["high"]}, "line 2: a reward must be a number or null, not 'high'"),
        ({"rewards": [1.0]}, "line 2: a line needs a `prompt_id` or `prompt`"),
        ({"prompt_id": "p", "rewards": [1.0], "step": "x"}, "line 2: `step` must be a whole number"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path, row, said):
    with pytest.raises(RunError, match=said):
        open_run(write(tmp_path, [{"prompt_id": "p", "rewards": [1.0]}, row]))
