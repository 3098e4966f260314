"""Multiple-choice rows of three publishers, and answers given as a letter or as the text of an option."""

from __future__ import annotations

import json
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presat import load_problems, score
from presat.errors import DataError
from presat.tasks import save_problems
from presat.tasks.choices import problem_of_choices
from presat.types import Score
from presat.verify import Verifier
from presat.verify.choice import read_choice

GPQA = {"Question": "What is c?", "Correct Answer": "299792458 m/s", "Incorrect Answer 1": "3 m/s",
        "Incorrect Answer 2": "$4$ m/s", "Incorrect Answer 3": "5 m/s", "Record ID": "r1"}  # fmt: skip
SUPER = {"question": "Which?", "options": ["one", "two", "all of the above"], "answer": "two", "answer_letter": "B",
         "discipline": "Science"}  # fmt: skip
MMLU = {"question": "Which?", "choices": ["one", "two", "three", "four"], "answer": 3, "subject": "physics"}


def test_gpqa_letters_are_shuffled_by_the_seed_and_the_gold_goes_with_them():
    golds = Counter()
    for seed in range(400):
        problem = problem_of_choices(GPQA, "row 1", seed=seed)
        assert problem.metadata["choices"]["ABCD".index(problem.gold)] == "299792458 m/s"
        assert f"{problem.gold}) 299792458 m/s" in problem.messages[-1]["content"]
        golds[problem.gold] += 1
    assert all(60 < golds[letter] < 140 for letter in "ABCD")  # 100 expected, 4.6 standard deviations
    again = [problem_of_choices({**GPQA, "Question": f"{i}?"}, "row", seed=1).gold for i in range(20)]
    assert again == [problem_of_choices({**GPQA, "Question": f"{i}?"}, "row", seed=1).gold for i in range(20)]
    assert len(set(again)) == 4  # every question has its own order


@pytest.mark.parametrize(("row", "gold"), [(SUPER, "B"), (MMLU, "D"), ({**SUPER, "answer_letter": None}, "B")])
def test_options_with_an_order_keep_it(row, gold):
    problem = problem_of_choices(row, "row 1", seed=5)
    assert problem.gold == gold
    assert problem.metadata["choices"] == row.get("options", row.get("choices"))
    assert "A) one\nB) two\nC) " in problem.messages[-1]["content"]
    assert (problem.domain, problem.verifier) == ("science", "choice")


def test_tables_that_only_look_like_it_stay_tables(tmp_path):
    rows = [
        {"question": "2+2?", "final_answer": "4", "options": []},
        {"question": "2+2?", "gold": "4", "choices": ["a", "b"]},
    ]
    for row in rows:
        (tmp_path / "x.jsonl").write_text(json.dumps(row) + "\n")
        (problem,) = load_problems(tmp_path / "x.jsonl")
        assert (problem.gold, problem.verifier) == ("4", "math")
    (tmp_path / "x.jsonl").write_text(json.dumps(SUPER) + "\n")
    (problem,) = load_problems(tmp_path / "x.jsonl", columns={"question": "question", "answer": "answer"})
    assert (problem.gold, problem.verifier) == ("two", "math")


def test_files_of_them_load_save_and_keep_other_fields(tmp_path):
    (tmp_path / "gpqa.jsonl").write_text(json.dumps(GPQA) + "\n")
    (one,) = load_problems(tmp_path / "gpqa.jsonl", seed=3)
    assert one.gold == problem_of_choices(GPQA, "row", seed=3).gold
    assert one.metadata["Record ID"] == "r1"
    assert load_problems(save_problems([one], tmp_path / "saved.parquet")) == [one]
    other = {load_problems(tmp_path / "gpqa.jsonl", seed=seed)[0].gold for seed in range(30)}
    assert len(other) == 4


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**GPQA, "Incorrect Answer 2": None}, "row 7: field 'Incorrect Answer 2' should be text; it is None"),
        ({**GPQA, "Question": ""}, "row 7: no question among the fields"),
        ({**SUPER, "answer_letter": "F", "answer": None}, "row 7: field 'answer_letter' should name one of the 3"),
        ({**MMLU, "answer": 4}, "row 7: field 'answer' should name one of the 4 options; it is 4"),
        ({"question": "Which?", "options": ["one"], "answer": 0}, "row 7: field 'options' should hold 2 to 26"),
        ({"question": "Which?", "options": ["one", "two"]}, "row 7: none of the fields answer_letter"),
    ],
)
def test_a_malformed_row_is_named(row, message):
    with pytest.raises(DataError, match=message):
        problem_of_choices(row, "row 7")


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("B", "B"), ("(B)", "B"), ("B.", "B"), (r"\text{B}", "B"), (r"\textbf{(B)}", "B"), ("b", "B"), (" B ", "B"),
        ("B) The second", "B"), ("(B) the second", "B"), ("B. the  second.", "B"), ("the second", "B"),
        (r"\text{The second}", "B"), ("B) the third", None), ("E", None), ("the", None), ("A and B", None),
        ("second", None), ("", None), ("5", "D"), ("$5$", "D"), ("c", "C"),
    ],
)  # fmt: skip
def test_what_option_an_answer_means(answer, letter):
    assert read_choice(answer, ["the first", "The second", "the third", "$5$"])[0] == letter


SPEEDS = ["3 m/s", r"$24\,\text{m/s}$", "24 A", "A stone falls", "C. elegans (F = ma)"]


