from __future__ import annotations

import inspect
import json
import os
import pickle
import subprocess
import sys
from typing import Any

import pytest
from tests.verify.conftest import MakeProblem

import presat
from presat.config.schema import VerifyConfig
from presat.errors import ConfigError, VerifierError
from presat.types import Problem, Score
from presat.verify import Verifier, score_many
from presat.verify import verifier as verifier_module


def judged(verifier: Verifier) -> tuple[int, int, int]:
    counts = verifier.counts
    return counts["right"], counts["wrong"], counts["cache_hits"]


def test_equal_answers_to_equal_golds_are_judged_once(problem: MakeProblem) -> None:
    with Verifier() as verifier:
        five, six = problem("5"), problem("6")
        scores = verifier.score_many([(five, r"\boxed{5}"), (five, r"so \boxed{5}"), (six, r"\boxed{5}")])
        assert [score.value for score in scores] == [1.0, 1.0, 0.0]
        assert judged(verifier) == (2, 1, 1)
        assert verifier.score(five, r"again \boxed{5}") == Score(1.0, "5")
        assert judged(verifier) == (3, 1, 2)
        assert verifier._pool is not None
        verifier._pool.run = pytest.fail  # type: ignore[method-assign]  # nothing new may be asked from here on
        assert verifier.score(six, r"\boxed{5}").value == 0.0


def test_a_missing_verdict_is_kept_where_the_answer_is_at_fault_and_not_the_worker(problem: MakeProblem) -> None:
    with Verifier(timeout_s=0.3) as verifier:
        for _ in range(3):
            assert verifier.score(problem("5"), r"\boxed{9^{9^{9^9}}}").reason == "timeout"
            assert verifier.score(problem(r"\text{}"), r"\boxed{5}").reason == "unparsable gold answer"
        assert verifier.counts == {
            "right": 0, "wrong": 0, "cache_hits": 2, "timeouts": 3, "crashes": 0,
            "missing/timeout": 3, "missing/unparsable_gold_answer": 3,
        }  # fmt: skip


def test_without_a_cache_everything_is_judged(problem: MakeProblem) -> None:
    with Verifier(cache=False) as verifier:
        scores = verifier.score_many([(problem("5"), r"\boxed{5}"), (problem("5"), r"\boxed{5}")])
        assert [score.value for score in scores] == [1.0, 1.0]
        assert judged(verifier) == (2, 0, 0)
        assert verifier._verdicts == {}


def test_the_cache_is_bounded_and_keeps_no_long_texts(monkeypatch: pytest.MonkeyPatch, problem: MakeProblem) -> None:
    monkeypatch.setattr(verifier_module, "CACHE_LIMIT", 3)
    with Verifier("any") as verifier:
        for number in range(6):
            assert verifier.score(problem("5"), "word " * 500 + f"The answer is {number}.").value == (number == 5)
        assert len(verifier._verdicts) == 3
        assert all(len(part) < 250 for key in verifier._verdicts for part in key)


def test_every_reason_for_a_missing_score_is_counted(problem: MakeProblem) -> None:
    with Verifier() as verifier:
        verifier.score_many(
            [(problem(None), r"\boxed{5}"), (problem(r"\text{}"), r"\boxed{5}"), (problem("5"), "none")]
        )
        counts = verifier.counts
    assert (counts["missing/no_gold_answer"], counts["missing/unparsable_gold_answer"]) == (1, 1)
    assert (counts["right"], counts["wrong"]) == (0, 1)


def test_no_worker_is_started_for_what_needs_none(problem: MakeProblem) -> None:
    verifier = Verifier()
    assert verifier.score(problem("5"), "I do not know").reason == "no answer in a known format"
    assert verifier.score(problem("5", "lab"), r"\boxed{5}").value == 1.0
    assert verifier.score_many([]) == []
    assert verifier._pool is None


