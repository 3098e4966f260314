"""`data filter` and `data corrupt` with a real model: counts recomputed from the stored responses, kill and go on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from transformers import AutoTokenizer

from presat import load_problems
from presat.cli import run
from presat.config import dump_config
from presat.config.schema import CorruptConfig, FilterConfig, ModelConfig, TaskConfig, VerifyConfig
from presat.errors import DataError, RunError
from presat.evaluation.prepare import run_corrupt, run_filter, usable_label
from presat.evaluation.solve import Samples
from presat.tasks.gym import gym_problems
from presat.tasks.rows import original_gold
from presat.tracking.responses import drawn_with
from presat.tracking.state import run_state
from presat.types import Problem
from presat.verify import Verifier

DATA = TaskConfig(source="lab/chains", name="chains", count=40, options={"operands": [3, 5]})


def settings(toy_model: Path, folder: Path, kind: type = FilterConfig, **changes):
    data = DATA if kind is FilterConfig else DATA.model_copy(update={"name": ""})  # what only the filter logs by
    values = {"data": data, "model": ModelConfig(name=str(toy_model)), "run": folder / "run", "samples": 16,
              "out": folder / "out.parquet", "max_new_tokens": 20, "chunk": 8, "threads": 1, "seed": 7}  # fmt: skip
    return kind(**(values | changes))


def responses(run: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(file) for file in sorted((run / "rollouts" / "solve").glob("*.parquet"))])


@pytest.fixture(scope="module")
def filtered(toy_model, tmp_path_factory):
    config = settings(toy_model, tmp_path_factory.mktemp("filter"))
    return config, run_filter(config, quiet=True)


def test_the_counts_are_what_the_stored_responses_say(filtered):
    config, found = filtered
    rows = responses(config.run)
    assert len(rows) == 40 * 16
    (first, *_) = sorted((config.run / "rollouts" / "solve").glob("*.parquet"))
    drawn = drawn_with(first)
    assert (drawn["name"], drawn["samples"], drawn["max_new_tokens"]) == (config.model.name, 16, 20)
    counted = dict(
        rows.group_by("problem_id").agg((pl.col("extracted").str.strip_chars() == pl.col("gold")).sum()).rows()
    )
    kept = load_problems(config.out)
    assert {p.id: p.metadata["solve"]["right"] for p in kept} == {i: n for i, n in counted.items() if 1 <= n <= 15}
    told = [{name: p.metadata["solve"][name] for name in ("samples", "model", "extraction")} for p in kept]
    assert told == [{"samples": 16, "model": config.model.name, "extraction": "auto"}] * len(kept)
    assert found.histogram == [Counter(counted.values())[n] for n in range(17)]
    assert (found.problems, found.kept, found.never) == (40, len(kept), found.histogram[0])
    assert 0 < found.kept < 40  # else nothing was filtered
    assert found.missing == 0.0


def test_a_problems_draws_do_not_depend_on_the_others(filtered, toy_model, tmp_path):
    config, _ = filtered
    fewer = settings(toy_model, tmp_path, data=DATA.model_copy(update={"count": 10}), lowest=0, highest=16, chunk=3)
    run_filter(fewer, quiet=True)
    all_rows = {(r["problem_id"], r["sample"]): r["text"] for r in responses(config.run).iter_rows(named=True)}
    few_rows = {(r["problem_id"], r["sample"]): r["text"] for r in responses(fewer.run).iter_rows(named=True)}
    assert len(few_rows) == 160
    assert few_rows.items() <= all_rows.items()


def test_killed_and_started_again_it_goes_on_and_ends_the_same(filtered, toy_model, tmp_path):
    config, found = filtered
    again = settings(toy_model, tmp_path, chunk=4)
    file = tmp_path / "config.yaml"
    file.write_text(dump_config(again))
    process = subprocess.Popen([sys.executable, "-m", "presat", "data", "filter", "--config", str(file)],
                               stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # fmt: skip
    chunks, deadline = again.run / "rollouts" / "solve", time.monotonic() + 120
    while len(list(chunks.glob("*.parquet"))) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not again.out.exists()
    before = {path.name: path.stat().st_mtime_ns for path in chunks.glob("*.parquet")}
    assert len(before) < 10
    assert run_filter(again, quiet=True).histogram == found.histogram
    after = {path.name: path.stat().st_mtime_ns for path in chunks.glob("*.parquet")}
    assert before.items() <= after.items()
    assert len(after) == 10
    assert responses(again.run).height == 640
    assert [(p.id, p.metadata) for p in load_problems(again.out)] == [
        (p.id, p.metadata) for p in load_problems(config.out)
    ]


@pytest.mark.parametrize(
    ("change", "name"),
    [({"seed": 8}, "seed"), ({"samples": 4}, "samples"), ({"temperature": 0.5}, "temperature"),
     ({"verify": VerifyConfig(extraction="any")}, "extraction"), ({"max_new_tokens": 9}, "max_new_tokens"),
     ({"engine": "transformers"}, "engine")],
)  # fmt: skip
def test_samples_that_were_drawn_otherwise_are_not_mixed_in(filtered, change, name):
    config, _ = filtered
    records = [file for file in config.run.iterdir() if file.is_file() and not file.name.startswith(".")]
    before = {file: file.read_bytes() for file in records}
    with pytest.raises(RunError, match=rf"were drawn otherwise \({name} \S+, now \S+\)"):
        run_filter(config.model_copy(update=change), quiet=True)
    assert {file: file.read_bytes() for file in before} == before  # the finished run stays as it is
    assert run_state(config.run).status == "finished"


def test_samples_whose_record_is_older_are_gone_on_with_unless_it_says_otherwise(filtered, toy_model, tmp_path):
    config, found = filtered
    config = config.model_copy(update={"run": shutil.copytree(config.run, tmp_path / "run")})
    noted = json.loads((config.run / "samples.json").read_text())
    older = {key: noted[key] for key in ("model", "engine", "extraction", "dtype", "chat_template", "samples", "seed",
                                         "temperature", "max_new_tokens")}  # fmt: skip
    (config.run / "samples.json").write_text(json.dumps(older))
    template = AutoTokenizer.from_pretrained(toy_model).chat_template
    (tmp_path / "other.jinja").write_text(template.replace("<user>", "<user> <user>"))
    other = config.model.model_copy(update={"chat_template": str(tmp_path / "other.jinja")})
    with pytest.raises(RunError, match=r"\(chat_template none, now \S*"):
        run_filter(config.model_copy(update={"model": other}), quiet=True)
    assert run_filter(config, quiet=True) == found
    assert json.loads((config.run / "samples.json").read_text()) == noted


def test_samples_that_were_drawn_with_another_prompt_are_not_taken_for_its_own(toy_model, tmp_path):
    """An `id` column, or a prompt style, keeps a problem's id where the model is asked something else."""

    def draw(*turns: list[dict[str, str]]) -> tuple[list[str], int]:
        """Filter, and return the problems of the newest file of samples, and how many files there are."""
        rows = [{"id": f"p{i}", "messages": turn, "answer": "7"} for i, turn in enumerate(turns)]
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        data = TaskConfig(source=str(tmp_path / "rows.jsonl"), columns={"id": "id"})
        run_filter(settings(toy_model, tmp_path, data=data, lowest=0, highest=16), quiet=True)
        files = sorted((tmp_path / "run" / "rollouts" / "solve").glob("*.parquet"))
        return pl.read_parquet(files[-1])["problem_id"].unique(maintain_order=True).to_list(), len(files)

    one, two, three = ([{"role": "user", "content": text}] for text in ("1 a +2", "3 a +4 b -2", "5 a +5"))
    assert draw(one, two) == (["p0", "p1"], 1)
    assert draw(one, two) == (["p0", "p1"], 1)
    assert draw(one, three) == (["p1"], 2)
    assert draw([{"role": "system", "content": "1"}, *one], three) == (["p0"], 3)
    assert draw(one, two) == (["p0"], 3)  # the first samples are there still, and nothing is drawn


