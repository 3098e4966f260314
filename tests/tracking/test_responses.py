from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import presat
from presat.errors import RunError
from presat.tasks import choices, gym
from presat.tasks.lab import lab_problems
from presat.tracking import Run, RunWriter, responses
from presat.tracking.responses import RolloutStore, rollout_files, saved_groups, saved_problem, schema
from presat.types import Completion, Problem, RolloutGroup, Score
from presat.verify import Verifier
from presat.verify.groups import score_groups

DOCS = Path(presat.__file__).parents[2] / "docs"
OLD = ("step", "set", "problem_id", "sample", "prompt", "text", "gold", "extracted", "score", "reason", "reward",
       "finished", "n_tokens")  # fmt: skip


def group(name: str, texts: list[str], seed: int = 9) -> RolloutGroup:
    problem = Problem(
        name, ({"role": "system", "content": "Think."}, {"role": "user", "content": "1+1"}), "2", "lab", "lab", {"a": 1}
    )
    return RolloutGroup(problem, (1, 2), tuple(Completion(t, (5, 6, 7), None, t != "cut") for t in texts), seed)


SCORES = [[Score(1.0, "2"), Score(None, None, "time-out")], [Score(0.0, None, "no boxed answer"), Score(0.0, "3")]]
GROUPS = [group("a", ["x", "cut"]), group("b", ["y", "z"])]


def run_of(folder: Path) -> tuple[Run, RolloutStore]:
    return Run(folder, "presat", {}), RolloutStore(folder / "rollouts")


def test_rows_come_back_as_they_went_in(tmp_path):
    run, store = run_of(tmp_path)
    path = store.write("train", 12, GROUPS, SCORES, [[1.0, None], [0.0, 0.0]])
    assert path == tmp_path / "rollouts" / "train" / "step_000012.parquet"
    rows = run.rollouts("train").to_dicts()
    assert rows[1] == {
        "step": 12,
        "set": "",
        "problem_id": "a",
        "sample": 1,
        "seed": 9,
        "prompt": "Think.\n\n1+1",
        "messages": [{"role": "system", "content": "Think."}, {"role": "user", "content": "1+1"}],
        "prompt_ids": [1, 2],
        "gold": "2",
        "domain": "lab",
        "verifier": "lab",
        "metadata": '{"a": 1}',
        "text": "cut",
        "token_ids": [5, 6, 7],
        "n_tokens": 3,
        "finished": False,
        "extracted": None,
        "score": None,
        "reason": "time-out",
        "reward": None,
    }
    assert [row["sample"] for row in rows] == [0, 1, 0, 1]
    assert not list(tmp_path.rglob("*.partial"))


def test_columns_of_missing_values_keep_their_type(tmp_path):
    run, store = run_of(tmp_path)
    store.write("eval", 0, GROUPS[:1], [[Score(None), Score(None)]])
    store.write("eval", 1, GROUPS, SCORES)
    assert run.rollouts("eval")["score"].to_list() == [None, None, 1.0, None, 0.0, 0.0]
    assert dict(run.rollouts("eval", [0]).schema) == schema()


def test_every_column_is_documented():
    documented = (DOCS / "run-directory.md").read_text(encoding="utf-8")
    assert [name for name in schema() if f"`{name}`" not in documented] == []


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path):
    (tmp_path / "train").write_text("in the way")
    with pytest.raises(RunError, match="Cannot write rollouts"):
        RolloutStore(tmp_path).write("train", 1, GROUPS, SCORES)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_said_so(tmp_path, monkeypatch):
    monkeypatch.setattr(responses, "atomically", lambda _: nullcontext(Path("/dev/full")))
    store = RolloutStore(tmp_path)
    with pytest.raises(RunError, match="No space left"):
        store.write("train", 1, GROUPS, SCORES)
    assert not store.path("train", 1).exists()


# Names of sets and paths


def test_sets_and_steps_are_kept_apart(tmp_path):
    run, store = run_of(tmp_path)
    extra = {"valid_trace": [[True, False], [False, True]]}
    for step in (10, 0):
        store.write("eval", step, GROUPS, SCORES, set_name="a/b c", extra_PG=extra)
    store.write("eval", 0, GROUPS[:1], SCORES[:1], set_name="other")
    found = run.rollouts("eval", set_name="a/b c")
    assert found["step"].to_list() == [0] * 4 + [10] * 4
    assert found["valid_trace"].to_list()[:4] == [True, False, False, True]
    assert run.rollouts("eval").height == 10
    assert run.rollouts("train") is None
    assert run.responses("train") is None