def test_a_pickled_verifier_keeps_its_settings_alone(problem: MakeProblem) -> None:
    with Verifier("any", workers=2, timeout_s=3.0, cache=False) as verifier:
        verifier.score(problem("5"), "it is 5")
        copy: Verifier = pickle.loads(pickle.dumps(verifier))
    assert (copy.mode, copy.workers, copy.timeout_s, copy.cache) == ("any", 2, 3.0, False)
    assert judged(copy) == (0, 0, 0)
    with copy:
        assert copy.score(problem("5"), "it is 5").value == 1.0


def test_a_closed_verifier_starts_anew(problem: MakeProblem) -> None:
    verifier = Verifier(cache=False)
    for _ in range(2):
        assert verifier.score(problem("5"), r"\boxed{5}").value == 1.0
        verifier.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "boxes"}, "no extraction mode 'boxes'. Did you mean 'boxed'"),
        ({"workers": 0}, "at least one worker"),
        ({"timeout_s": 0}, "timeout_s above 0"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Verifier(**settings)


def test_an_unknown_verifier_is_an_error_that_names_the_nearest(boxed: Verifier, problem: MakeProblem) -> None:
    with pytest.raises(VerifierError, match=r"Problem p names the verifier 'maths'.*Did you mean 'math'"):
        boxed.score(problem("5", "maths"), r"\boxed{5}")


def test_the_package_scores_with_one_call(problem: MakeProblem) -> None:
    assert presat.score(problem("0.5"), r"\boxed{1/2}") == Score(1.0, "1/2")
    assert presat.score(problem("5"), "five: 5").value == 0.0
    assert [score.value for score in score_many([(problem("5"), "it is 5"), (problem("5"), "it is 6")], "any")] == [
        1,
        0,
    ]


def test_the_one_call_reads_answers_as_asked_and_by_default_as_the_setting_does(problem: MakeProblem) -> None:
    assert presat.score(problem("5"), "it is 5", extraction="any").value == 1.0
    assert presat.score(problem("5"), "it is 5", extraction="boxed").value == 0.0
    with pytest.raises(ConfigError, match="no extraction mode 'boxes'"):
        presat.score(problem("5"), "it is 5", extraction="boxes")  # pyright: ignore[reportArgumentType]
    default = VerifyConfig.model_fields["extraction"].default
    for function in (presat.score, score_many):
        assert inspect.signature(function).parameters["extraction"].default == default


def test_scoring_imports_neither_torch_nor_math_verify_here() -> None:
    code = (
        "import sys, presat\nproblem = presat.Problem('p', (), '5', 'math', 'math')\n"
        r"assert presat.score(problem, '\\boxed{5}').value == 1.0" + "\n"
        "assert not {'torch', 'sympy', 'math_verify'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == done.stderr == ""


# --- the lab


@pytest.mark.parametrize(
    ("gold", "text", "value", "reason"),
    [
        ("8", r"7 a +3 10 b -2 8 \boxed{8}", 1.0, None),
        ("8", r"\boxed{ 8 }", 1.0, None),
        ("8", r"\boxed{08}", 1.0, None),
        ("8", r"\boxed{9}", 0.0, None),
        ("8", r"\boxed{8.0}", 0.0, None),
        ("8", r"\boxed{4+4}", 0.0, None),
        ("8", "8", 0.0, "no boxed answer"),
        ("8", r"\boxed{" + "8" * 5000 + "}", 0.0, None),
        ("north", r"\boxed{north}", 1.0, None),
        (None, r"\boxed{8}", None, "no gold answer"),
    ],
)
@pytest.mark.parametrize("mode", ["boxed", "loose"])
def test_lab_answers_are_compared_exactly_in_both_modes(
    gold: str, text: str, value: float, reason: str, mode: str, request: pytest.FixtureRequest, problem: MakeProblem
) -> None:
    score = request.getfixturevalue(mode).score(problem(gold, "lab"), text)
    assert (score.value, score.reason) == (value, reason)


# --- Reasoning Gym

LOCK = {
    "source_dataset": "quantum_lock",
    "solution_path": ["A", "C", "B"],
    "target_value": 5,  # (0 + 3) x 2 - 1
    "buttons": [
        {"name": "A", "type": "add", "value": 3, "active_state": "any"},
        {"name": "B", "type": "subtract", "value": 1, "active_state": "any"},
        {"name": "C", "type": "multiply", "value": 2, "active_state": "any"},
    ],
    "initial_state": "red",
    "initial_value": 0,
}


def lock(make: MakeProblem, gold: str = "A → C → B") -> Problem:
    return make(gold, "reasoning_gym", **LOCK)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("\\boxed{A → C → B}", 1.0),
        (r"\boxed{A \rightarrow C \rightarrow B}", 1.0),
        (r"\boxed{\text{A} \rightarrow \text{C} \to \text{B}}", 1.0),
        (r"\boxed{$A \longrightarrow C \, \rightarrow \mathrm{B}$}", 1.0),
        ("\\boxed{A → B → C}", 0.0),
        ("\\boxed{A → C}", 0.0),
        ("\\boxed{}", 0.0),
        ("A → C → B", 0.0),
        ("\\boxed{B → A → A → B → A → B → B}", 0.0),  # opens the lock the long way: less than 1 is not right
    ],
)
def test_quantum_lock(text: str, value: float, boxed: Verifier, problem: MakeProblem) -> None:
    assert boxed.score(lock(problem), text).value == value


