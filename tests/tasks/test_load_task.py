from __future__ import annotations

import json
from pathlib import Path

import pytest

from presat import load_problems
from presat.config.schema import TaskConfig
from presat.errors import ConfigError
from presat.tasks import load_task


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