NAMES = (
    "a b", "a_b", "a/b", "a%20b", "a%b", "a-step_000000", "a", "Ä ß", "Ä_ß", ".", "..", "a\nb", "[ab]*?", "x.y@z+1",
    "A B", "A", "x" * 128, "x" * 300, "x" * 300 + "y", "/" * 300, "é" * 300, "a b" * 300, "~",
)  # fmt: skip


def test_every_set_has_a_file_of_its_own(tmp_path):
    run, store = run_of(tmp_path)
    for number, name in enumerate(NAMES):
        store.write("eval", number, GROUPS, SCORES, set_name=name)
        store.write("eval", 50, GROUPS, SCORES, set_name=name)
    files = [file for step, file in rollout_files(tmp_path, "eval") if step == 50]
    assert len(files) == len(NAMES)
    assert {file.parent for file in files} == {tmp_path / "rollouts" / "eval"}
    assert max(len(os.fsencode(file.name)) for file in files) < 200
    for number, name in enumerate(NAMES):
        found = run.rollouts("eval", set_name=name)
        assert found["step"].to_list() == [number] * 4 + [50] * 4, name
        assert set(found["set"]) == {name}
    assert store.path("eval", 3, "x.y@z+1").name == "x.y@z+1-step_000003.parquet"


def test_a_set_is_found_in_the_file_an_old_run_keeps_it_in(tmp_path):
    run, store = run_of(tmp_path)
    store.write("eval", 5, GROUPS, SCORES, set_name="a/b").rename(tmp_path / "rollouts/eval/a_b-step_000005.parquet")
    assert run.rollouts("eval", set_name="a/b").height == 4
    assert run.rollouts("eval", set_name="a_b") is None
    assert run.rollouts("eval", set_name="a b") is None
    store.write("eval", 5, GROUPS[:1], SCORES[:1], set_name="a/b")  # evaluated again: not there twice
    assert run.rollouts("eval", set_name="a/b").height == 2
    store.write("eval", 5, GROUPS, SCORES, set_name="a_b")
    store.write("eval", 5, GROUPS[:1], SCORES[:1], set_name="a/b")  # another set's file stays
    assert run.rollouts("eval", set_name="a_b").height == 4
    assert run.rollouts("eval").height == 6


def test_a_path_is_no_pattern(tmp_path, monkeypatch):
    for name in ("runs[1]", "r?n*", "lr=1e-6", "{a,b}", "100%25"):
        run, store = run_of(tmp_path / name)
        store.write("eval", 0, GROUPS, SCORES, set_name="s", drawn={"seed": 1})
        assert run.rollouts("eval")["text"].to_list() == ["x", "cut", "y", "z"], name
        assert "lr" not in run.rollouts("eval").columns
        assert run.responses("eval").collect().height == 4
        assert run.drawn_with("eval", 0, "s") == {"seed": 1}
    monkeypatch.chdir(tmp_path)
    run, store = run_of(Path("~") / "r")
    store.write("eval", 0, GROUPS, SCORES)
    assert run.rollouts("eval").height == 4
    assert (tmp_path / "~" / "r" / "rollouts").is_dir()


# What is read


def test_only_what_is_asked_for_is_read(tmp_path):
    run, store = run_of(tmp_path)
    for step in (0, 1):
        store.write("eval", step, GROUPS, SCORES, set_name="s", extra_PG={"valid_trace": [[True] * 2] * 2})
    store.write("eval", 2, GROUPS, SCORES, set_name="s")
    lazy = run.responses("eval", "s", [1, 2], ["score", "valid_trace", "reward", "never_saved"])
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.collect_schema().names() == ["score", "valid_trace", "reward", "never_saved"]
    assert lazy.collect()["valid_trace"].to_list() == [True] * 4 + [None] * 4
    assert lazy.collect()["never_saved"].null_count() == 8
    assert "PROJECT 1/" in run.responses("eval", columns=["score"]).explain()
    some = run.rollouts("eval", [0, 1], set_name="s", columns=["text", "text"], where=pl.col("problem_id") == "b")
    assert some.to_dict(as_series=False) == {"text": ["y", "z", "y", "z"]}
    assert run.rollouts("eval", where=pl.col("problem_id") == "c") is None


def test_responses_in_memory_are_read_the_same_way():
    frame = pl.DataFrame({"step": [1, 2], "text": ["x", "y"]})
    run = Run(Path("nowhere"), "rollouts", {}, rollout_frames={"train": frame})
    assert run.rollouts("train", [2], columns=["text", "score"]).rows() == [("y", None)]
    assert run.rollouts("train", columns=["score"])["score"].dtype == pl.Float64
    assert run.responses("train").collect().equals(frame)
    assert run.rollouts("train", set_name="s") is None
    assert run.drawn_with("train", 1) == {}


