"""What other readers find in the files `save_problems` writes: verl asks `extra_info` for keys, so it is a mapping."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from presat import load_problems
from presat.errors import DataError
from presat.tasks import save_problems
from presat.types import Problem

LOCK = {"source_dataset": "quantum_lock", "solution_path": ["A"]}


def of_table(folder: Path, *rows: dict[str, Any], **options: Any) -> list[Problem]:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_problems(path, **options)


def verl(question: str, extra: Any) -> dict[str, Any]:
    prompt = [{"role": "user", "content": question}]
    return {"data_source": "x", "prompt": prompt, "reward_model": {"ground_truth": "A"}, "extra_info": extra}


MAKERS: dict[str, Callable[[Path], list[Problem]]] = {
    "gym": lambda _: load_problems("reasoning_gym/quantum_lock", count=3),
    "gym without gold": lambda _: load_problems("reasoning_gym/graph_color", count=2),
    "lab": lambda _: load_problems("lab/chains", count=3),
    "table": lambda folder: of_table(folder, {"question": "1?", "answer": 1}, {"question": "2?", "answer": 2, "k": {}}),
    "choices": lambda folder: of_table(folder, {"question": "Which?", "options": ["7", "8"], "answer_letter": "B"}),
    "mixed": lambda folder: [
        *load_problems("lab/chains", count=2),
        *of_table(folder, verl("a", json.dumps(LOCK)), verl("b", {"index": 7}), unique=False),
    ],
}


def rows_by_pyarrow(path: Path) -> Iterator[dict[str, Any]]:
    yield from pq.read_table(path).to_pylist()


def rows_by_pandas(path: Path) -> Iterator[dict[str, Any]]:
    yield from pd.read_parquet(path).to_dict("records")


def rows_by_datasets(path: Path) -> Iterator[Any]:
    """As verl's `RLHFDataset` reads its files."""
    yield from load_dataset("parquet", data_files=str(path), cache_dir=str(path.parent / "cache"))["train"]


@pytest.mark.parametrize("kind", list(MAKERS))
def test_rows_that_did_not_come_from_verl_have_a_mapping(kind: str, tmp_path: Path) -> None:
    problems = MAKERS[kind](tmp_path)
    path = save_problems(problems, tmp_path / "saved.parquet")
    assert load_problems(path) == problems
    for read in (rows_by_pyarrow, rows_by_pandas, rows_by_datasets):
        extras = [row["extra_info"] for row in read(path)]
        assert all(isinstance(extra, dict) for extra in extras)
        assert [extra.get("index", 0) for extra in extras] == list(range(len(problems)))  # verl's own words
        assert [json.loads(extra["presat"])["verifier"] for extra in extras] == [p.verifier for p in problems]


def test_a_string_stays_where_the_row_came_with_one(tmp_path: Path) -> None:
    problems = of_table(tmp_path, verl("a", json.dumps(LOCK)))
    path = save_problems(problems, tmp_path / "saved.parquet")
    assert [row["extra_info"] for row in rows_by_pyarrow(path)] == [json.dumps(LOCK)]
    assert load_problems(path) == problems


def test_a_repeated_problem_has_one_number(tmp_path: Path) -> None:
    problems = [replace(p, metadata={**p.metadata, "repeats": 2}) for p in load_problems("lab/chains", count=2)]
    path = save_problems(problems, tmp_path / "saved.parquet")
    assert [row["extra_info"]["index"] for row in rows_by_pyarrow(path)] == [0, 1, 0, 1]
    assert load_problems(path) == problems


def test_a_label_that_others_write_into_the_row_counts(tmp_path: Path) -> None:
    path = save_problems(load_problems("lab/chains", count=1), tmp_path / "saved.parquet")
    (row,) = rows_by_pyarrow(path)
    for label, gold in (("-7", "-7"), ('["-7"]', "-7"), (None, None)):
        pq.write_table(pa.Table.from_pylist([row | {"reward_model": {"ground_truth": label}}]), path)
        assert [problem.gold for problem in load_problems(path)] == [gold]


def test_a_gold_that_looks_wrapped_is_not_unwrapped_again(tmp_path: Path) -> None:
    (problem,) = load_problems("lab/chains", count=1)
    listed = replace(problem, gold='["a"]')
    assert load_problems(save_problems([listed], tmp_path / "saved.parquet")) == [listed]


def test_a_verifier_of_its_own_travels_in_extra_info(tmp_path: Path) -> None:
    (problem,) = of_table(tmp_path, verl("a", {"index": 7}))
    exact = replace(problem, verifier="lab")
    path = save_problems([exact], tmp_path / "saved.parquet")
    assert load_problems(path) == [exact]
    (row,) = rows_by_pyarrow(path)
    assert json.loads(row["extra_info"]["presat"])["verifier"] == "lab"


@pytest.mark.parametrize("record", ["{}", "[]", "no JSON", 7])
def test_a_record_of_something_else_is_named(record: Any, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.jsonl, row 1: field 'presat' is not what presat writes there"):
        of_table(tmp_path, verl("a", {"presat": record}))
