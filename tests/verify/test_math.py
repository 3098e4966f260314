from __future__ import annotations

import pytest
from tests.verify.conftest import MakeProblem

from presat.types import Score
from presat.verify import Verifier

CASES = [
    # gold, response, boxed, any
    ("5", r"\boxed{5}", 1.0, 1.0),
    ("5", r"\boxed{6}", 0.0, 0.0),
    ("0.5", r"\boxed{1/2}", 1.0, 1.0),
    (r"\frac{1}{2}", r"\boxed{0.5}", 1.0, 1.0),
    ("1234", r"\boxed{1,234}", 1.0, 1.0),
    (r"50\%", r"\boxed{0.5}", 1.0, 1.0),
    (r"\{1,2\}", r"\boxed{\{2,1\}}", 1.0, 1.0),
    ("(1,2)", r"\boxed{(2,1)}", 0.0, 0.0),
    ("x+1", r"\boxed{1+x}", 1.0, 1.0),
    (r"\sqrt{2}", r"\boxed{2^{1/2}}", 1.0, 1.0),
    (r"\sqrt{2}", r"\boxed{1.41}", 0.0, 0.0),
    ("5", r"\boxed{x=5}", 1.0, 1.0),
    ("5", r"\boxed{$5$}", 1.0, 1.0),
    ("5", r"\boxed{5\text{ cm}}", 1.0, 1.0),
    (r"\text{Monday}", r"\boxed{Monday}", 1.0, 1.0),
    ("B", r"\boxed{\text{C}}", 0.0, 0.0),
    ("5", r"\boxed{6} or rather \boxed{5}", 1.0, 0.0),  # `any` reads both boxes as one answer
    ("5", "The answer is 5.", 0.0, 1.0),
    ("5", "The final answer is $x=5$. I hope it is correct.", 0.0, 1.0),
    ("5", r"x = 5, so \boxed{}", 0.0, 1.0),
    ("5", r"\boxed{5", 0.0, 0.0),
    ("5", "no idea", 0.0, 0.0),
    ("5", "", 0.0, 0.0),
]


@pytest.mark.parametrize(("gold", "text", "in_boxed", "in_any"), CASES)
def test_right_and_wrong_in_both_modes(
    gold: str, text: str, in_boxed: float, in_any: float, boxed: Verifier, loose: Verifier, problem: MakeProblem
) -> None:
    assert boxed.score(problem(gold), text).value == in_boxed
    assert loose.score(problem(gold), text).value == in_any


@pytest.mark.parametrize(
    ("text", "score"),
    [
        (r"\boxed{1/2}", Score(1.0, "1/2")),
        (r"\boxed{3}", Score(0.0, "3")),
        ("one half", Score(0.0, None, "no boxed answer")),
        (r"\boxed{ }", Score(0.0, "", "empty answer")),
    ],
)
def test_a_boxed_score_says_what_was_read_and_why(
    text: str, score: Score, boxed: Verifier, problem: MakeProblem
) -> None:
    assert boxed.score(problem("0.5"), text) == score


def test_a_loose_score_says_what_math_verify_read(loose: Verifier, problem: MakeProblem) -> None:
    assert loose.score(problem("5"), "I think it is 5") == Score(1.0, "5")
    assert loose.score(problem("5"), "I do not know") == Score(0.0, None, "no answer found")


@pytest.mark.parametrize("mode", ["boxed", "loose"])
def test_without_a_usable_gold_the_score_is_missing(
    mode: str, request: pytest.FixtureRequest, problem: MakeProblem
) -> None:
    verifier = request.getfixturevalue(mode)
    assert verifier.score(problem(None), r"\boxed{5}") == Score(None, "5", "no gold answer")
    score = verifier.score(problem(r"\text{}"), r"\boxed{5}")
    assert (score.value, score.reason) == (None, "unparsable gold answer")


def test_extraction_in_both_modes(boxed: Verifier, loose: Verifier, problem: MakeProblem) -> None:
    texts = [r"\boxed{1/2}", "The answer is 7.", "nothing"]
    assert boxed.extract(problem(None), texts) == ["1/2", None, None]
    assert loose.extract(problem(None), texts) == [r"\frac{1}{2}", "7", None]
    assert loose.extract(problem("3", "lab"), texts) == ["1/2", None, None]
