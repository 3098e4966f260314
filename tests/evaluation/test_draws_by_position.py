"""Problems chosen as the demo's are: draws by position, and a subset of a mean solve rate."""

from __future__ import annotations

from pathlib import Path

import pytest

from presat.config.schema import FilterConfig, ModelConfig, SubsetConfig, TaskConfig, VerifyConfig
from presat.errors import ConfigError
from presat.evaluation import run_filter, solve_counts
from presat.tasks import load_problems
from presat.tasks.subsets import choose_subset, near_mean
from presat.types import Sampling

DATA = TaskConfig(source="lab/chains", count=24, options={"operands": [3, 4]})


@pytest.fixture(scope="module")
def filtered(toy_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filter")
    run_filter(FilterConfig(data=DATA, model=ModelConfig(name=str(toy_model)), run=folder / "run", seed=5, samples=16,
                            out=folder / "out.parquet", max_new_tokens=12, max_prompt_tokens=64, chunk=24, lowest=0,
                            highest=16, draws_by="position"), quiet=True)  # fmt: skip
    return folder / "out.parquet"


def test_draws_by_position_are_those_of_solve_counts(toy_model: Path, filtered: Path) -> None:
    found = [problem.metadata["solve"]["right"] for problem in load_problems(TaskConfig(source=str(filtered)))]
    model = ModelConfig(name=str(toy_model))
    assert found == solve_counts(model, load_problems(DATA), 16, Sampling(1.0, 12, 64), 5, VerifyConfig())


def test_a_subset_of_a_mean_is_the_nearest_of_many(filtered: Path) -> None:
    problems = load_problems(TaskConfig(source=str(filtered)))
    counts = [problem.metadata["solve"]["right"] for problem in problems]
    chosen = choose_subset(problems, SubsetConfig(n=4, batch=8, mean=0.2, seed=3))
    assert [problem.id for problem in chosen] == [problems[i].id for i in near_mean(counts, 4, 0.2, 3)]
    assert {problem.metadata["repeats"] for problem in chosen} == {2}
    with pytest.raises(ConfigError, match="leave out `balance`, or `mean`"):
        choose_subset(problems, SubsetConfig(n=4, mean=0.2, balance="domain"))
