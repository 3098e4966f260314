from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from presat.types import Score
from presat.verify import Verifier
from presat.verify.equivalence import equivalence_classes, judged_classes, normal_form


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


def right(*answers: str) -> list[Score]:
    return [Score(1.0, answer) for answer in answers]


def wrong(*answers: str | None) -> list[Score]:
    return [Score(0.0, answer) for answer in answers]


def test_right_answers_are_one_class_without_a_comparison() -> None:
    judge = Verifier()
    scores = [*wrong("3/4"), *right("1/2", "0.5"), *wrong("", None), *right(r"\frac{1}{2}")]
    assert judged_classes(scores, "math", judge) == [0, 1, 1, None, None, 1]  # three right ones outvote one wrong one
    assert judged_classes(scores, "lab", judge) == [0, 1, 2, None, None, 3]  # texts, as in a vote
    assert judge.counts["cache_hits"] == 0
    assert judge._pool is None


def test_wrong_answers_are_compared_where_they_could_outvote_the_right_ones(boxed: Verifier) -> None:
    scores = [*right("3", "3"), *wrong("1/2", "0.5", r"\frac{1}{2}", "0.25")]
    assert judged_classes(scores, "math", boxed) == [0, 0, 1, 1, 1, 2]
    assert judged_classes(scores, "math") == [0, 0, 1, 2, 3, 4]  # nobody to compare them
    alone = Verifier()
    assert judged_classes(wrong("1/2", "0.5"), "math", alone) == [0, 1]  # wrong whichever wins
    assert judged_classes([*right("3"), *wrong("4", "4", "1/2", "0.5")], "math", alone) == [0, 1, 1, 2, 3]  # so too
    assert alone._pool is None


def test_an_answer_that_could_not_be_judged_keeps_its_text() -> None:
    judge = Verifier(timeout_s=0.01)
    late = [Score(None, "9^{9^{9^9}}", "timeout")] * 2
    assert judged_classes([*late, Score(None, "8", "timeout"), *right("5")], "math", judge) == [0, 0, 1, 2]
    assert judge._pool is None


HALVES = {"1/2", "0.5", "0.50", "4/8"}


@given(st.lists(st.sampled_from([*sorted(HALVES), "3", "x", None]), max_size=9))
def test_the_verdicts_save_comparisons_and_change_no_winner(answers: list[str | None]) -> None:
    """Whichever gold answer is meant, the vote by verdicts is right exactly when the full vote is."""
    for gold in (HALVES, {"3"}):
        scores = [Score(float(answer in gold), answer) for answer in answers]
        quick = judged_classes(scores, "math", _Halves())
        full = equivalence_classes(answers, "math", _Halves())
        assert _winner_is_right(quick, scores) == _winner_is_right(full, scores)


class _Halves(Verifier):
    """A judge that knows the ways of writing a half."""

    def equivalent(self, pairs) -> list[bool]:  # type: ignore[no-untyped-def]
        return [set(pair) <= HALVES for pair in pairs]


def _winner_is_right(classes: list[int | None], scores: list[Score]) -> bool | None:
    votes = Counter(number for number in classes if number is not None)
    return scores[classes.index(votes.most_common(1)[0][0])].value == 1.0 if votes else None


def test_normal_form_leaves_what_matters() -> None:
    assert normal_form(" $ 007 $ ", "math") == "7"
    assert normal_form("12,34", "math") == "12,34"
    assert normal_form("-1,234,567", "math") == "-1234567"
    assert normal_form("a  b\n c", "math") == "a b c"
    assert normal_form("9" * 5000, "math") == "9" * 5000
