"""Columns of Arrow maps, as some published files keep their mappings: read as mappings, and not lost in saving."""

from __future__ import annotations

from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from presat import load_problems
from presat.config.schema import SubsetConfig
from presat.errors import DataError
from presat.tasks import save_problems
from presat.tasks.rows import extra_info
from presat.tasks.subsets import choose_subset, solve_counts_of


def map_table(rows: list[dict]) -> pa.Table:
    """Verl rows whose `difficulty` and `extra_info` are Arrow maps, and a map within a list within a struct."""
    turns = [[{"role": "user", "content": f"{n}?"}] for n in range(len(rows))]
    text, number = pa.map_(pa.string(), pa.string()), pa.map_(pa.string(), pa.float64())
    deep = pa.list_(pa.struct([("counts", number)]))
    return pa.table({
        "prompt": turns,
        "data_source": ["scp"] * len(rows),
        "reward_model": [{"ground_truth": str(n), "style": "rule"} for n in range(len(rows))],
        "extra_info": pa.array([row["extra_info"] for row in rows], text),
        "difficulty": pa.array([row["difficulty"] for row in rows], number),
        "deep": pa.array([[{"counts": row["difficulty"]}] for row in rows], deep),
    })  # fmt: skip


EVEN = [{"extra_info": {"index": str(n), "split": "train"}, "difficulty": {"small": n + 1.0, "large": 9.0}}
        for n in range(4)]  # fmt: skip
UNEVEN = [*EVEN, {"extra_info": {"index": "4"}, "difficulty": {"large": 3.0}}, {"extra_info": {}, "difficulty": None}]


@pytest.mark.parametrize("rows", [EVEN, UNEVEN[:5]])
def test_maps_are_mappings_and_survive_saving(rows: list[dict], tmp_path: Path) -> None:
    pq.write_table(map_table(rows), tmp_path / "maps.parquet")
    problems = load_problems(tmp_path / "maps.parquet")
    assert [extra_info(problem.metadata) for problem in problems] == [row["extra_info"] for row in rows]
    assert [problem.metadata["deep"] for problem in problems] == [[{"counts": row["difficulty"]}] for row in rows]
    chosen = choose_subset(problems, SubsetConfig(n=4, batch=0, counts="difficulty.large"))
    assert solve_counts_of(chosen, "difficulty.large", 16)[0][0] in (3, 9)
    saved = save_problems(problems, tmp_path / "saved.parquet")
    assert load_problems(saved) == problems


def test_mappings_of_other_keys_keep_their_columns_for_other_readers(tmp_path: Path) -> None:
    table = map_table(UNEVEN).drop_columns("deep")
    pq.write_table(table, tmp_path / "maps.parquet")
    problems = load_problems(tmp_path / "maps.parquet")
    saved = save_problems(problems, tmp_path / "saved.parquet")
    assert load_problems(saved) == problems
    other = datasets.load_dataset("parquet", data_files=str(saved), split="train", cache_dir=str(tmp_path / "cache"))
    assert set(table.column_names) <= set(other.column_names)
    assert [row["difficulty"] for row in other][3:] == [
        {"small": 4.0, "large": 9.0}, {"small": None, "large": 3.0}, None,
    ]  # fmt: skip
    assert other[4]["extra_info"] == {"index": "4", "split": None}


def test_a_map_with_a_key_twice_is_refused(tmp_path: Path) -> None:
    twice = pa.array([[("a", 1.0), ("a", 2.0)]], pa.map_(pa.string(), pa.float64()))
    pq.write_table(pa.table({"question": ["1?"], "difficulty": twice}), tmp_path / "twice.parquet")
    with pytest.raises(DataError, match=r"a key that stands there twice.*'a'"):
        load_problems(tmp_path / "twice.parquet")


def test_the_published_science_problems_are_the_same_with_maps(sample_data: Path, tmp_path: Path) -> None:
    file = sample_data / "science/qwen-math-1.5b_64.parquet"
    if not file.is_file():
        pytest.skip(f"{file.name} is not here")
    table = pq.read_table(file)
    place = table.column_names.index("difficulty")
    maps = pa.array(table["difficulty"].to_pylist(), pa.map_(pa.string(), pa.float64()))
    pq.write_table(table.set_column(place, "difficulty", maps), tmp_path / "maps.parquet")
    problems = load_problems(file)
    assert load_problems(tmp_path / "maps.parquet") == problems
    assert load_problems(save_problems(problems, tmp_path / "saved.parquet")) == problems
