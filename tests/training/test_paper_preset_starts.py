"""The paper's RL presets start, evaluate and finish where some of its benchmarks cannot be had."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from tests.training.runs import lines, status

from presat.cli import run
from presat.config.schema import TaskConfig
from presat.errors import ConfigError, DataError, RunError
from presat.evaluation.sets import load_sets
from presat.tasks.benchmarks import EVALUATED, MissingBenchmarkError
from presat.training.grpo.callbacks import EvalSet, Evaluator

UNPUBLISHED = {"supergpqa", "scp_hard", "mmlu_sci"}


@pytest.fixture
def benchmarks(tmp_path, monkeypatch) -> Path:
    """Folder with two problems of every benchmark but the unpublished ones, in words of the lab's vocabulary."""
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    for name in {name for parts in EVALUATED.values() for names in parts.values() for name in names} - UNPUBLISHED:
        rows = [{"question": f"{i} a +3", "answer": i} for i in (1, 2)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setenv("PRESAT_BENCHMARKS", str(folder))
    return folder


@pytest.mark.parametrize("preset", ["paper-math-n8", "paper-science-n8", "paper-graph-n8"])
def test_a_paper_preset_trains_on_what_can_be_had(preset, benchmarks, toy_model, tmp_path, caplog):
    words = ["train", "--config", preset, "--model.name", str(toy_model), "--run", str(tmp_path / "run"),
             "--data.source", "lab/chains", "--data.count", "8", "--steps", "2", "--prompts-per-step", "8",
             "--max-new-tokens", "12", "--eval.samples", "2", "--micro-batch", "64", "--threads", "1"]  # fmt: skip
    with caplog.at_level(logging.WARNING, "presat"):
        assert run(words) == 0
    place = tmp_path / "run"
    assert status(place)["status"] == "finished"
    asked = {name for names in EVALUATED[preset.split("-")[1]].values() for name in names}
    rows = lines(place)
    assert [row["step"] for row in rows] == [0, 1, 2]
    for row in (rows[0], rows[2]):
        assert {name.split("/")[1] for name in row if name.startswith("eval/")} == asked - UNPUBLISHED
    noted = json.loads((place / "provenance.json").read_text())["problems"]
    assert set(noted["eval"]) == asked - UNPUBLISHED
    assert set(noted["left_out"]) == asked & UNPUBLISHED
    said = [record.getMessage() for record in caplog.records if "Left out" in record.getMessage()]
    assert len(said) == len(asked & UNPUBLISHED)
    for name in asked & UNPUBLISHED:
        assert sum(f"Put it there as {name}.parquet" in text for text in said) == 1


def tasks(*names: str) -> list[TaskConfig]:
    return [TaskConfig(source=f"benchmark/{name}") for name in names]


def test_only_what_is_missing_is_left_out_and_only_when_asked(benchmarks, monkeypatch):
    found, left_out = load_sets(tasks("scp_hard", "amc"), skip_missing=True)
    assert (list(found), list(left_out)) == (["amc"], ["scp_hard"])
    with pytest.raises(MissingBenchmarkError, match="SCP-Hard is not in"):
        load_sets(tasks("amc", "scp_hard"))
    with pytest.raises(MissingBenchmarkError, match=r"None of the evaluation sets can be had here \(scp_hard, mmlu"):
        load_sets(tasks("scp_hard", "mmlu_sci"), skip_missing=True)
    with pytest.raises(ConfigError, match="no benchmark 'am'"):
        load_sets(tasks("am"), skip_missing=True)
    for content, message in (("{", "line 1: not JSON"), ('{"answer": 1}\n', "row 1"), ("", "holds no rows")):
        (benchmarks / "scp_hard.jsonl").write_text(content)
        with pytest.raises(DataError, match=message) as caught:
            load_sets(tasks("amc", "scp_hard"), skip_missing=True)
        assert not isinstance(caught.value, MissingBenchmarkError)
    monkeypatch.setenv("PRESAT_BENCHMARKS", str(benchmarks / "nowhere"))
    with pytest.raises(DataError, match="There is no folder"):
        load_sets(tasks("amc"), skip_missing=True)


def test_processes_that_found_different_sets_do_not_wait_for_each_other(monkeypatch):
    evaluator = Evaluator(config=None, sets=[EvalSet("amc", [], 0)], engine=None, verifier=None, store=None)  # type: ignore[arg-type]
    two = type("Trainer", (), {"accelerator": type("Accelerator", (), {"num_processes": 2})})
    monkeypatch.setattr("presat.training.grpo.callbacks._gather", lambda names: [*names, ("amc", "scp_hard")])
    with pytest.raises(RunError, match="different evaluation sets: amc here, amc, scp_hard there"):
        evaluator.refuse_other_sets(two)
    monkeypatch.setattr("presat.training.grpo.callbacks._gather", lambda names: names * 2)
    evaluator.refuse_other_sets(two)
