"""verl's custom reward, loaded from its file and called by keyword as verl documents it."""

from __future__ import annotations

import importlib.util
import inspect
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest

import presat.rewards.verl as installed
from presat.errors import ConfigError, DataError
from presat.rewards.verl import compute_score
from presat.tasks import load_problems, save_problems

EXAMPLE = Path(__file__).parents[2] / "examples" / "verl_reward" / "reward.py"


def load_like_verl(path: Path) -> ModuleType:
    """verl executes the file as a module of its own name."""
    spec = importlib.util.spec_from_file_location("custom_module", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(function: Any, text: str, gold: Any = "1/2", extra: Any = None, source: str = "math", **more: Any) -> dict:
    return function(data_source=source, solution_str=text, ground_truth=gold, extra_info=extra, **more)


def test_the_signature_is_the_documented_one() -> None:
    parameters = list(inspect.signature(compute_score).parameters.values())
    assert [p.name for p in parameters[:4]] == ["data_source", "solution_str", "ground_truth", "extra_info"]
    assert parameters[3].default is None
    assert all(p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in parameters[4:])
    assert compute_score("math", r"\boxed{0.5}", "1/2") == {"score": 1.0, "acc": 1.0, "missing": 0.0}


@pytest.mark.parametrize("file", [EXAMPLE, Path(installed.__file__)])
def test_the_file_works_as_verl_loads_it(file: Path) -> None:
    function = load_like_verl(file).compute_score
    assert call(function, r"so \boxed{\frac{1}{2}}")["score"] == 1.0
    assert call(function, r"so \boxed{3}")["score"] == 0.0
    assert call(function, "no box", num_turns=1)["score"] == 0.0  # what newer versions pass besides is let be


def test_gates_and_extraction_are_settings() -> None:
    gated = load_like_verl(EXAMPLE).compute_gated_score
    assert call(gated, r"\boxed{1/2}") == {"score": 0.0, "acc": 1.0, "missing": 0.0}
    assert call(gated, r"<think>a</think>\boxed{1/2}")["score"] == 1.0
    assert call(compute_score, "The answer is $1/2$.", extraction="any")["score"] == 1.0
    assert call(compute_score, r"\boxed{1/2} or \boxed{1/2}", gate="single_box")["score"] == 0.0
    own = {"source": "format_only"}
    assert compute_score("math", r"\boxed{7}", "1/2", None, **own) == {"score": 1.0, "acc": 0.0, "missing": 0.0}


def test_published_rows_are_judged_as_presat_judges_them(sample_data: Path) -> None:
    """Every sample file's first rows, by the very fields verl would pass."""
    files = sorted(sample_data.glob("*/*.parquet"))
    assert files
    seen = set()
    for file in files:
        for problem in load_problems(str(file), count=2):
            row = problem.metadata
            gold = row["reward_model"]["ground_truth"]
            fields = {"gold": gold, "extra": row.get("extra_info"), "source": row["data_source"]}
            assert call(compute_score, f"\\boxed{{{problem.gold}}}", **fields)["score"] == 1.0
            assert call(compute_score, r"\boxed{certainly not}", **fields)["score"] == 0.0
            seen.add(problem.verifier)
    assert seen == {"math", "reasoning_gym"}


@pytest.mark.parametrize(
    ("source", "right", "wrong"),
    [
        ("lab/chains", "{gold}", "{gold} + 0"),  # which Math-Verify calls right
        ("choices", "the second", "2"),
        ("reasoning_gym/quantum_lock", "{gold}", "{gold} → A"),
        ("reasoning_gym/graph_color", None, "1"),  # no gold answer: its metadata judge
    ],
)
def test_saved_problems_are_judged_by_their_own_verifier(source: str, right: str, wrong: str, tmp_path: Path) -> None:
    """By the very fields verl would pass, with what it adds to them."""
    if source == "choices":
        source = str(tmp_path / "rows.jsonl")
        row = {"question": "Which?", "options": ["the first", "the second"], "answer_letter": "B"}
        Path(source).write_text(json.dumps(row) + "\n")
    problems = load_problems(source)[:3]
    rows = pq.read_table(save_problems(problems, tmp_path / "saved.parquet")).to_pylist()
    for problem, row in zip(problems, rows, strict=True):
        extra = {**row["extra_info"], "num_turns": None}
        fields = {"gold": row["reward_model"]["ground_truth"], "extra": extra, "source": row["data_source"]}
        if right:
            found = call(compute_score, f"\\boxed{{{right.format(gold=problem.gold)}}}", **fields)
            assert found == {"score": 1.0, "acc": 1.0, "missing": 0.0}
        found = call(compute_score, f"\\boxed{{{wrong.format(gold=problem.gold)}}}", **fields)
        assert found == {"score": 0.0, "acc": 0.0, "missing": 0.0}


def test_what_cannot_be_judged_is_counted_and_not_called_right() -> None:
    hang = call(compute_score, r"\boxed{9^{9^{9^9}}}", gold="5", timeout_s=0.3)
    assert hang == {"score": 0.0, "acc": 0.0, "missing": 1.0}
    assert call(compute_score, r"\boxed{1}", gold=None)["missing"] == 1.0


def test_it_may_be_called_from_several_threads_at_once() -> None:
    """As verl 0.9 does, with what it adds to the row's extra info."""
    installed._verifier.cache_clear()
    texts = [f"\\boxed{{{n}/4}}" for n in range(24)]
    extra = {"index": 3, "num_turns": None, "rollout_reward_scores": {}}
    with ThreadPoolExecutor(8) as threads:
        scores = list(threads.map(lambda text: call(compute_score, text, extra=extra)["score"], texts))
    assert scores == [float(n == 2) for n in range(24)]


def test_the_coin_is_a_function_of_the_response() -> None:
    texts = [f"\\boxed{{{n}}}" for n in range(40)]
    coins = [_coin(text) for text in texts]
    assert coins == [_coin(text) for text in texts]
    assert 5 < sum(coins) < 35


def _coin(text: str) -> float:
    return compute_score("math", text, "1", None, source="random", options={"probability": 0.5})["score"]


def test_a_gate_before_a_reward_of_ones_own_needs_its_lowest_value(tmp_path, monkeypatch) -> None:
    """verl shows one response at a time, so the least that passes is not to be seen."""
    code = "def pays(group, scores):\n    return [-3.0]\n\ndef known(group, scores):\n    return [-3.0]\n"
    (tmp_path / "verl_rewards.py").write_text(code + "\nknown.lowest = -9\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def pay(text: str, source: str, gate: str) -> float:
        return compute_score("math", text, "1", source=f"verl_rewards:{source}", gate=gate)["score"]

    with pytest.raises(ConfigError, match="Give verl_rewards:pays an attribute `lowest`"):
        pay("no box", "pays", "boxed")
    assert pay("no box", "pays", "none") == -3
    assert [pay(text, "known", "boxed") for text in ("no box", r"\boxed{1}")] == [-9, -3]


@pytest.mark.parametrize("source", ["majority_vote", "soft_majority_vote", "self_certainty", "negative_entropy"])
def test_what_needs_the_group_or_the_policy_is_refused(source: str) -> None:
    with pytest.raises(ConfigError, match=f"one response at a time, and {source} needs the whole group"):
        compute_score("math", "a", "1", None, source=source)


def test_malformed_fields_and_unknown_names_are_errors() -> None:
    with pytest.raises(DataError, match="a response for math: field 'extra_info' is a string but not a JSON object"):
        call(compute_score, "a", extra="[")
    with pytest.raises(ConfigError, match="no reward 'verifiably'"):
        compute_score("math", "a", "1", source="verifiably")