def test_samples_that_do_not_say_their_prompt_are_drawn_anew(toy_model, tmp_path):
    config = settings(toy_model, tmp_path, data=DATA.model_copy(update={"count": 3}), lowest=0, highest=16)
    found = run_filter(config, quiet=True)
    (file,) = (config.run / "rollouts" / "solve").glob("*.parquet")
    pl.read_parquet(file).drop("prompt_id").write_parquet(file)
    assert run_filter(config, quiet=True).histogram == found.histogram
    assert len(list((config.run / "rollouts" / "solve").glob("*.parquet"))) == 2


def test_problems_without_gold_and_bounds_nothing_meets_are_refused(filtered, toy_model, tmp_path):
    config, _ = filtered
    with pytest.raises(DataError, match="None of 40 problems is solved 16 to 16 times out of 16"):
        run_filter(config.model_copy(update={"lowest": 16, "highest": 16, "out": tmp_path / "no.parquet"}), quiet=True)
    with pytest.raises(ValueError, match=r"at least 16 \(`lowest`\) and at most 15 times"):
        FilterConfig(lowest=16)
    (tmp_path / "bare.jsonl").write_text('{"question": "7 a +3"}\n')
    bare = settings(toy_model, tmp_path, data=TaskConfig(source=str(tmp_path / "bare.jsonl")))
    with pytest.raises(DataError, match=r"1 of 1 problems have no gold answer .* how often they are solved"):
        run_filter(bare, quiet=True)


