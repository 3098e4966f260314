"""The paper's published files: every quirk, every row, every gold answer. Skipped where the files are absent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from presat import load_problems
from presat.tasks import save_problems
from presat.tasks.rows import EXTRA_COLUMN, extra_info, original_gold
from presat.types import Problem
from presat.verify import Verifier

FILES = {  # rows, different problems after folding, domain, verifier
    "math/llama-3b_8.parquet": (64, 8, "math", "math"),
    "math/llama-3b_512.parquet": (512, 512, "math", "math"),
    "math/llama-3b_2048_gamma0.70.parquet": (2048, 2048, "math", "math"),
    "science/qwen-math-1.5b_64.parquet": (64, 64, "science", "math"),
    "graph/qwen-math-7b_8.parquet": (64, 8, "graph", "reasoning_gym"),
    "graph/qwen-math-7b_128.parquet": (128, 128, "graph", "reasoning_gym"),
    "graph/qwen-math-7b_882_gamma0.70.parquet": (882, 882, "graph", "reasoning_gym"),
    "eval/math500.parquet": (500, 500, "math", "math"),
    "eval/amc_test.parquet": (83, 83, "math", "math"),
    "eval/test_quantum_lock_qwen_7b_50_very_difficult_0.parquet": (50, 50, "graph", "reasoning_gym"),
    "eval/test_largest_island_qwen_7b_50_uniform_extra_info_difficulty_0.parquet": (50, 50, "graph", "reasoning_gym"),
}


@pytest.fixture(scope="module")
def loaded(sample_data: Path) -> dict[str, list[Problem]]:
    return {name: load_problems(sample_data / name) for name in FILES if (sample_data / name).is_file()}


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    """One for all files: golds that several files share are judged once."""
    with Verifier(timeout_s=30) as shared:
        yield shared


def of(loaded: dict[str, list[Problem]], name: str) -> list[Problem]:
    if name not in loaded:
        pytest.skip(f"{name} is not here")
    return loaded[name]


def test_no_file_is_left_out(sample_data: Path) -> None:
    assert {str(path.relative_to(sample_data)) for path in sample_data.rglob("*.parquet")} <= set(FILES)


@pytest.mark.parametrize("name", list(FILES))
def test_every_row_is_a_problem(name: str, loaded: dict[str, list[Problem]], sample_data: Path) -> None:
    rows, different, domain, kind = FILES[name]
    problems = of(loaded, name)
    assert pq.read_metadata(sample_data / name).num_rows == rows
    assert (len(problems), sum(problem.metadata.get("repeats", 1) for problem in problems)) == (different, rows)
    assert len({problem.id for problem in problems}) == different
    assert {(problem.domain, problem.verifier) for problem in problems} == {(domain, kind)}
    assert all(problem.gold and not problem.gold.startswith('["') for problem in problems)
    assert {tuple(turn["role"] for turn in problem.messages) for problem in problems} <= {("system", "user"), ("user",)}


@pytest.mark.parametrize("name", list(FILES))
def test_every_gold_answer_verifies_against_itself(
    name: str, loaded: dict[str, list[Problem]], verifier: Verifier
) -> None:
    problems = of(loaded, name)
    scores = verifier.score_many([(problem, f"\\boxed{{{problem.gold}}}") for problem in problems])
    rows = zip(range(1, len(problems) + 1), problems, scores, strict=True)
    wrong = [f"row {row}: gold {p.gold!r}, {score}" for row, p, score in rows if score.value != 1.0]
    assert not wrong, "\n".join([f"{len(wrong)} of {len(problems)} rows of {name}:", *wrong])


@pytest.mark.parametrize("name", list(FILES))
def test_saving_and_loading_gives_the_same_problems(
    name: str, loaded: dict[str, list[Problem]], tmp_path: Path
) -> None:
    problems = of(loaded, name)
    assert load_problems(save_problems(problems, tmp_path / "saved.parquet")) == problems


@pytest.mark.parametrize("name", list(FILES))
def test_saving_keeps_every_field_of_every_row_for_other_readers_too(
    name: str, loaded: dict[str, list[Problem]], sample_data: Path, tmp_path: Path
) -> None:
    saved = save_problems(of(loaded, name), tmp_path / "saved.parquet")

    def canonical(rows: Iterable[dict[str, Any]]) -> list[str]:
        """The rows in an order of their own, without the one column we add (ids of prompts that stand there twice)."""
        kept = ({name: value for name, value in row.items() if name != EXTRA_COLUMN} for row in rows)
        return sorted(json.dumps(row, sort_keys=True) for row in kept)

    before = canonical(pq.read_table(sample_data / name).to_pylist())
    assert canonical(pq.read_table(saved).to_pylist()) == before
    # the library verl reads its files with
    other = load_dataset("parquet", data_files=str(saved), split="train", cache_dir=str(tmp_path / "cache"))
    assert canonical(other) == before


def test_problems_of_all_domains_fit_one_file(loaded: dict[str, list[Problem]], tmp_path: Path) -> None:
    names = [name for name in loaded if name.split("_")[0] not in ("math/llama-3b", "graph/qwen-math-7b")]
    problems = [problem for name in names for problem in loaded[name][:5]]
    assert len({problem.domain for problem in problems}) == 3
    assert load_problems(save_problems(problems, tmp_path / "saved.parquet")) == problems


def test_json_lists_in_strings_are_unwrapped(loaded: dict[str, list[Problem]]) -> None:
    problems = of(loaded, "math/llama-3b_512.parquet")
    raw = [problem.metadata["reward_model"]["ground_truth"] for problem in problems]
    wrapped = sum(text.startswith('["') for text in raw)
    assert wrapped > 400
    assert all(problem.gold in text or "\\\\" in text for problem, text in zip(problems, raw, strict=True))


def test_graph_metadata_in_a_json_string_is_read(loaded: dict[str, list[Problem]]) -> None:
    for problem in of(loaded, "graph/qwen-math-7b_128.parquet"):
        assert isinstance(problem.metadata["extra_info"], str)
        assert extra_info(problem.metadata)["source_dataset"] in ("quantum_lock", "largest_island")
        assert original_gold(problem) == problem.gold


@pytest.mark.parametrize(
    ("name", "differ"),
    [("math/llama-3b_2048_gamma0.70.parquet", 1432), ("graph/qwen-math-7b_882_gamma0.70.parquet", 617)],
)
def test_corrupted_files_keep_the_true_answer(name: str, differ: int, loaded: dict[str, list[Problem]]) -> None:
    problems = of(loaded, name)
    truths = [original_gold(problem) for problem in problems]
    assert None not in truths
    assert sum(truth != problem.gold for truth, problem in zip(truths, problems, strict=True)) == differ
    assert differ / len(problems) == pytest.approx(0.70, abs=0.005)


def test_the_true_answer_is_wrong_under_a_corrupted_label(loaded: dict[str, list[Problem]], verifier: Verifier) -> None:
    problems = of(loaded, "math/llama-3b_2048_gamma0.70.parquet")[:200]
    whole = [(problem, truth) for problem in problems if (truth := original_gold(problem) or "").isdigit()]
    corrupted = [problem for problem, truth in whole if truth != problem.gold]
    assert len(corrupted) > 50
    scores = verifier.score_many([(problem, f"\\boxed{{{original_gold(problem)}}}") for problem in corrupted])
    assert [score.value for score in scores] == [0.0] * len(corrupted)