def test_how_responses_were_drawn_costs_nothing_a_row(tmp_path):
    run, _ = run_of(tmp_path)
    store = RolloutStore(tmp_path / "rollouts", {"engine": "small", "temperature": 1.0})
    store.write("eval", 3, GROUPS, SCORES, set_name="a b", drawn={"temperature": 0.5})
    assert run.drawn_with("eval", 3, "a b") == {"engine": "small", "temperature": 0.5}
    assert run.drawn_with("eval", 4, "a b") == {}
    assert set(run.rollouts("eval").columns) == set(schema())


@pytest.mark.parametrize("damage", ["empty", "torn", "no parquet", "middle"])
def test_a_damaged_file_is_named(tmp_path, damage):
    run, store = run_of(tmp_path)
    store.write("eval", 0, GROUPS, SCORES, set_name="s")
    many = [group(f"{i}", [f"text {i} {j}" * 9 for j in range(8)]) for i in range(90)]
    file = store.write("eval", 1, many, [[Score(1.0)] * 8] * 90, set_name="s")
    raw = bytearray(file.read_bytes())
    if damage == "middle":
        raw[4 : len(raw) // 2] = bytes(len(raw) // 2 - 4)
    file.write_bytes({"empty": b"", "torn": raw[:-40], "no parquet": b"PAR1" * 9, "middle": raw}[damage])
    with pytest.raises(RunError, match=r"s-step_000001\.parquet cannot be read .*Delete the file"):
        run.rollouts("eval")
    assert run.rollouts("eval", [0]).height == 4
    if damage != "middle":
        for read in (lambda: run.responses("eval"), lambda: run.drawn_with("eval", 1, "s")):
            with pytest.raises(RunError, match=r"s-step_000001\.parquet cannot be read"):
                read()


# Judged again


def gold_text(problem: Problem) -> str:
    return f"<think> . </think> \\boxed{{ {problem.gold} }}"


def problems() -> list[Problem]:
    turns = ({"role": "system", "content": "Think."}, {"role": "user", "content": "What is 1/2?"})
    math = Problem("m", turns, "\\frac{1}{2}", "math", "math", {"original": '["1"]', "picture": b"\x00", "n": 1})
    row = {"question": "Which?", "options": ["red", "blue", "green"], "answer": "B"}
    rush = gym.gym_problems("rush_hour", 1)  # has no gold answer: judged by its metadata alone
    other = gym.gym_problems("quantum_lock", 2, difficulty=1) + gym.gym_problems("arc_agi", 1)
    verl = Problem("v", turns, other[0].gold, "graph", "reasoning_gym", {"extra_info": json.dumps(other[0].metadata)})
    return [math, choices.problem_of_choices(row, "here"), *lab_problems(count=2), *other, *rush, verl]


def test_saved_responses_are_judged_again_as_they_were(tmp_path):
    run, store = run_of(tmp_path)
    texts = lambda problem: (gold_text(problem), "\\boxed{ 0.5 }", "\\boxed{blue}", "none", "\\boxed{C}")  # noqa: E731
    groups = [
        RolloutGroup(problem, (3, 4), tuple(Completion(text, (1,), None, True) for text in texts(problem)), seed)
        for seed, problem in enumerate(problems())
    ]
    with Verifier() as verifier:
        before = score_groups(verifier, groups)
        store.write("eval", 0, groups, before, set_name="s")
        again = list(saved_groups(run.rollouts("eval")))
        verifier.close()
        with Verifier() as fresh:
            assert score_groups(fresh, again) == before
    rights = [[score.value for score in row].count(1.0) for row in before]
    assert rights[:4] == [2, 2, 1, 1]
    assert rights[4:7] == [1, 1, 1]
    for old, new in zip(groups, again, strict=True):
        assert new.completions == old.completions
        assert (new.prompt_ids, new.seed) == (old.prompt_ids, old.seed)
        known = {name: value for name, value in old.problem.metadata.items() if name != "picture"}
        assert new.problem == Problem(
            old.problem.id, old.problem.messages, old.problem.gold, old.problem.domain, old.problem.verifier, known
        )


def test_a_problem_twice_in_a_step_is_two_groups(tmp_path):
    run, store = run_of(tmp_path)
    twice = [group("a", ["x", "y"], seed=1), group("b", ["z"], seed=2), group("a", ["u", "v"], seed=3)]
    store.write("train", 1, twice, [[Score(1.0)] * len(item.completions) for item in twice])
    shuffled = run.rollouts("train").sample(fraction=1.0, shuffle=True, seed=0)
    assert sorted(saved_groups(shuffled), key=lambda item: item.seed) == twice


def test_responses_without_their_problem_are_not_judged_by_a_guess():
    with pytest.raises(RunError, match="do not say its messages and verifier"):
        saved_problem({"problem_id": "p", "prompt": "1+1", "gold": "2"})


# Old runs


def test_old_files_are_read_beside_new_ones(tmp_path):
    run, store = run_of(tmp_path)
    old = store.write("eval", 0, GROUPS, SCORES, set_name="s")
    pl.read_parquet(old).select(OLD).write_parquet(old)
    store.write("eval", 1, GROUPS, SCORES, set_name="s")
    assert run.rollouts("eval")["verifier"].to_list() == [None] * 4 + ["lab"] * 4
    assert run.responses("eval").collect().equals(run.rollouts("eval"))
    assert run.rollouts("eval", [0], columns=["messages", "score"])["messages"].null_count() == 4
    assert run.drawn_with("eval", 0, "s") == {}
    with pytest.raises(RunError, match="cannot be made from them"):
        list(saved_groups(run.rollouts("eval", [0])))


# How much is held

MEASURE = """
import resource, sys
from presat.tracking import open_run
from presat.config.schema import ReportConfig
from presat.diagnosis import faithfulness
from presat.report.verbs import report
from rich.console import Console

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

for folder in sys.argv[1:]:  # the first, small, imports and warms up whatever the second needs
    report(ReportConfig(runs=[folder]), Console(quiet=True))
    print(peak() * 1024)
    faithfulness(open_run(folder), "eval", "s")
    print(peak() * 1024)
"""


def large_run(folder: Path, evaluations: int, problems: int, chars: int) -> int:
    """Write a run whose evaluations hold random texts, which no compression makes small; returns bytes on disk."""
    rng = np.random.default_rng(0)
    alphabet = np.frombuffer(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ +", dtype=np.uint8)
    with RunWriter(folder, {"steps": evaluations}, "train") as writer:
        for step in range(evaluations):
            groups = []
            for p, problem in enumerate(lab_problems(count=problems)):
                texts = [alphabet[rng.integers(0, 64, chars)].tobytes().decode() for _ in range(8)]
                completions = tuple(
                    Completion(text, tuple(rng.integers(0, 150_000, chars // 16).tolist()), None, True)
                    for text in texts
                )
                groups.append(RolloutGroup(problem, tuple(range(64)), completions, p))
            scores_PG = [[Score(float((p + g + step) % 3 == 0), "1") for g in range(8)] for p in range(problems)]
            RolloutStore(folder / "rollouts").write("eval", step, groups, scores_PG, set_name="s")
            writer.append(step, {"reward": step / evaluations, "eval/s/avg@8": step / evaluations})
    return sum(file.stat().st_size for _, file in rollout_files(folder, "eval"))


def test_a_report_holds_little_of_large_evaluations(tmp_path):
    large_run(tmp_path / "small", 2, 4, 100)
    size = large_run(tmp_path / "large", 6, 80, 80_000)
    assert size > 6 * 40e6
    args = [sys.executable, "-c", MEASURE, str(tmp_path / "small"), str(tmp_path / "large")]
    done = subprocess.run(args, capture_output=True, text=True, check=True)
    _, before, report, faithful = map(int, done.stdout.split())
    assert report - before < size / 3, f"the report held {(report - before) / 1e6:.0f} MB of {size / 1e6:.0f} MB"
    assert faithful - before < 0.9 * size, f"labels held {(faithful - before) / 1e6:.0f} MB of {size / 1e6:.0f} MB"


def test_a_folder_that_stands_still_is_listed_once(tmp_path, monkeypatch):
    large_run(tmp_path, 3, 2, 100)
    listings, listdir = [], os.listdir
    monkeypatch.setattr(responses.os, "listdir", lambda folder: listings.append(folder) or listdir(folder))
    for _ in range(3):
        assert [step for step, _ in rollout_files(tmp_path, "eval")] == [0, 1, 2]
    assert len(listings) == 3  # it has just changed
    os.utime(tmp_path / "rollouts" / "eval", (1e9, 1e9))
    for _ in range(3):
        assert [step for step, _ in rollout_files(tmp_path, "eval", "s", [1, 2])] == [1, 2]
    assert len(listings) == 4
    (tmp_path / "rollouts" / "eval" / "s-step_000002.parquet").unlink()
    assert [step for step, _ in rollout_files(tmp_path, "eval")] == [0, 1]
