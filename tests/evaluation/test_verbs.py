"""What the data verbs print, and what `train` says of a set whose counts or labels were made in another way."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest
from tests.toy import toy

from presat import load_problems
from presat.cli import run
from presat.config.schema import EvalConfig, ModelConfig, TaskConfig, VerifyConfig
from presat.evaluation import evaluate_model
from presat.evaluation.problems import warn_of_other_extraction
from presat.tasks import save_problems
from presat.tasks.noise import with_noise_note
from presat.tasks.prompts import chat
from presat.tasks.rows import content_id
from presat.tasks.subsets import with_solve_count
from presat.tracking import RolloutStore
from presat.training import run_train
from presat.types import Completion, Problem, RolloutGroup
from presat.verify import Verifier

NO_BUTTON, AS_LONG, LONGER = "3 presses", "C → C → C", "A → B → A → B → C"
"""Answers to a lock of three presses: the first two are no labels (see `usable_label`), the last is one."""


def flat(text: str) -> str:
    """What was printed, wherever the terminal broke the lines."""
    return " ".join(text.split())


@pytest.fixture
def locks(tmp_path) -> list[Problem]:
    """Eight rows in the verl format: one Quantum Lock, asked in words of the lab model's."""
    made = load_problems("reasoning_gym/quantum_lock", count=30, seed=1, difficulty=1)
    lock = next(problem for problem in made if problem.gold == "A → A → B")
    rows = [
        {
            "data_source": "locks",
            "prompt": [{"role": "user", "content": f"{n} a +1"}],
            "reward_model": {"ground_truth": lock.gold},
            "extra_info": json.dumps(lock.metadata),
        }
        for n in range(1, 9)
    ]
    (tmp_path / "locks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_problems(tmp_path / "locks.jsonl")


def answer(problems: list[Problem], answers_PG: list[list[str]], folder: Path) -> None:
    """Leave these answers in a run directory, as if they had been drawn."""
    groups = [
        RolloutGroup(
            problem, (1,), tuple(Completion(f"\\boxed{{{text}}}", (1,), None, finished=True) for text in texts)
        )
        for problem, texts in zip(problems, answers_PG, strict=True)
    ]
    with Verifier() as verifier:
        scores_PG = [verifier.score_many([(g.problem, c.text) for c in g.completions]) for g in groups]
    ids_PG = [[content_id(g.problem.messages)] * len(g.completions) for g in groups]
    RolloutStore(folder / "rollouts").write("solve", 0, groups, scores_PG, extra_PG={"prompt_id": ids_PG})


def test_corrupt_prints_the_achieved_gamma_and_what_could_not_be_corrupted(
    toy_model, locks, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # a long path would be broken over lines
    usable = [NO_BUTTON, NO_BUTTON, AS_LONG, LONGER]
    answer(locks, [usable, [LONGER] * 4, *[[NO_BUTTON] * 4] * 6], tmp_path / "run")
    words = ["--data.source", str(tmp_path / "locks.jsonl"), "--model.name", str(toy_model), "--samples", "4"]
    words += ["--run", str(tmp_path / "run"), "--out", "noisy.parquet", "--threads", "1"]
    assert run(["data", "corrupt", *words, "--gamma", "0.5"]) == 0
    said = re.fullmatch(
        r"2 of 8 labels corrupted: gamma 0\.250 \(asked: 0\.5\)\. "
        r"6 problems drawn have no usable incorrect answer: (?P<ids>.*), \.\.\. "
        r"1 labels are a later choice: the most frequent incorrect answer does not work as one\. "
        r"Written to noisy\.parquet\.",
        flat(capsys.readouterr().out),
    )
    assert said is not None
    ids = said["ids"].split(", ")
    assert len(set(ids)) == 5
    assert set(ids) < {problem.id for problem in locks[2:]}
    assert [p.gold for p in load_problems(tmp_path / "noisy.parquet")][:3] == [LONGER, LONGER, locks[2].gold]
    assert run(["data", "corrupt", *words, "--gamma", "0.125"]) == 0
    assert flat(capsys.readouterr().out).startswith("1 of 8 labels corrupted: gamma 0.125 (asked: 0.125). ")


def test_filter_prints_counts_and_a_progress_line(toy_model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("presat.tracking.progress.LOG_EVERY_S", 0.0)
    words = ["--data.source", "lab/chains", "--data.count", "12", "--data.options", "{operands: [3, 5]}"]
    words += ["--model.name", str(toy_model), "--max-new-tokens", "20", "--threads", "1", "--chunk", "4"]
    words += [
        "--run",
        str(tmp_path / "run"),
        "--out",
        str(tmp_path / "out.parquet"),
        "--lowest",
        "0",
        "--highest",
        "16",
    ]
    assert run(["data", "filter", *words]) == 0
    printed = capsys.readouterr()
    shown = [line for line in printed.err.splitlines() if line.startswith("data filter: ")]
    assert [line.split(",")[0] for line in shown] == [f"data filter: {done} of 12" for done in (4, 8, 12)]
    right = [problem.metadata["solve"]["right"] for problem in load_problems(tmp_path / "out.parquet")]
    for line, done in zip(shown, (4, 8, 12), strict=True):
        assert line.endswith(f"solved {sum(right[:done]) / 16 / done:.2f}")
    out = flat(printed.out)
    assert f"12 of 12 problems kept: {right.count(0)} never solved, {right.count(16)} always, 0 outside" in out
    assert f"Solved 0, 1, ..., 16 times of 16: {' '.join(str(right.count(n)) for n in range(17))} " in out
    assert "missing" not in out


def math(*metadata: dict, verifier: str = "math") -> list[Problem]:
    turns = (chat("1 a +2", system=""), chat("3 a +4", system=""))
    return [Problem(f"p{i}", turns[i], "3", "math", verifier, note) for i, note in enumerate(metadata)]


def counted(extraction: str) -> Problem:
    return with_solve_count(math({})[0], 3, 16, "m", extraction)


@pytest.mark.parametrize(
    ("problems", "said"),
    [
        ([counted("any")], []),
        ([counted("boxed"), counted("boxed")], ["solve counts.*column `solve`.*verify.extraction: boxed.*with any"]),
        ([with_noise_note(math({})[0], 96, "m", "boxed")], ["wrong labels.*column `noise`.*boxed"]),
        ([with_noise_note(counted("boxed"), 96, "m", "boxed")], ["solve counts"]),  # once
        (math({"solve": {"right": 3, "samples": 16, "model": "m"}}, {"noise": "a field of someone's"}), []),
        (math({"solve": {"right": 3, "extraction": "boxed"}}, verifier="lab"), []),  # reads the box in both modes
    ],
)
def test_what_was_read_in_another_mode_is_warned_of_once(problems, said, caplog):
    warn_of_other_extraction(problems, "any")
    assert len(caplog.messages) == len(said)
    assert all(re.search(pattern, message) for pattern, message in zip(said, caplog.messages, strict=True))


def test_train_and_eval_warn_of_golds_that_are_no_answers(toy_model, tmp_path, caplog):
    rows = [{"question": f"1+{n}?", "answer": gold} for n, gold in enumerate(["proof", "1"])]
    (path := tmp_path / "odd.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = toy(toy_model, tmp_path / "run")
    sets = made.eval.model_copy(update={"sets": [TaskConfig(source=str(path), name="held")]})
    config = made.model_copy(update={"data": TaskConfig(source=str(path)), "steps": 1, "eval": sets})
    with caplog.at_level(logging.WARNING, "presat"):
        run_train(config, quiet=True)
    for what in (str(path), "The evaluation set held"):
        said = f"{what}: 1 of 2 gold answers is no answer (`proof` 1), and a response that says the same is paid"
        assert sum(text.startswith(said) for text in caplog.messages) == 1
    model = ModelConfig(name=str(toy_model))
    config = EvalConfig(model=model, sets=sets.sets, run=tmp_path / "eval", samples=1, max_new_tokens=2)
    notes = evaluate_model(config, quiet=True).notes
    assert any(note.startswith("held: 1 of 2 gold answers is no answer (`proof` 1)") for note in notes)


@pytest.mark.parametrize(("extraction", "times"), [("boxed", 0), ("any", 1)])
def test_train_warns_of_counts_in_another_mode(toy_model, tmp_path, caplog, extraction, times):
    path = save_problems([with_solve_count(p, 3, 16, "m", "boxed") for p in math({}, {})], tmp_path / "set.parquet")
    config = toy(toy_model, tmp_path / "run").model_copy(
        update={
            "data": TaskConfig(source=str(path)),
            "verify": VerifyConfig(extraction=extraction),
            "steps": 1,
            "eval": toy(toy_model, tmp_path).eval.model_copy(update={"sets": []}),
        }
    )
    with caplog.at_level(logging.WARNING, "presat"):
        run_train(config, quiet=True)
    assert sum("verify.extraction: boxed, and this run reads with any" in text for text in caplog.messages) == times