@pytest.fixture(scope="module")
def noisy(toy_model, tmp_path_factory):
    config = settings(toy_model, tmp_path_factory.mktemp("corrupt"), CorruptConfig, gamma=0.7)
    return config, run_corrupt(config, quiet=True)


def test_labels_are_the_most_frequent_incorrect_answers(noisy):
    config, done = noisy
    problems = load_problems(config.out)
    wrong = [p for p in problems if p.gold != original_gold(p)]
    assert (done.corrupted, done.gamma, done.problems) == (28, 0.7, 40)
    assert len(wrong) == 28
    assert {p.id: original_gold(p) for p in problems} == {p.id: p.gold for p in load_problems(DATA)}
    note = {"samples": 16, "model": config.model.name, "extraction": "auto"}
    assert [p.metadata["noise"] for p in problems] == [note] * 40
    rows = responses(config.run)
    for problem in wrong:
        answers = [a.strip() for a in rows.filter(pl.col("problem_id") == problem.id)["extracted"].to_list() if a]
        counts = Counter(a for a in answers if a != original_gold(problem))
        assert counts[problem.gold] == max(counts.values())


def test_a_lower_gamma_is_nested_in_a_higher_one_and_draws_nothing_new(noisy):
    config, _ = noisy
    labels = {p.id: p.gold for p in load_problems(config.out) if p.gold != original_gold(p)}
    files = list((config.run / "rollouts" / "solve").iterdir())
    low = config.model_copy(update={"gamma": 0.3, "out": config.out.with_name("low.parquet")})
    assert run_corrupt(low, quiet=True).gamma == 0.3
    fewer = {p.id: p.gold for p in load_problems(low.out) if p.gold != original_gold(p)}
    assert len(fewer) == 12
    assert fewer.items() < labels.items()
    assert list((config.run / "rollouts" / "solve").iterdir()) == files


def test_what_cannot_be_corrupted_is_reported_and_gamma_is_the_achieved_one(toy_model, tmp_path):
    config = settings(toy_model, tmp_path, CorruptConfig, gamma=1.0, samples=1)
    done = run_corrupt(config, quiet=True)
    rows = responses(config.run)
    immune = rows.filter(pl.col("extracted").is_null() | (pl.col("score") != 0.0))["problem_id"].to_list()
    assert 0 < len(immune) < 40
    assert sorted(done.incorruptible) == sorted(immune)
    assert (done.corrupted, done.gamma) == (40 - len(immune), (40 - len(immune)) / 40)


