"""`presat eval`: benchmarks by name, intervals, every checkpoint of a run."""

from __future__ import annotations

import json
import shutil

import numpy as np
import polars as pl
import pytest

from presat.cli import run
from presat.config.schema import EvalConfig, ModelConfig, TaskConfig
from presat.errors import ConfigError, ModelError
from presat.report import summarise
from presat.tasks.benchmarks import MissingBenchmarkError
from presat.tracking import open_run
from presat.training.evaluation import evaluate_model

from .runs import lines

SET = TaskConfig(source="lab/chains", name="held out", count=30, options={"split": "held_out", "operands": [3, 5]})


def settings(model, place, **changes) -> EvalConfig:
    values = {"run": place / "run", "model": ModelConfig(name=str(model)), "sets": [SET], "samples": 8,
              "max_new_tokens": 20, "threads": 1}  # fmt: skip
    return EvalConfig(**(values | changes))


def test_intervals_are_bootstraps_over_problems(toy_model, tmp_path):
    config = settings(toy_model, tmp_path)
    (found,) = evaluate_model(config, quiet=True).results
    assert found.intervals.keys() == {"avg@8", "pass@4", "pass@8", "maj@8", "greedy"}
    rows = pl.read_parquet(config.run / "rollouts" / "eval" / "held_out-step_000000.parquet")
    means = rows.group_by("problem_id", maintain_order=True).agg(pl.col("score").mean())["score"].to_numpy()
    rng = np.random.default_rng(123)  # draws of its own: the interval must come out near, not equal
    draws = np.array([rng.choice(means, len(means)).mean() for _ in range(4000)])
    low, high = np.quantile(draws, [0.025, 0.975])
    assert high - low > 0.02
    assert (found.intervals["avg@8"].low, found.intervals["avg@8"].high) == pytest.approx(
        (low, high), abs=0.12 * (high - low)
    )
    (logged,) = lines(config.run)
    for name, interval in found.intervals.items():
        assert interval.low <= found.metrics[name] <= interval.high
        assert logged[f"eval/held out/{name}"] == found.metrics[name]
        assert logged[f"interval/held out/{name}/low"] == interval.low
        assert logged[f"interval/held out/{name}/high"] == interval.high
    assert open_run(config.run).eval_sets() == ["held out"]  # intervals are no sets
    assert summarise(open_run(config.run))


def test_every_checkpoint_of_a_run_is_evaluated_at_its_step(toy_model, tmp_path):
    trained = tmp_path / "trained"
    for step in (20, 3):
        shutil.copytree(toy_model, trained / "checkpoints" / f"step_{step}")
    config = settings(trained, tmp_path, every_checkpoint=True, samples=2, greedy=False)
    report = evaluate_model(config, quiet=True)
    assert [item.step for item in report.results] == [3, 20]
    assert [row["step"] for row in lines(config.run)] == [3, 20]
    assert report.results[0].metrics == report.results[1].metrics  # the same weights, the same draws
    newest = config.model_copy(update={"every_checkpoint": False})
    assert [item.step for item in evaluate_model(newest, quiet=True).results] == [20]
    assert [row["step"] for row in lines(config.run)] == [3, 20, 20]
    with pytest.raises(ModelError, match="is no run directory with checkpoints"):
        evaluate_model(settings(toy_model, tmp_path, every_checkpoint=True), quiet=True)


def test_benchmarks_are_named_on_the_command_line_and_results_printed(toy_model, tmp_path, capsys):
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    row = {"Question": "7 a +3", "Correct Answer": "0", **{f"Incorrect Answer {i}": str(i) for i in (1, 2, 3)}}
    (folder / "gpqa_diamond.jsonl").write_text(
        "".join(json.dumps(row | {"Question": f"{i} a +3"}) + "\n" for i in range(9))
    )
    (folder / "amc.jsonl").write_text(
        "".join(json.dumps({"question": f"{i} a +3", "answer": i}) + "\n" for i in range(9))
    )
    words = ["eval", "--benchmarks", "gpqa_diamond", "amc", "--folder", str(folder), "--count", "6", "--samples", "4"]
    words += ["--run", str(tmp_path / "run"), "--model.name", str(toy_model), "--max-new-tokens", "12"]
    assert run([*words, "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    assert [(item["set"], item["problems"]) for item in out["results"]] == [("gpqa_diamond", 6), ("amc", 6)]
    assert all(set(item["intervals"]) == {"avg@4", "pass@4", "maj@4", "greedy"} for item in out["results"])
    assert out["notes"][0].startswith("GPQA-Diamond: 9 problems, the paper's set has 198. Gated: accept its terms")
    kept = pl.read_parquet(tmp_path / "run" / "rollouts" / "eval" / "gpqa_diamond-step_000000.parquet")
    assert set(kept["gold"].to_list()) <= set("ABCD")
    assert run(words) == 0
    shown = capsys.readouterr().out
    assert "bootstrap interval over problems" in shown
    assert "the paper's set has 198" in shown.replace("\n", " ")


def test_benchmarks_that_cannot_be_had_are_left_out_only_when_asked(toy_model, tmp_path):
    config = settings(toy_model, tmp_path, benchmarks=["scp_hard", "quantum_lock"], count=2, samples=2,
                      max_prompt_tokens=4096, max_new_tokens=2, folder=tmp_path)  # fmt: skip
    with pytest.raises(MissingBenchmarkError, match="SCP-Hard is not in"):
        evaluate_model(config, quiet=True)
    report = evaluate_model(config.model_copy(update={"skip_missing": True}), quiet=True)
    assert [item.name for item in report.results] == ["held out", "quantum_lock"]
    missing, made = report.notes
    assert missing.startswith("Left out: SCP-Hard is not in")
    assert made.startswith("Quantum Lock: Without a file of it the set is made by Reasoning Gym")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sets": [], "benchmarks": ["math50"]}, "no benchmark 'math50'. Did you mean 'math500'"),
        ({"sets": [SET.model_copy(update={"name": "math500"})], "benchmarks": ["math500"]}, "both called 'math500'"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_anything_is_written(changes, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        evaluate_model(settings(tmp_path / "no model", tmp_path, **changes), quiet=True)
    assert not (tmp_path / "run").exists()
