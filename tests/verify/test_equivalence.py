from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from presat.verify import Verifier
from presat.verify.equivalence import equivalence_classes, normal_form


def test_math_answers_that_say_the_same_are_one_class(boxed: Verifier) -> None:
    answers = ["1/2", "7", None, "0.5", r"\frac{1}{2}", "007", "", "$7$", "1,000", "1000"]
    assert equivalence_classes(answers, "math", boxed) == [0, 1, None, 0, 0, 1, None, 1, 2, 2]


def test_an_order_of_numbers_matters_in_a_pair_and_not_in_a_set(boxed: Verifier) -> None:
    assert equivalence_classes(["(1,2)", "(2,1)", "( 1, 2 )"], "math", boxed) == [0, 1, 0]
    assert equivalence_classes([r"\{1,2\}", r"\{2,1\}"], "math", boxed) == [0, 0]


def test_other_answers_are_compared_by_their_text(boxed: Verifier) -> None:
    assert equivalence_classes(["1/2", "0.5", " 0.5 "], "lab", boxed) == [0, 1, 1]
    steps = [r"A \rightarrow B", "A → B", "A → C"]
    assert equivalence_classes(steps, "reasoning_gym", boxed) == [0, 0, 1]


def test_answers_that_cannot_be_compared_in_time_are_different() -> None:
    with Verifier(timeout_s=0.3) as judge:
        assert equivalence_classes(["9^{9^{9^9}}", "5", "9^{9^{9^9}}"], "math", judge) == [0, 1, 0]


@given(st.lists(st.one_of(st.none(), st.integers(-99, 99).map(str)), max_size=20))
def test_whole_numbers_fall_into_their_values(answers: list[str | None]) -> None:
    classes = equivalence_classes(answers, "math", Verifier())  # needs no worker
    values = [answer for answer in dict.fromkeys(answers) if answer is not None]
    assert classes == [None if answer is None else values.index(answer) for answer in answers]


def test_normal_form_leaves_what_matters() -> None:
    assert normal_form(" $ 007 $ ", "math") == "7"
    assert normal_form("12,34", "math") == "12,34"
    assert normal_form("-1,234,567", "math") == "-1234567"
    assert normal_form("a  b\n c", "math") == "a b c"
    assert normal_form("9" * 5000, "math") == "9" * 5000