def test_a_longer_way_is_worth_something_to_the_gym_and_nothing_here(boxed: Verifier, problem: MakeProblem) -> None:
    from reasoning_gym.factory import get_score_answer_fn

    longer = "A → C → B → B → A → B → B"  # 5 - 1 + 3 - 1 - 1 = 5
    own = get_score_answer_fn("quantum_lock")(longer, {"answer": "A → C → B", "metadata": LOCK})
    assert 0 < own < 1
    assert boxed.score(lock(problem), rf"\boxed{{{longer}}}").value == 0.0


def test_an_arrow_written_in_latex_is_an_arrow_in_mode_boxed_alone(
    boxed: Verifier, loose: Verifier, problem: MakeProblem
) -> None:
    r"""The gym's scorer finds a button A in `\rightarrow`; mode `any` scores like the release, which passes it on."""
    text = r"\boxed{A \rightarrow C \rightarrow B}"
    assert boxed.score(lock(problem), text).value == 1.0
    assert loose.score(lock(problem), text).value == 0.0
    assert loose.score(lock(problem), "\\boxed{A → C → B}").value == 1.0


def test_equal_answers_to_different_tasks_are_not_mixed_up(boxed: Verifier, problem: MakeProblem) -> None:
    """Two problems may share id and gold (two files with ids of their own); the metadata decides."""
    other = problem("A → C → B", "reasoning_gym", **{**LOCK, "target_value": 12})
    text = "\\boxed{A → A → C}"  # (0 + 3 + 3) x 2
    assert boxed.score(lock(problem), text).value == 0.0
    assert boxed.score(other, text).value == 1.0


def test_metadata_is_found_in_extra_info(boxed: Verifier, problem: MakeProblem) -> None:
    for extra in (LOCK, json.dumps(LOCK)):
        asked = problem("A → C → B", "reasoning_gym", extra_info=extra)
        assert boxed.score(asked, "\\boxed{A → C → B}").value == 1.0
    with pytest.raises(VerifierError, match="lacks `source_dataset`"):
        boxed.score(problem("A", "reasoning_gym"), r"\boxed{A}")


def test_tasks_without_a_reference_answer_are_judged_by_their_metadata(boxed: Verifier, problem: MakeProblem) -> None:
    graph = {
        "source_dataset": "graph_color",
        "puzzle": {"vertices": [0, 1], "edges": [[0, 1]], "num_colors": 2, "color_options": [1, 2]},
    }
    asked = problem(None, "reasoning_gym", **graph)
    assert boxed.score(asked, '\\boxed{{"0": 1, "1": 2}}').value == 1.0
    assert boxed.score(asked, '\\boxed{{"0": 1, "1": 1}}').value == 0.0
