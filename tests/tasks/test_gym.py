"""Problems made by Reasoning Gym."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from presat import load_problems
from presat.errors import ConfigError, DataError
from presat.tasks.gym import gym_levels, gym_names, gym_problems
from presat.types import Problem
from presat.verify import Verifier

PAPER = ("quantum_lock", "largest_island")


def size_of(problem: Problem) -> int:
    """Cells of a Largest Island grid."""
    grid = problem.metadata["grid"]
    return len(grid) * len(grid[0])


@pytest.mark.parametrize("task", PAPER)
def test_problems_are_a_function_of_seed_and_index(task: str) -> None:
    ten = gym_problems(task, 10, seed=3)
    assert gym_problems(task, 10, seed=3) == ten
    assert gym_problems(task, 4, seed=3) == ten[:4]
    assert len({problem.id for problem in ten}) == len({problem.messages[-1]["content"] for problem in ten}) == 10


def test_another_process_makes_the_same_problems() -> None:
    code = "from presat.tasks.gym import gym_problems as g; print([p.messages for p in g('quantum_lock', 3, seed=5)])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == str([problem.messages for problem in gym_problems("quantum_lock", 3, seed=5)])


def test_sets_of_neighbouring_seeds_share_next_to_nothing() -> None:
    """Reasoning Gym's own sets of seeds s and s + 1 are the same but for one item; an empty grid may come twice."""
    sets = [{p.messages[-1]["content"] for p in gym_problems("largest_island", 20, seed=seed)} for seed in range(4)]
    assert len(set.union(*sets)) >= 75


def test_levels_take_turns_and_get_harder() -> None:
    problems = gym_problems("largest_island", 40, difficulty=[1, 2, 3, 4])
    levels = [int(problem.id.split("-")[1]) for problem in problems]
    assert Counter(levels) == dict.fromkeys((1, 2, 3, 4), 10)
    assert levels[:5] == [1, 2, 3, 4, 1]
    cells = [sum(size_of(p) for p, at in zip(problems, levels, strict=True) if at == level) for level in range(1, 5)]
    assert cells == sorted(set(cells))
    alone = {problem.id: problem for problem in gym_problems("largest_island", 40, difficulty=3)}
    shared = [problem for problem in problems if problem.id in alone]
    assert len(shared) >= 8
    assert all(alone[problem.id] == problem for problem in shared)


def test_settings_come_over_those_of_the_level_and_into_the_id() -> None:
    (plain,) = gym_problems("largest_island", 1, difficulty=4)
    (small,) = gym_problems("largest_island", 1, difficulty=4, params={"min_rows": 5, "max_rows": 5})
    assert len(small.metadata["grid"]) == 5
    assert small.id != plain.id


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("quantum_lok", {}, "no Reasoning Gym task 'quantum_lok'. Did you mean 'quantum_lock'"),
        ("quantum_lock", {"difficulty": 0}, "has levels 1 to 10; difficulty was 0"),
        ("quantum_lock", {"difficulty": [1, 11]}, "has levels 1 to 10; difficulty was 11"),
        ("quantum_lock", {"difficulty": []}, "one level or a list of levels"),
        ("quantum_lock", {"difficulty": "hard"}, "one level or a list of levels"),
        ("quantum_lock", {"params": {"dificulty": 3}}, "has no setting 'dificulty'. Did you mean 'difficulty'"),
        ("quantum_lock", {"params": {"seed": 3}}, "has no setting 'seed'"),
        ("largest_island", {"params": {"min_rows": -3}}, "refuses these settings"),
        ("quantum_lock", {"dificulty": 1}, "takes no option 'dificulty'. Did you mean 'difficulty'"),
    ],
)
def test_wrong_requests_name_the_nearest(task: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_problems(f"reasoning_gym/{task}", **options)


def test_settings_with_too_few_different_problems() -> None:
    with pytest.raises(
        DataError, match=r"gave 4 different questions .* fewer than the 50 asked for: ask for 4 or fewer"
    ):
        gym_problems("coin_flip", 50, params={"min_trials": 1, "max_trials": 1})


def test_tasks_without_a_curriculum_say_so() -> None:
    without = next(name for name in gym_names() if gym_levels(name) == 0 and name != "composite")
    with pytest.raises(ConfigError, match="has no levels; use params"):
        gym_problems(without, 1, difficulty=1)


def test_the_default_count_and_prompt() -> None:
    problems = load_problems("reasoning_gym/quantum_lock")
    assert len(problems) == 100
    assert {(p.domain, p.verifier, p.messages[0]["role"]) for p in problems} == {("graph", "reasoning_gym", "system")}
    assert "\\boxed{}" in problems[0].messages[0]["content"]
    assert load_problems("reasoning_gym/quantum_lock", count=1, system="")[0].messages[0]["role"] == "user"


def test_golds_of_any_task_verify_and_metadata_is_plain_data() -> None:
    tasks = (
        *PAPER,
        "basic_arithmetic",
        "sudoku",
        "word_ladder",
        "countdown",
        "arc_1d",
        "rearc",
        "game_of_life",
        "maze",
    )
    problems = [problem for task in tasks for problem in gym_problems(task, 2)]
    for problem in problems:
        assert json.loads(json.dumps(problem.metadata)) == problem.metadata
    with Verifier() as boxed, Verifier("any") as loose:
        for verifier in (boxed, loose):
            scores = verifier.score_many([(problem, f"\\boxed{{{problem.gold}}}") for problem in problems])
            assert [p.id for p, score in zip(problems, scores, strict=True) if score.value != 1.0] == []
            others = [(problem, r"\boxed{certainly not}") for problem in problems]
            assert 1.0 not in [score.value for score in verifier.score_many(others)]
