"""A killed evaluation goes on: the same numbers as an unbroken one, and nothing drawn twice."""

from __future__ import annotations

import polars as pl
import pytest
from tests.training.runs import lines, status, without_clock

from presat.config.schema import EvalConfig, ModelConfig, TaskConfig
from presat.errors import RunError
from presat.evaluation import chunks
from presat.evaluation.chunks import chunk_size
from presat.evaluation.run import evaluate_model
from presat.rollouts.batching import BatchEngine
from presat.tracking import RunWriter
from presat.tracking.responses import RolloutStore

SETS = [
    TaskConfig(source="lab/chains", name="a b", count=10, options={"split": "held_out", "operands": [3, 5]}),
    TaskConfig(source="lab/mostly_minus", name="a_b", count=5),
]


def settings(model, run, **changes) -> EvalConfig:
    values = {"run": run, "model": ModelConfig(name=str(model)), "sets": SETS, "samples": 4, "max_new_tokens": 16,
              "rows": 8, "threads": 1}  # fmt: skip
    return EvalConfig(**(values | changes))


@pytest.fixture(scope="module")
def unbroken(toy_model, tmp_path_factory):
    config = settings(toy_model, tmp_path_factory.mktemp("unbroken") / "run")
    return config, evaluate_model(config, quiet=True)


@pytest.fixture
def drawn(monkeypatch):
    """Chunks of two problems (of eight for the greedy responses); lists who was asked, and may be killed."""
    monkeypatch.setattr(chunks, "RESPONSES", 8)
    asked: list[str] = []
    generate = BatchEngine.generate

    def noted(engine, problems, n, sampling, seeds):
        asked.extend(f"{problem.id} {n}" for problem in problems)
        return generate(engine, problems, n, sampling, seeds)

    monkeypatch.setattr(BatchEngine, "generate", noted)
    return asked


def kill_at(monkeypatch, kind, name: str, call: int):
    """Be interrupted right before or in a call of a method, counted from 1."""
    calls, method = [], getattr(kind, name)

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return method(*args, **kwargs)

    monkeypatch.setattr(kind, name, interrupted)


def responses(run):
    return {file.name: pl.read_parquet(file) for file in (run / "rollouts" / "eval").iterdir()}


# ten problems of set one: five chunks, two greedy ones, its file; the same of five problems: three, one, its file
@pytest.mark.parametrize(
    ("kind", "name", "call"),
    [(RolloutStore, "write", call) for call in (1, 4, 7, 8, 10, 13)]
    + [(RunWriter, "append", 1), (chunks.Chunks, "discard", 1), (RunWriter, "append", 2)],
)
def test_a_killed_evaluation_goes_on_to_the_same_numbers(kind, name, call, unbroken, drawn, toy_model, tmp_path):
    whole, report = unbroken
    config = settings(toy_model, tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, kind, name, call)
        with pytest.raises(KeyboardInterrupt):
            evaluate_model(config, quiet=True)
    assert status(config.run)["status"] == "interrupted"
    lost = 8 if kind is RolloutStore else 0  # at most the chunk that was being written
    again = evaluate_model(config, quiet=True)
    assert len(drawn) <= 2 * 15 + lost
    assert again.results == report.results
    assert without_clock(lines(config.run)) == without_clock(lines(whole.run))
    assert {file: rows.equals(responses(whole.run)[file]) for file, rows in responses(config.run).items()} == {
        "a%20b-step_000000.parquet": True,
        "a_b-step_000000.parquet": True,
    }
    assert sorted(path.name for path in (config.run / "rollouts").iterdir()) == ["eval"]


def test_finished_sets_are_read_from_the_log(unbroken, drawn, monkeypatch):
    config, report = unbroken
    before = lines(config.run)
    again = evaluate_model(config, quiet=True)
    assert (again.results, lines(config.run), drawn) == (report.results, before, [])
    assert again.notes == [
        f"{name}, step 0: evaluated before; the numbers are those in the log." for name in ("a b", "a_b")
    ]


def test_what_is_not_whole_is_evaluated_again(unbroken, drawn, toy_model, tmp_path):
    config = settings(toy_model, tmp_path / "run", sets=SETS[:1], greedy=False, save_rollouts=False)
    evaluate_model(config, quiet=True)
    for changes, expected in (
        ({"greedy": True}, {4, 1}),  # in the log there is no greedy accuracy
        ({"greedy": True, "save_rollouts": True}, {4, 1}),  # there are no responses
        ({"greedy": True, "save_rollouts": True}, set()),
    ):
        drawn.clear()
        report = evaluate_model(config.model_copy(update=changes), quiet=True)
        assert {int(item.split()[-1]) for item in drawn} == expected
    assert report.results[0].metrics == unbroken[1].results[0].metrics


def test_unfinished_responses_that_were_drawn_otherwise_are_not_mixed_in(drawn, toy_model, tmp_path):
    config = settings(toy_model, tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, RolloutStore, "write", 3)
        with pytest.raises(KeyboardInterrupt):
            evaluate_model(config, quiet=True)
    before = {path: path.read_bytes() for path in config.run.rglob("*.*") if path.is_file()}
    with pytest.raises(RunError, match=r"unfinished responses of a b at step 0 .* otherwise \(samples 4, now 2\)"):
        evaluate_model(config.model_copy(update={"samples": 2}), quiet=True)
    assert before == {path: path.read_bytes() for path in config.run.rglob("*.*") if path.is_file()}
    other = config.model_copy(update={"sets": SETS[1:], "samples": 2})  # of another set nothing is there
    assert len(evaluate_model(other, quiet=True).results) == 1


@pytest.mark.parametrize(
    ("rows", "samples", "problems"), [(256, 16, 32), (256, 1, 512), (64, 16, 32), (256, 96, 8), (2**62, 16, 128)]
)
def test_a_chunk_is_whole_batches(rows, samples, problems):
    assert chunk_size(rows, samples) == problems
