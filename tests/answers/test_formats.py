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
        (r"<think>Perhaps the answer is 5.</think> \boxed{7} <answer>8</answer>", "8"),
        ("<answer>8</answer>\n#### 9", "9"),
        ("Since \\boxed{33} fails,\nAnswer: 34", "34"),
        ("\\boxed{70} more\n#### 72", "72"),
        ("\\boxed{70} more\n#### 72 clips\nI hope this helps.", "72 clips"),
        (r"\boxed{72} No wait, that is wrong. The answer is 71.", "71"),
        (r"\boxed{72} No wait, the answer is actually 71.", "71"),
        (r"The answer is 71. So \boxed{72}", "72"),
        (r"The answer is 71. So <answer>72</answer>", "72"),
        (r"<answer>\boxed{72}</answer>", "72"),
        (r"\boxed{The answer is 72}", "The answer is 72"),
        (r"The answer is \boxed{3} or $\boxed{5}$.", "3, 5"),
        (r"\boxed{5}. That is wrong; it is \boxed{7}", "7"),
        (r"\boxed{B}. The answer is (B) because the others fail.", "(B)"),
        (r"\boxed{B}. The correct option is C.", "C"),
        ("\\boxed{red}\nFinal answer: blue", "blue"),
        ("\u7b54\u6848\uff1a72", "72"),
        ("\u6700\u7ec8\u7b54\u6848\u662f 72\u3002", "72"),
        (r"<think>So \boxed{71}.</think> It is \boxed{72}.", "72"),
        (r"<think>So \boxed{71}.</think> I do not know what to say.", None),
        (r"<think>So it is \boxed{71}. But", None),
        (r"<think>a</think> Well, <think>so it is \boxed{71}. But", None),
        (r"\boxed{70}, or rather the answer is \boxed{72", None),  # the response was cut off
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
def test_auto_takes_what_is_stated_last(text, answer):
    assert read_answer(text, "auto") == answer


@pytest.mark.parametrize(
    "remark",
    [
        "The answer is correct.", "The final answer is above.", "So the answer is reasonable.",
        "The answer is in the box.",
        "The answer is therefore verified.", "The answer is the sum of all 3 numbers.", "#### Verification\nIt holds.",
        "#### 2. Check\nIt holds.", "#### Step 3\nIt holds.", "Answer: Natalia sold these clips in April and in May.",
        "I hope the answer is clear.", "The answer is not 71, since that is odd.", "Let me know if you have questions.",
        "The answer is 72, which is what we expected to see.",
    ],
)  # fmt: skip
@pytest.mark.parametrize("stated", [r"\boxed{72}", "<answer>72</answer>", "#### 72", "Answer: 72"])
def test_a_remark_about_the_answer_is_none(stated, remark):
    assert read_answer(f"{stated}\n\n{remark}", "auto") == "72"


def test_a_sentence_is_an_answer_where_nothing_else_is_stated():
    assert read_answer("The answer is blue.", "auto") == "blue"
    assert read_answer("The answer is 41. Wait: the answer is 42.", "auto") == "42"
    assert read_answer("The answer is the sum of all numbers.", "auto") == "the sum of all numbers"
    assert read_answer("#### Paris\nI hope it helps.", "auto") == "Paris"


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
