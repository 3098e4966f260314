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


def test_equal_answers_are_one_class_though_math_verify_is_not_transitive(boxed: Verifier) -> None:
    r"""25.0 is 25 and 25 is `\text{25}`, but 25.0 is not `\text{25}`: together they outvote the other answer."""
    texts = ["26"] * 7 + ["25.0"] * 3 + ["25"] * 3 + [r"\text{25}"] * 2
    for answers in (texts, texts[::-1]):
        classes = equivalence_classes(answers, "math", boxed)
        assert Counter(classes).most_common(1) == [(classes[answers.index("25")], 8)]


class _Graph(Verifier):
    """A judge to whom the given pairs are equal, whichever way round; it hangs over the given forms and pairs."""

    def __init__(self, equal=(), hostile=(), hanging=()) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.equal = {frozenset(pair) for pair in equal}
        self.hostile, self.hanging = set(hostile), {frozenset(pair) for pair in hanging}
        self.asked: list[frozenset[str]] = []
        self.hangs = 0

    def equivalent(self, pairs) -> list[bool | None]:  # type: ignore[no-untyped-def]
        return [self._one(frozenset(pair)) for pair in pairs]

    def _one(self, pair: frozenset[str]) -> bool | None:
        self.asked.append(pair)
        if pair & self.hostile or pair in self.hanging:
            self.hangs += 1
            return None
        return pair in self.equal


NAMES = st.sampled_from("abcdefgh")
PAIRS = st.lists(st.tuples(NAMES, NAMES).filter(lambda pair: pair[0] != pair[1]), max_size=10)


def _partition(classes: list[int | None], answers: list[str]) -> set[frozenset[str]]:
    return {
        frozenset(answer for answer, own in zip(answers, classes, strict=True) if own == number) for number in classes
    }


@given(st.lists(NAMES, max_size=16), PAIRS, st.sets(NAMES, max_size=3), st.randoms(use_true_random=False))
def test_classes_are_all_that_equal_pairs_connect_in_any_order(answers, equal, hostile, random) -> None:  # type: ignore[no-untyped-def]
    judge = _Graph(equal, hostile)
    found = _partition(equivalence_classes(answers, "math", judge), answers)
    left = {frozenset(answer) for answer in answers}
    for a, b in equal * len(answers):  # joined again and again, until nothing is left to join
        if {a, b} <= set(answers) - hostile:
            touched = {group for group in left if group & {a, b}}
            left = left - touched | {frozenset().union(*touched)}
    assert found == left
    forms = set(answers)
    assert len(judge.asked) <= len(forms) + len(forms) * (len(forms) - 1) / 2
    assert len(judge.asked) == len(set(judge.asked))  # no pair twice
    assert judge.hangs == (len(hostile & forms) if len(forms) > 1 else 0)  # each hostile form hangs once
    random.shuffle(answers)
    assert _partition(equivalence_classes(answers, "math", _Graph(equal, hostile)), answers) == found


@given(st.lists(NAMES, max_size=16), PAIRS, PAIRS)
def test_pairs_that_hang_cost_one_form_each(answers, equal, hanging) -> None:  # type: ignore[no-untyped-def]
    judge = _Graph(equal, (), hanging)
    equivalence_classes(answers, "math", judge)
    assert judge.hangs <= max(0, len(set(answers)) - 1)


def test_equal_texts_and_whole_numbers_are_not_compared() -> None:
    judge = _Graph()
    assert equivalence_classes(["x"] * 16, "math", judge) == [0] * 16
    assert equivalence_classes(["1", "2", "3"] * 5, "math", judge) == [0, 1, 2] * 5
    assert judge.asked == []
    equivalence_classes(["1"] * 13 + ["2", "3", "x"], "math", judge)
    assert len(judge.asked) == 4  # whether x hangs, and x with each number


@given(st.lists(NAMES, max_size=8), st.lists(NAMES, max_size=8), PAIRS)
def test_wrong_answers_that_a_chain_connects_outvote_the_right_ones(right_ones, wrong_ones, equal) -> None:  # type: ignore[no-untyped-def]
    """The winner by verdicts is that of all comparisons made, where right and wrong answers are never equal."""
    wrong_ones = [name.upper() for name in wrong_ones]
    equal = [(a.upper(), b.upper()) for a, b in equal] + [(a, b) for a in "abcdefgh" for b in "abcdefgh" if a < b]
    scores = [*right(*right_ones), *wrong(*wrong_ones)]
    quick = judged_classes(scores, "math", _Graph(equal))
    full = equivalence_classes([*right_ones, *wrong_ones], "math", _Graph(equal))
    assert _winner_is_right(quick, scores) == _winner_is_right(full, scores)


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
