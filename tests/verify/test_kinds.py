r"""Answers that are no expressions, and what stands around answers: pairs in both directions."""

# ruff: noqa: RUF001, E501  (look-alikes of other characters are among the answers, and tables are wide)
from __future__ import annotations

import pytest

from presat.types import Problem
from presat.verify import Verifier
from presat.verify.math import compare, same

RIGHT = {
    "x=1, y=2": ["1, 2", "(1,2)", "y=2, x=1", "x = 1 and y = 2", "(x, y) = (1, 2)", r"x=1 \text{ and } y=2", "x=1; y=2"],
    r"\alpha=\frac{3}{\sqrt{83}}, \beta=1": [r"{\alpha=\frac{3}{\sqrt{83}}, \beta=1}"],
    "x=3 or x=5": ["5, 3", "x=5 or x=3"],
    "5 red, 3 blue": ["3 blue, 5 red", "5, 3", "3 blue balls and 5 red balls", "5 red balls, 3 blue balls"],
    "8 boys, 12 girls": ["8, 12", "8 boys and 12 girls"],
    "m=2, n=5": ["2, 5", "m=2,n=5"],
    "(x,y)=(1,2)": ["(1,2)", "x=1, y=2"],
    "10-15": ["10-15", "10 to 15", "10–15"],
    "9 (apples)": ["9"],
    "Ans: 72": ["72"],
    "= 72": ["72"],
    "≈ 12": ["12"],
    "72 (approx.)": ["72"],
    "approximately 3.14": ["3.14"],
    "(B) 2": ["2", "B", "(B) 2"],
    "70000": [r"70\,000", "70 000", "70~000", "70 000 dollars", r"\$70\,000"],
    r"20^\circ C": ["20", "20°C", "20 degrees Celsius", r"20^\circ"],
    "2": ["(B) 2"],
    "A": [r"\text{Option A}"],
    "B": ["The correct option is B."],
    "72": ["The answer is 72", "$72$ dollars", r"\(72\) dollars", "$72$ clips", "答案：72", "Ans: 72", "x = 72"],
    "No": ["No, it is not"],
    "12": [r"\color{red}{12}", r"\textcolor{blue}{12}", r"\underline{12}", r"{\color{red}12}", r"\color{red}12"],
    "2343_6": ["(2343)_6"],
    "₹1,20,000": ["120000"],
    "3 PM": ["3:00 PM", "15:00"],
    "3:00 PM": ["15:00"],
    r"\leq 5": ["≤5", r"\le 5"],
    "2024-05-01": ["2024-05-01"],
    "1/2/2024": ["1/2/2024"],
    "10 - 3": ["7"],
    "3 cm, 4 cm": ["4 cm, 3 cm"],
    "5 ft, 6 in": ["66 in"],
    "Alice: 5, Bob: 3": ["Bob: 3, Alice: 5"],
    "(1,2)": ["x=1, y=2"],
    r"x = \frac{1}{2}, y = 3": ["x=0.5, y=3.0"],
    "x=1,000, y=2": ["1000, 2"],
    "x=1, x=3": ["3, 1"],
    "3, 5": ["x=5, x=3"],
    "10-15 minutes": ["10-15", "10 to 15 minutes", "10 to 15 min"],
    r"\$10-\$15": [r"\$10-\$15"],
    "3-1": ["3–1"],
    "2023-24": ["2023–24"],
    "x-1": ["-1+x"],
    "2^{10}-1": ["1023"],
    "1/2": ["0.5", r"$\frac{1}{2}$ cup"],
    r"\$5": ["$5$ dollars"],
    "3 + 4i": ["$3 + 4i$"],
    "ABD": ["A, B, D", "A and B and D"],
    "A, B, D": ["ABD"],
    r"\textbf{(B)}\ 2": ["2"],
    "10-15%": [r"10\%-15\%"],
    "yes": ["Yes, it is."],
    "20": [r"20^\circ\text{C}"],
    "1{,}000": ["1000"],
    "42": ["About 42"],
    "3:30": ["3:30 PM"],
    "(-1,2)": ["(-1,2)"],
    "5 apples": ["$5$ apples"],
    "3 (mod 7)": ["3 (mod 7)"],
    r"3 \pmod 7": [r"3 \pmod 7"],
    r"x \geq 5": ["x≥5"],
    "x >= 5": [r"x \ge 5"],
    r"[5,\infty)": [r"x \geq 5"],
    "2:3": ["4:6"],
    "3 or 5": ["5 or 3"],
    "1 and 2": ["2, 1"],
    "1, 2": ["2, 1"],
}  # fmt: skip
"""Gold answers and answers that say the same."""
WRONG = {
    "x=1, y=2": ["2, 1", "(2,1)", "x=2, y=1", "1", "(x, y) = (2, 1)", "(y, x) = (1, 2)", r"\{1, 2\}", "x=1", "1, 2, 3", "x=1, y=2, z=3", "a=1, b=2"],
    "m=2, n=5": ["5, 2"],
    "5 red, 3 blue": ["3 red, 5 blue", "3, 5", "8"],
    "8 boys, 12 girls": ["12, 8", "12 boys, 8 girls"],
    "2024-05-01": ["2018"],
    "1945-1950": ["-5"],
    "2023-24": ["1999"],
    "555-1234": ["-679"],
    "1/2/2024": [r"\frac{1}{4048}"],
    "10-15": ["-5", "15-10", "10"],
    "2-1": ["1"],
    "9 (apples)": ["9a", "10"],
    "(B) 2": ["3", "A", "(A) 2", "(B) 3", "C"],
    "72 (approx.)": ["73"],
    "70000": ["70,00", "70", "70 00", "700 00"],
    "2": ["(2) 3", "(B) 3", "(A) 2 (B) 3", "(A) 2 or (B) 3"],
    "72": ["The answer is 73", "$73$ dollars", "$72$ million", "about 73"],
    "12": [r"\color{red}{13}", r"\overline{12}", r"\color{red}{13}"],
    "No": ["Yes, it is not"],
    "2343_6": ["(2343)_7"],
    "3 PM": ["3 AM", "3:30 PM", "15:30"],
    "15:00": ["3:00", "3:00 AM"],
    r"\leq 5": ["5", "<5", r"\geq 5", r"\geq 5"],
    r"20^\circ C": ["21", r"20^\circ F", "30"],
    "3 cm, 4 cm": ["2 cm, 5 cm"],
    "Alice: 5, Bob: 3": ["Alice: 3, Bob: 5", "Bob: 5, Alice: 3"],
    "(1,2)": ["x=2, y=1"],
    "(x,y)=(1,2)": ["x=2, y=1", "2, 1"],
    "3, 5": ["x=5, x=4"],
    "10-15 minutes": ["10-15 hours", "-5"],
    r"\$10-\$15": ["-5", "5"],
    "1.5-2.5": ["-1"],
    "3/4/5": ["3/20"],
    "2024/05/01": ["2024"],
    "-5": ["10-15"],
    "ABD": ["A, B, C", "A, B"],
    "BDA": ["A, B, D"],
    "3": ["(A) 2 (B) 3"],
    "yes": ["Yes, or no", "No, yes"],
    "no": ["No, wait, it is"],
    "20": [r"21^\circ C"],
    "42": ["42 (million)", "42 (base eight)", "42 (wrong)", "42 (incorrect)", "42 (dozen)", "The answer is not 42", "= 43 = 42"],
    "70 000": ["70"],
    "1 200": ["1, 200"],
    r"x \geq 5": ["x > 5"],
    "6 PM": ["6 AM"],
    "12:00 AM": ["12:00 PM"],
    "5": ["about 5 million"],
    r"3 \pmod 7": ["3"],
}  # fmt: skip
"""Gold answers and answers that say something else."""
STATED = [
    "Answer: $72$ dollars",
    "The answer is $72$ clips.",
    "#### $72$ clips",
    r"#### \(72\) clips",
    r"So $\boxed{72}$ clips",
]


def pairs(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(gold, answer) for gold, answers in table.items() for answer in answers]


@pytest.mark.parametrize(("gold", "answer"), pairs(RIGHT))
def test_what_says_the_same_is_right(gold, answer):
    assert compare(gold, answer, "stated")[0] == 1.0


@pytest.mark.parametrize(("gold", "answer"), pairs(WRONG))
def test_what_says_something_else_is_wrong(gold, answer):
    assert compare(gold, answer, "stated")[0] == 0.0


@pytest.mark.parametrize("gold", sorted({*RIGHT, *WRONG}))
def test_every_gold_answer_accepts_itself(gold):
    assert same(gold, gold) == (True, None)


@pytest.mark.parametrize("text", STATED)
def test_a_unit_behind_the_math_is_a_unit_without_a_box_too(text):
    with Verifier() as verifier:
        gold = Problem("p", ({"role": "user", "content": "?"},), "72", "math", "math", {})
        assert verifier.score(gold, text).value == 1.0
        assert verifier.score(gold, text.replace("72", "73")).value == 0.0
