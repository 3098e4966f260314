from __future__ import annotations

import json
from pathlib import Path

import pytest

from presat import load_problems
from presat.config.schema import TaskConfig
from presat.errors import ConfigError
from presat.tasks import load_task, save_problems


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "sums.jsonl"
    path.write_text("".join(json.dumps({"q": f"1 + {n}?", "a": 1 + n}) + "\n" for n in range(6)))
    return str(path)


def test_a_task_says_what_the_options_say(table: str) -> None:
    columns = {"question": "q", "answer": "a"}
    task = TaskConfig(source=table, columns=columns, domain="science", count=2)
    assert load_task(task) == load_problems(task) == load_problems(table, columns=columns, domain="science", count=2)
    drawn = TaskConfig(source=table, columns=columns, count=2, seed=5, options={"sample": True, "system": ""})
    assert load_task(drawn) == load_problems(table, columns=columns, count=2, seed=5, sample=True, system="")


def test_options_of_the_call_come_over_those_of_the_task(table: str) -> None:
    task = TaskConfig(source=table, columns={"question": "q", "answer": "a"}, count=2)
    assert len(load_task(task, count=4)) == 4
    assert len(load_problems(task, count=None)) == 6


def test_made_sets() -> None:
    gym = TaskConfig(source="reasoning_gym/quantum_lock", count=3, seed=2, options={"difficulty": 3})
    assert load_task(gym) == load_problems("reasoning_gym/quantum_lock", count=3, seed=2, difficulty=3)
    lab = TaskConfig(source="lab/chains", count=3, seed=2, options={"operands": [6, 8]})
    assert load_task(lab) == load_problems("lab/chains", count=3, seed=2, operands=[6, 8])
    assert len(load_task(TaskConfig(source="lab/chains"))) == 100


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (TaskConfig(source="lab/chians"), "Did you mean 'chains'"),
        (TaskConfig(source="lab/chains", options={"operand": [6, 8]}), "no option 'operand'. Did you mean 'operands'"),
        (TaskConfig(source="lab/chains", columns={"question": "q"}), r"lab/chains takes no option 'columns'\.$"),
        (TaskConfig(source="lab/chains", domain="math"), "lab/chains takes no option 'domain'"),
        (TaskConfig(source="reasoning_gym/sudoko"), "Did you mean 'sudoku'"),
        (TaskConfig(), "No data source is given"),
    ],
)
def test_what_a_source_does_not_take_is_refused(task: TaskConfig, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_task(task)


@pytest.fixture
def verl(tmp_path: Path) -> str:
    path = tmp_path / "verl.jsonl"
    row = {"prompt": [{"role": "user", "content": "1 + 1?"}], "reward_model": {"ground_truth": "2"}}
    path.write_text(json.dumps(row) + "\n")
    return str(path)


@pytest.mark.parametrize(
    ("file", "settings", "message"),
    [
        ("table", {"seed": 3}, "`data.seed` decides nothing here"),
        ("table", {"seed": 3, "count": 2}, "`data.seed` decides nothing here"),
        ("table", {"options": {"sample": True}}, "`sample` draws `count` rows at random, and no `count` is given"),
        ("table", {"split": "test"}, "is read whole: `split` names a part of a Hugging Face dataset"),
        ("table", {"options": {"subset": "main"}}, "is read whole: `subset` names a part"),
        ("table", {"count": 2, "options": {"count": 3}}, "`count` is set twice, once under `options`"),
        ("table", {"prompt": "plain", "options": {"system": "x"}}, "`prompt` and `system` both say"),
        ("verl", {"options": {"system": "x"}}, "bring their own prompts, which `system` would not change"),
        ("verl", {"seed": 1}, "`data.seed` decides nothing here"),
        ("reasoning_gym/quantum_lock", {"split": "test"}, "takes no option 'split'"),
        ("benchmark/quantum_lock", {"split": "test"}, "takes no option 'split'"),
        ("benchmark/quantum_lock", {"domain": "math"}, "takes no option 'domain'"),
    ],
)
def test_a_setting_the_source_cannot_honour_is_refused(
    file: str, settings: dict, message: str, request: pytest.FixtureRequest
) -> None:
    made = "/" in file
    columns = {"question": "q", "answer": "a"} if file == "table" else {}
    source = file if made else request.getfixturevalue(file)
    with pytest.raises(ConfigError, match=message):
        load_task(TaskConfig(source=source, columns=columns, **settings))


def test_settings_at_their_defaults_ask_for_nothing(table: str, verl: str) -> None:
    assert load_task(TaskConfig(source=verl, seed=0, split="train", columns={}, domain="", prompt="", options={}))
    assert load_problems(verl, seed=0, split="train", count=None)


def test_a_seed_is_honoured_where_it_decides_the_letters(tmp_path: Path) -> None:
    row = {"Question": "2 + 2?", "Correct Answer": "4"} | {f"Incorrect Answer {n}": str(n) for n in (1, 2, 3)}
    (tmp_path / "gpqa.jsonl").write_text(json.dumps(row) + "\n")
    golds = {load_task(TaskConfig(source=str(tmp_path / "gpqa.jsonl"), seed=seed))[0].gold for seed in range(20)}
    assert len(golds) > 1


def test_a_domain_comes_over_what_a_saved_file_says(tmp_path: Path) -> None:
    saved = save_problems(load_problems("reasoning_gym/quantum_lock", count=2), tmp_path / "saved.parquet")
    (problem, _) = load_task(TaskConfig(source=str(saved), domain="science"))
    assert (problem.domain, problem.verifier) == ("science", "reasoning_gym")