@pytest.mark.parametrize(
    "answer",
    [
        "Option B", "option b", "{B}", r"\textrm{B}", "B (24 m/s)", "**B**", "(B)", "B.", "B:", "B)", "(B).", "[B]",
        r"\text{B}", r"\mathbf{B}", r"$\mathrm{(B)}$", r"\textbf{B.}", r"\boldsymbol{B}", "Answer: B", "answer is (B)",
        "The correct answer is B.", "The answer is option B", "**Answer:** B", "(Option B)", "Choice B: 24 m/s",
        "B: 24 m/s", "b) 24 m/s", "**B) 24 m/s**", "B. 24 m/s", "B, 24 m/s", "B - 24 m/s", "B 24 m/s", "(B) 24 m/s",
        "B (because it is larger)", "B) about 24 m/s", "Option B (the larger)", "Answer: 24 m/s", "**24 m/s**",
        "(24 m/s)", "`B`",
    ],
)  # fmt: skip
def test_every_way_to_name_the_second_option(answer):
    assert read_choice(answer, SPEEDS) == ("B", None)


def test_letters_of_full_width_are_letters():
    assert [read_choice(answer, SPEEDS)[0] for answer in ("\uff22", "\uff08\uff22\uff09", "\uff23")] == ["B", "B", "C"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("A and B", "several options"), ("A, B", "several options"), ("(A, B)", "several options"),
        ("B or C", "several options"), ("B (not A)", "several options"), ("Option A or B", "several options"),
        ("A) 3 m/s, B) 24 m/s", "several options"), ("B: or c", "several options"), ("B) b, c, d", "several options"),
        ("(B) (a)", "several options"), ("B: 24 m/s or 3 m/s", "several options"),
        ("B) is wrong", "the option is denied"), ("B: not", "the option is denied"),
        ("B: 3 m/s", "letter and text of different options"),
        ("Option B: 24 A", "letter and text of different options"), ("F", "no option has this letter"),
        ("f", "no option has this letter"), ("(F)", "no option has this letter"),
        ("Option F", "no option has this letter"), ("F) 9 m/s", "no option has this letter"),
        ("25 m/s", "none of the options"), ("A body falls", "none of the options"), ("AB", "none of the options"),
        ("B. subtilis", "none of the options"), ("C(5,2)", "none of the options"), ("E = 3", "none of the options"),
        ("A - 3", "none of the options"), ("option", "none of the options"), ("**", "none of the options"),
    ],
)  # fmt: skip
def test_an_answer_that_means_no_option_has_a_reason(answer, reason):
    assert read_choice(answer, SPEEDS) == (None, reason)
    problem = problem_of_choices({"question": "Which?", "options": SPEEDS, "answer_letter": "B"}, "row")
    assert score(problem, f"\\boxed{{{answer}}}") == Score(0.0, answer, reason)


def test_an_options_own_text_is_that_option_whatever_letters_are_in_it():
    for letter, text in zip("ABCDE", SPEEDS, strict=True):
        for answer in (text, f"{letter}) {text}", f"{letter} ({text})", f"Option {letter}: {text}"):
            assert read_choice(answer, SPEEDS) == (letter, None)
    intervals = ["(0, 1)", "[0, 1]", "(0, 1]", "0, 1"]
    for letter, text in zip("ABCD", intervals, strict=True):
        assert read_choice(text, intervals) == (letter, None)


@pytest.mark.parametrize(
    "text",
    ["answer is " * 20_000, "{" * 50_000 + "}" * 50_000, "*" * 100_000, "B (" * 30_000, "(" * 99_999 + "B"],
)  # fmt: skip
def test_hostile_answers_are_read_in_time(text):
    began = time.monotonic()
    read_choice(text, SPEEDS)
    assert time.monotonic() - began < 2


@given(st.text(alphabet="ABCEFabc ()[]{}.:,-*_$\\texor0", max_size=20))
def test_any_answer_means_an_option_or_has_a_reason(answer):
    letter, reason = read_choice(answer, SPEEDS)
    assert (letter is None) == (reason is not None)
    assert letter in (None, *"ABCDE")


def test_small_letters_that_are_an_options_text_are_the_text_and_equal_options_are_nobodys():
    assert read_choice("b", ["a + b", "a", "b"]) == ("C", None)
    assert read_choice("same", ["same", "Same", "other"]) == (None, "several options")


def test_scores_read_the_letter_out_of_the_box_in_both_modes():
    problem = problem_of_choices(SUPER, "row")
    texts = [r"\boxed{B}", r"so \boxed{two}", r"\boxed{\text{B) two}}", r"\boxed{A}", r"\boxed{zwei}", "B", r"\boxed{}"]
    for mode in ("boxed", "any"):
        scores = [score(problem, text, mode) for text in texts]
        assert [s.value for s in scores] == [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
        assert [s.extracted for s in scores] == ["B", "B", "B", "A", "zwei", None, ""]
        reasons = [None, None, None, None, "none of the options", "no boxed answer", "empty answer"]
        assert [s.reason for s in scores] == reasons
        assert Verifier(mode).extract(problem, texts) == ["B", "B", "B", "A", "zwei", None, ""]


@pytest.mark.parametrize(
    "row",
    [
        {"question": "q0", "option_a": "x", "option_c": "y", "answer": "c"},
        {"question": "q0", "opa": None, "opb": None, "opc": "y", "opd": "z", "cop": 0},
        {"question": "q0", "option_a": "x", "Option A": "z", "option_b": "y", "answer": "b"},
    ],
)
def test_columns_of_options_with_a_gap_are_refused(row) -> None:
    """Else the question would be shown without its options."""
    with pytest.raises(DataError, match="each once and without a gap"):
        load_problems([row])


def test_an_empty_option_at_the_end_is_none() -> None:
    (problem,) = load_problems([{"question": "q", "opa": "x", "opb": "y", "opc": None, "opd": "", "answer": "b"}])
    assert (problem.verifier, problem.gold, problem.metadata["choices"]) == ("choice", "B", ["x", "y"])
