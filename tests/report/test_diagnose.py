"""`presat diagnose`: what it prints, its JSON, and its exit code."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
from tests.diagnosis.test_moments import GUESS, SOUND, write
from tests.diagnosis.test_stored import Counting, all_asked

from presat.cli import run
from presat.tracking import open_run


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A log of a run that is healthy, one that only warns, and one that is beyond help."""
    found = {}
    for name, rewards in {"good": (0.2, 0.6), "flat": (0.4, 0.4), "zero": (0.0, 0.0)}.items():
        found[name] = tmp_path / f"{name}.csv"
        rows = [f"{s},{rewards[0] + (rewards[1] - rewards[0]) * s / 60}" for s in range(1, 61)]
        found[name].write_text("step,reward\n" + "\n".join(rows) + "\n")
    return found


def test_it_says_what_is_wrong_since_when_and_what_to_do(files, capsys):
    assert run(["diagnose", str(files["flat"])]) == 0
    shown = capsys.readouterr().out
    assert "flat (csv, 60 steps): 1 warning" in shown
    assert "warning never_rose since step 1" in shown
    for part in ("The reward is 0.4 after 60 steps", "Stop, or change something", "presat ", "TRL ", "verl "):
        assert part in shown


@pytest.mark.parametrize(("bound", "codes"), [("never", (0, 0, 0)), ("critical", (0, 0, 1)), ("warning", (0, 1, 1))])
def test_fail_on_decides_the_exit_code(files, capsys, bound, codes):
    assert tuple(run(["diagnose", str(file), "--fail-on", bound]) for file in files.values()) == codes
    assert run(["diagnose", *map(str, files.values()), "--fail-on", bound]) == max(codes)
    assert ("as --fail-on asks" in capsys.readouterr().out) == bool(max(codes))


def test_json_has_every_alarm_with_its_numbers_and_remedy(files, capsys):
    assert run(["diagnose", str(files["zero"]), "--json", "--fail-on", "critical"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["failed"] is True
    (one,) = found["runs"]
    assert one["worst"] == "critical"
    alarm = one["alarms"][0]
    assert (alarm["name"], alarm["severity"], alarm["onset"]) == ("nothing_earned", "critical", 1)
    assert set(alarm["remedy"]) == {"text", "presat", "trl", "verl"}
    assert run(["diagnose", str(files["flat"]), "--json", "--show", "critical"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["alarms"] == []


def test_reasoning_along_a_run_with_saved_responses(make_run, capsys):
    folder = make_run()
    for step in (1, 20, 40):
        write(folder, step, [SOUND, GUESS])
    assert run(["diagnose", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "reasoning on training prompts, by the judge symbolic (2 prompts, 8 responses a step)" in shown
    assert run(["diagnose", str(folder), "--json"]) == 0
    reasoning = json.loads(capsys.readouterr().out)["runs"][0]["reasoning"]
    assert [step["step"] for step in reasoning["steps"]] == [1, 20, 40]
    assert {step["faithfulness"]["right"]["aligned"] for step in reasoning["steps"]} == {0.5}
    assert run(["diagnose", str(folder), "--json", "--no-reasoning"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["reasoning"] is None


def test_rewards_without_texts_are_diagnosed_beside_other_runs(files, tmp_path, capsys):
    bare = tmp_path / "bare.jsonl"
    lines = [{"prompt_id": f"p{p}", "rewards": [0.0, 1.0, 0.0, 1.0]} for _ in range(5) for p in range(8)]
    bare.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert run(["diagnose", str(bare), str(files["flat"])]) == 0
    shown = capsys.readouterr().out
    assert "bare (rollouts, 5 steps): no alarm" in shown
    assert "flat (csv, 60 steps): 1 warning" in shown


def test_reasoning_of_responses_of_one_step(tmp_path, capsys):
    once = tmp_path / "once.jsonl"
    lines = [{"prompt": f"What is {p}+1?", "response": f"{p} + 1 = {p + 1}. The answer is \\boxed{{{p + 1}}}",
              "reward": s % 2} for p in range(4) for s in range(4)]  # fmt: skip
    once.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert run(["diagnose", str(once), "--json"]) == 0
    (step,) = json.loads(capsys.readouterr().out)["runs"][0]["reasoning"]["steps"]
    assert (step["step"], step["responses"], step["faithfulness"]["all"]["aligned"]) == (1, 16, 1.0)


def test_no_run_and_none_that_is_there_are_refused(capsys):
    assert run(["diagnose"]) == 2
    assert run(["diagnose", "nowhere"]) == 1
    assert "There is no run at nowhere" in capsys.readouterr().err


def test_a_judge_that_is_asked_for_is_asked_once_and_its_word_kept(make_run, capsys, monkeypatch):
    folder, judge = make_run(), Counting()
    module = importlib.import_module("presat.report.diagnose")  # the package has the function by that name
    monkeypatch.setattr(module, "make_judge", lambda name, **options: judge)
    words = ["diagnose", str(folder), "--judge", "llm", "--judge-options", "{server: x, model: y}"]
    for _ in range(2):
        assert run(words) == 0
    shown = capsys.readouterr()
    assert shown.out.count("reasoning on held_out, by the judge llm (") == 2
    asked = all_asked(judge)
    assert len(asked) == len(set(asked)) == len(open_run(folder).judgements("counting/1"))
    assert shown.err.count(f"counting/1 judges {len(asked)} of ") == 1
    assert f": {len(asked)} calls, about {12 * len(asked)} tokens." in shown.err
