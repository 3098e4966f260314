"""Why nothing is earned: the counts, and where they are said: `data filter`, `train`, the alarm of watch and report."""

from __future__ import annotations

import logging
from pathlib import Path

import polars as pl
import pytest
from tests.toy import toy

from presat.cli import run
from presat.config.schema import RewardConfig, TaskConfig, VerifyConfig
from presat.diagnosis.alarms.answers import nothing_earned
from presat.diagnosis.alarms.series import Curves
from presat.evaluation.unearned import Unearned, unearned, unread_format
from presat.report.live import live_view
from presat.tracking import Run, open_run
from presat.training import run_train


def test_responses_and_groups_are_counted() -> None:
    found = unearned(
        [[1.0, 1.0], [0.0, None], [1.0, 0.0]],
        [[True, True], [False, False], [True, False]],
        [["1", "1"], [None, None], ["1", "2"]],
        [[None, None], ["tag", None], [None, None]],
    )
    assert found == Unearned(6, 3, 2, {"tag": 1}, 3, 1, 1)
    assert found.sentence() == (
        "50% of 6 responses were cut off at the length limit; 33% state no answer where one is read; of 3 groups 33% "
        "are all right and 33% all wrong. Raise `max_new_tokens`, or take a model that answers more briefly."
    )


def test_what_helps_is_said() -> None:
    other = Unearned(10, 0, 9, {"tag": 7, "line": 1}, 2, 0, 2)
    assert "70% state an answer in another format, most of them `tag`: --verify.extraction tag, or" in other.sentence()
    assert "No format that presat knows would read them" in Unearned(10, 0, 9, {}, 2, 0, 2).sentence()
    assert Unearned(10, 0, 0, {}, 2, 0, 2).sentence().endswith("100% all wrong.")
    assert Unearned(0, 0, 0, {}, 0, 0, 0).sentence() == ""
    assert unread_format("<answer>3</answer>", None) == "tag"
    assert unread_format("<answer>3</answer>", "3") is None
    assert unread_format("Hm.", None) is None


def test_filter_says_why_no_problem_is_left(toy_model: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    words = ["data", "filter", "--data.source", "lab/chains", "--data.count", "2", "--model.name", str(toy_model)]
    words += ["--max-new-tokens", "24", "--threads", "1", "--samples", "4", "--verify.extraction", "tag"]
    words += ["--run", str(tmp_path / "run"), "--out", str(tmp_path / "out.parquet")]
    for _ in range(2):  # of responses as they are drawn, and of those on the disk
        assert run(words) == 1
        said = " ".join(capsys.readouterr().err.split())
        assert "100% state no answer where one is read; of 2 groups 0% are all right and 100% all wrong." in said
        assert "most of them `boxed`: --verify.extraction boxed, or auto, would read it." in said


def test_training_warns_and_the_alarm_says_why(toy_model: Path, tmp_path: Path, caplog) -> None:
    config = toy(toy_model, tmp_path / "run").model_copy(
        update={
            "reward": RewardConfig(source="verifiable"),
            "verify": VerifyConfig(extraction="tag"),
            "eval": toy(toy_model, tmp_path).eval.model_copy(update={"sets": []}),
            "steps": 5,
            "save_rollouts_every": 1,
        }
    )
    with caplog.at_level(logging.WARNING, "presat"):
        run_train(config, quiet=True)
    (said,) = [text for text in caplog.messages if "nothing was learned" in text]
    assert "In the first 5 steps no group had responses of different rewards" in said
    assert "of 20 groups 0% are all right and 100% all wrong" in said
    raised = nothing_earned(Curves(open_run(config.run)))
    assert raised is not None
    found = raised.sentence
    assert found is not None
    assert found.startswith("Next to nothing was earned at steps 3 to 5:")
    assert "--verify.extraction boxed" in found
    from presat.console import make_console

    console = make_console()
    with console.capture() as shown:
        console.print(live_view(open_run(config.run)))
    assert "Next to nothing was earned" in " ".join(shown.get().split())


@pytest.mark.parametrize(("rewards", "kind"), [([0.0, 1.0], "presat"), ([-1.0, -1.0], "presat"), ([0.0, 0.0], "trl")])
def test_no_alarm_where_something_is_earned_or_nobody_knows(rewards: list[float], kind: str) -> None:
    frame = pl.DataFrame({"step": [1, 1], "problem_id": ["p", "p"], "seed": [1, 1], "reward": rewards,
                          "score": [0.0, 0.0], "text": ["a", "b"], "finished": [True, True],
                          "extracted": pl.Series([None, None], dtype=pl.String)})  # fmt: skip
    made = Run(Path("nowhere"), kind, {}, rollout_frames={"train": frame})
    assert nothing_earned(Curves(made)) is None
    frame = frame.with_columns(reward=pl.lit(0.0))
    assert nothing_earned(Curves(Run(Path("nowhere"), "presat", {}, rollout_frames={"train": frame}))) is not None


def test_held_out_problems_that_are_trained_on_are_said_everywhere(
    toy_model: Path, tmp_path: Path, caplog, capsys
) -> None:
    from presat.analysis import summarise

    config = toy(toy_model, tmp_path / "run")
    same = TaskConfig(source="lab/chains", name="held_out", count=5)  # the first three are those of training
    config = config.model_copy(update={"steps": 1, "eval": config.eval.model_copy(update={"sets": [same]})})
    says = "3 of 5 problems of the evaluation set held_out are trained on as well"
    with caplog.at_level(logging.WARNING, "presat"):
        run_train(config, quiet=True)
    assert sum(says in text for text in caplog.messages) == 1
    opened = open_run(config.run)
    assert opened.provenance["problems"]["shared"] == {"held_out": [3, 5]}
    assert any(says in note for note in opened.notes)
    assert summarise(opened).tainted == ["held_out"]
    words = ["eval", "--model.name", str(config.run / "checkpoints" / "step_1"), "--run", str(tmp_path / "eval")]
    words += ["--samples", "2", "--max-new-tokens", "8", "--threads", "1"]
    sets = "sets: [{source: lab/chains, name: seen, count: 5}, "
    sets += "{source: lab/chains, name: new, count: 5, options: {split: held_out}}]\n"
    (tmp_path / "sets.yaml").write_text(sets)
    assert run([*words, "--config", str(tmp_path / "sets.yaml")]) == 0
    assert "3 of 5 problems of the evaluation set seen are trained on" in " ".join(capsys.readouterr().out.split())
    assert open_run(tmp_path / "eval").provenance["problems"]["shared"] == {"seen": [3, 5]}