def test_a_corrupted_set_is_not_corrupted_again(noisy, toy_model, tmp_path):
    config, _ = noisy
    with pytest.raises(DataError, match="28 of 40 labels differ"):
        run_corrupt(settings(toy_model, tmp_path, CorruptConfig, data=TaskConfig(source=str(config.out))), quiet=True)


def test_labels_that_do_not_work_are_passed_over_for_the_next():
    locks = gym_problems("quantum_lock", 30, seed=1, difficulty=1)
    problem = next(lock for lock in locks if lock.gold == "A → A → B")
    none, longer = "3 presses", "A → B → A → B → C"
    wrong = [none, none, none, "C → C → C", "C → C → C", longer]
    with Verifier() as verifier:
        found = usable_label(Samples([*wrong, "A → A → B", None], [0.0] * 6 + [1.0, 0.0]), problem, verifier)
        # the first names no button; under the second, as long as the right one, the right one stays right
        assert found == (longer, 2)
        assert usable_label(Samples(wrong[:5], [0.0] * 5), problem, verifier) == (None, 0)


def test_equivalent_incorrect_answers_are_counted_together():
    problem = Problem("p", ({"role": "user", "content": "?"},), "7", "math", "math", {})
    answers: list[str | None] = ["8", "8", "8", "1/2", "0.5", r"\frac{1}{2}", "0.5", "7", "7.0"]
    with Verifier() as verifier:
        values = [score.value for score in verifier.score_many([(problem, f"\\boxed{{{a}}}") for a in answers])]
        assert values == [0.0] * 7 + [1.0] * 2
        assert usable_label(Samples(answers, values), problem, verifier) == ("0.5", 0)
        unreadable = Samples([r"\text{}", r"\text{}", "8"], [0.0] * 3)
        assert usable_label(unreadable, problem, verifier) == ("8", 1)


def test_the_verbs_follow_each_other_on_the_command_line(toy_model, tmp_path, capsys):
    def presat(*words: str) -> dict:
        assert run(["data", *words, "--json"]) == 0
        printed = capsys.readouterr()
        assert "Written to" in printed.err.replace("\n", " ")
        return json.loads(printed.out)

    def files(name: str, out: str) -> list[str]:
        return ["--data.source", str(tmp_path / name), "--out", str(tmp_path / out)]

    model = ["--model.name", str(toy_model), "--max-new-tokens", "20", "--threads", "1"]
    source = ["--data.source", "lab/chains", "--data.count", "40", "--data.options", "{operands: [3, 5]}"]
    out = ["--out", str(tmp_path / "usable.parquet"), "--run", str(tmp_path / "filter")]
    usable = presat("filter", *source, *model, *out)
    eight = presat("subset", *files("usable.parquet", "eight.parquet"), "--n", "8", "--batch", "16")
    assert eight["repeats"] == 2
    assert all(1 <= count <= 15 for count in eight["solve_counts"])
    noisy = presat("corrupt", *files("eight.parquet", "noisy.parquet"), *model, "--run", str(tmp_path / "noise"),
                   "--gamma", "0.5", "--samples", "24")  # fmt: skip
    assert (noisy["problems"], noisy["corrupted"], noisy["gamma"]) == (8, 4, 0.5)
    assert usable["kept"] >= 8
    problems = load_problems(tmp_path / "noisy.parquet")
    assert [p.metadata["repeats"] for p in problems] == [2] * 8
    assert [p.metadata["solve"]["right"] for p in problems] == eight["solve_counts"]
    assert sum(p.gold != original_gold(p) for p in problems) == 4
    assert run(["data", "corrupt", *files("noisy.parquet", "again.parquet"), *model]) == 1
    assert "this set is corrupted already" in capsys.readouterr().err
    assert run(["data", "sebset"]) == 2
