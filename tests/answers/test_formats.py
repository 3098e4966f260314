from __future__ import annotations

import pytest

from presat.answers.boxes import boxed_answer
from presat.answers.formats import format_of, read_answer

CASES = [
    # response, format, answer
    (r"So it is \boxed{72}.", "boxed", "72"),
    ("<answer>72</answer>", "tag", "72"),
    ("<think>6*12</think><answer> 72 </answer>", "tag", "72"),
    ("<answer>71</answer> Wait. <answer>72</answer>", "tag", "72"),
    ("6 * 12 = 72\n#### 72", "hash", "72"),
    ("####72\n", "hash", "72"),
    ("Answer: 72", "line", "72"),
    ("**Answer:** 72", "line", "72"),
    ("Final answer\uff1a72", "line", "72"),
    ("The answer is\uff1a72", "line", "72"),
    ("**Final Answer**: $72$", "line", "$72$"),
    ("The answer is 72.", "line", "72"),
    ("The final answer is: 3.14. I hope it helps.", "line", "3.14"),
    ("The answer is 41. Wait: the answer is 42.", "line", "42"),
    ("Answer:\n72", "line", "72"),
    ("The answer is 72.\nLet me verify: the answer is right.", "line", "72"),
    ("The answer is 72, because 3 times 24 is 72.", "line", "72"),
    ("The answer is therefore 72", "line", "72"),
    ("### Answer\n72", "line", "72"),
    ("**Final Answer**\n\n72", "line", "72"),
    ("The answers are 2 and 3.", "line", "2 and 3"),
    ("The answer is 42. or 43 or 44", "line", "42. or 43 or 44"),
]


@pytest.mark.parametrize(("text", "form", "answer"), CASES)
def test_an_answer_is_read_in_its_format(text, form, answer):
    assert read_answer(text, form) == answer
    assert read_answer(text, "auto") == answer
    assert format_of(text) == form


@pytest.mark.parametrize(("text", "form", "answer"), CASES)
def test_no_other_format_reads_it(text, form, answer):
    others = {"boxed", "tag", "hash", "line"} - {form}
    assert {read_answer(text, other) for other in others} == {None}


@pytest.mark.parametrize(
    ("said", "answer"), [(r"\boxed{72}", "72"), (r"$\boxed{\frac{1}{2}}$", r"\frac{1}{2}"), (r"\boxed{72", None)]
)
def test_a_box_in_another_format_is_opened_and_one_that_is_never_closed_is_no_answer(said, answer):
    assert read_answer(f"<answer>{said}</answer>", "tag") == answer
    assert read_answer(f"#### {said}", "hash") == answer
    assert read_answer(f"So the answer is {said}", "line") == answer
    assert read_answer(f"So the answer is {said}", "auto") == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"<think>Perhaps the answer is 5.</think> \boxed{7} <answer>8</answer>", "7"),  # in this order
        ("<answer>8</answer>\n#### 9", "8"),
        ("<think>The answer is 5.</think> 72", "72"),
        ("<think>The answer is 5.", None),
        ("72", "72"),
        ("x = 5", "x = 5"),
        ("5 square meters", "5 square meters"),
        ("Yes.", "Yes."),
        ("I do not know", None),
        ("The product is 72 or 73, who knows", None),
        ("What is 6 times 7?", None),
        ("6 times 7\nis 42", None),
        ("+1 3 a c c a -2 h +1 h", None),
        ("", None),
    ],
)
def test_auto_takes_the_first_format_there_is(text, answer):
    assert read_answer(text, "auto") == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"$\boxed{3}$, $\boxed{5}$ and $\boxed{7}$", "3, 5, 7"),
        (r"\boxed{3}, \boxed{5}, and \boxed{7}.", "3, 5, 7"),
        (r"$x=\boxed{3}$ or $x=\boxed{5}$", "5"),
        (r"\boxed{5}. That is wrong; it is \boxed{7}", "7"),
        ("\\boxed{5}\n\nso again \\boxed{5}", "5"),
        ("\\boxed{4}\n\n\\boxed{5}", "5"),
        (r"\boxed{5} \boxed{5}", "5"),
        (r"\boxed{41} \boxed{42} \boxed{43}", "41, 42, 43"),
        (r"\boxed{} \boxed{5}", "5"),
        (r"\boxed{5} \boxed{}", ""),
        ("none", None),
    ],
)
def test_boxes_in_one_list_are_one_answer(text, answer):
    assert boxed_answer(text) == answer
