"""Statements that people write: true ones are never called false, false ones are where they can be read."""

# ruff: noqa: RUF001  (look-alikes of other characters are what people write)
import pytest

from presat.diagnosis import make_judge
from presat.diagnosis.claims import claims
from presat.diagnosis.conversions import conversions
from presat.diagnosis.inequalities import inequalities
from presat.diagnosis.sides import equalities
from presat.diagnosis.solutions import solutions
from presat.diagnosis.statements import statements


def read(text):
    pairs = equalities(text)
    found = [*statements(text, pairs), *claims(text), *solutions(text, pairs)]
    return [*found, *conversions("", text), *inequalities(text)]


FALSE = [
    "3 + 4 = 8",
    "So she has 12 - 5 = 8 apples.",
    "The total is 3 plates × $6.00/plate = $19.00.",
    "6 * 720 * 120 * 6 = 6 * 518400 = 3104400.",
    r"\(\frac{1}{2} + \frac{1}{3} = \frac{2}{5}\)",
    r"\[ \frac12 + \frac13 = \frac25 \]",
    r"$\sqrt{18} = 3\sqrt{3}$",
    r"$2^5 \cdot 3 = 90$",
    "20% of 50 = 12",
    "5! = 110",
    r"\binom{6}{2} = 30",
    "1,250 + 750 = 2,100",
    r"\( 17 \equiv 3 \pmod{5} \)",
    "17 / 5 = 3 remainder 1",
    "The divisors of 12 are 1, 2, 3, 4, 5, 6, 12.",
    "The divisors of 12 are 1, 2, 3, 4, 12.",
    r"$1222_3 = 54$",
    "x = 3 + 4 = 8",
    "0.6 × 1.5 = 0.8",
    "22/7 ≈ 3.5",
    r"f = (x + 1)^2 = x^2 + x + 1 = 0",
    r"\[16 + x = 27\] \[x = 8\]",
    "10 (last night) + 45 (today) = 54",
    "2 1/2 + 1/2 = 4",
    r"\begin{align*} a &= 3 + 4 \\ &= 9 \end{align*}",
    "(3 + 4) × 2 = 15",
    "−3 + 5 = 3",
    "half the sum: 10/2 = 6",
    r"\log_2 8 = 4",
    r"$\sin 30^\circ = 1$",
    r"2*5 = 11 \boxed{11}",
    r"$90^\circ = \pi/3$",
    "2/3 = 77%",
    "3/4 = 76%",
    r"1024 \approx 10^4",
    "5! = 5*4*3*2*1 = 130!  Great.",
    "3*7 = 22. So what?",
    "Pages 5-12 = 9 pages",
    "5 plus 7 equals 13.",
    "20% of 50 is 15.",
    "So 20 percent of 50 is 15 apples.",
    "2 hours = 100 minutes.",
    "3 km = 300 m.",
    "Divisors of 12: 1, 2, 3, 5, 6, 12",
    "7 > 9, so the answer is 7.",
    r"$\frac{3}{4} < \frac{1}{2}$. Thus",
    r"$162 - 108 - 45 - 6 - 3 \neq 0$, so it is not a root",
    r"\( \frac{2}{4} = \frac{3}{5} \) and \( \gcd(3, 5) = 1 \)",
]  # fmt: skip
TRUE = [
    "3 + 4 = 7",
    "10 - 4 = 6",
    "2 1/2 + 1/2 = 3",
    r"2\frac{1}{2} = \frac{5}{2}",
    r"$3\frac{1}{3} \cdot 3 = 10$",
    r"(1 + 2)^2 = 9",
    r"$-3^2 + 1 = -8$ or $(-3)^2 + 1 = 10$",
    "$5 + $3 = $8",
    "25% of 80 = 20",
    "0.25 = 25%",
    "(5/20) * 100 = 25%",
    "10/3 = 3.33",
    "10/3 ≈ 3.3",
    "2/3 = 0.67 = 0.667",
    r"\frac{100}{7} \approx 14.29",
    "17 / 5 = 3 remainder 2",
    "17 / 5 = 3 R 2",
    "The divisors of 12: 1, 2, 3, 4, 6, 12",
    "The prime factors of 12 are 2 and 3.",
    "6/2(1+2) = 9, or, as others read it, 6/2(1+2) = 1",
    r"\sqrt[3]{27} = 3",
    r"\sqrt{50} = 5\sqrt{2}",
    r"1222_{3} = 53_{10}",
    r"17 \equiv 2 \pmod 5",
    r"(x + 1)^2 = x^2 + 2x + 1 = (1 + x)(1 + x)",
    r"\cos 60^\circ = \frac{1}{2}",
    "3 x 4 = 12",
    "6 times 7 = 42",
    "½ + ½ = 1",
    "2³ = 8",
    r"5! = 5 \times 4 \times 3 \times 2 \times 1 = 120",
    r"\frac{\pi}{2} \cdot 2 = \pi",
    r"16 + x = 27, so x = 11",
    "- 3 + 4 = 7",
    "* 3 + 4 = 7",
    r"2*5 = 10 \boxed{10}",
    r"$3+4=7$ \boxed{7}",
    r"2 + 3 = \boxed{5}",
    r"\boxed{2 + 3 = 5}",
    r"90^\circ = \pi/2",
    "180° / 2 ≈ 1.57",
    r"\sin(30^\circ) = \frac{1}{2}",
    "2/3 = 67%",
    "1/3 = 33%",
    "(1/3)*100 = 33%",
    r"1024 \approx 10^3",
    r"31536000 \approx 3 \times 10^7",
    "37 * 52 ≈ 2000",
    "1.5 × 10^8 * 2.3 = 3.5 × 10^8",
    "5*4*3*2*1 = 120!  Great.",
    "10 * 20 = 200!",
    "5!=120",
    "20% of 50 is 10.",
    "$5 plus $7 equals $12.",
    "2 hours = 120 minutes.",
    "100 minutes = 1.67 hours.",
    "Factors of 12: 1, 2, 3, 4, 6, 12",
    "50% < 0.6",
    "3 + 4 != 8",
    "45 + 45 = 90",
    "2pi = 6.28",
]  # fmt: skip
DOUBTFUL = [
    "half of 10 + 3 = 8",
    "We left at 10:30 - 2 = 8:30",
    "Total - 4 = 6",
    "1 + 2 + ... + 10 = 55",
    r"1 + 2 + \cdots + 10 = 55",
    "f(2) = 5, f(2) + 1 = 6",
    "4 hours = 4 * 60 = 240 minutes",
    "2 hours + 30 minutes = 150 minutes",
    "If we try 2 + 2 = 5, that is wrong.",
    r"49 - 6 = 3ab",
    r"\frac{1}{37} = 0.\overline{027}",
    "17 / 5 = 3, rounded down",
    "x = 2 or x = 3",
    "13 = 1 (mod 12)",
    "(5-a)^2 = 31",
    r"\pm 3 + 2 = 5",
    "|3 - 5| = 2",
    "4 = 7",
    "the square of 3 + 1 = 10",
    r"\frac{AB}{CD} = \frac{3 + 4}{2}",
    "There are 10 boys - 4 of them left = 5",
    "(2) 3 + 4 = 7",
    "Day 2 = 5 + 3 = 8",
    "1,5 + 2 = 3,5",
    "5 + 3 = 8 + 2 = 10",
    "100 / 3 = 33 full boxes",
    "100 - 15% = 85",
    "0.25 * 100 = 25%",
    "2) 3 + 4 = 7",
    "- 3 + 4 = 1",
    "y = x + 1 and x + 2 = 2x + 3",
    "5 apples and 3 oranges + 2 = 10",
    r"-20(5-a)^2$ is at most $-20 \cdot 0 = 0$",
    "5 parts = 50 so 1 part = 50/5 = 10",
    "2 + 3 parts = 50",
    "Pages 5-12 = 8 pages",
    "Lines 3 - 7 = 5 lines",
    "33% of 90 = 30",
    "33% of 90 is 30.",
    "0.67 * 60 = 40",
    "Wait, 3*7 = 22? No, 3*7 = 21",
    "3*7 = 22. No, wait: 3*7 = 21",
    "3*7 = 22\n\nHmm, 3*7 = 21",
    "3!! = 3",
    "1.000 + 500 = 1.500",
    r"6 = 3\boxed{2}",
    "He says 5 plus 7 equals 13.",
    "17 divided by 5 is 3 remainder 2.",
    "5 minus 3 is 3 more than 0.",
    "2.5 hours = 2 hours 30 minutes",
    "5 days = 40 hours.",
    "1 cm = 5 km.",
    "Number of factors of 5: 20, 4",
    "Factors of 12: 1 × 12, 2 × 6, 3 × 4",
    "We need 5 < 3.",
    "Then 7 > 9, which is impossible.",
    "So 5 < 3.\n\nThis is a contradiction.",
    "Is 7 < 5? No.",
    "12 < 10 → no",
    "3!=5",
    "= 8 and a half: 4 * 2 = 8 and a half",
]


@pytest.mark.parametrize("text", FALSE)
def test_a_false_statement_is_found(text):
    assert any(not item.true for item in read(text)), [item.shown for item in read(text)]


@pytest.mark.parametrize("text", TRUE)
def test_a_true_statement_is_read_and_holds(text):
    found = read(text)
    assert found
    assert all(item.true for item in found), [(item.shown, item.should) for item in found if not item.true]


@pytest.mark.parametrize("text", DOUBTFUL)
def test_what_may_be_misread_is_never_called_false(text):
    assert all(item.true for item in read(text)), [(item.shown, item.should) for item in read(text)]


def label(response, prompt="Solve the problem."):
    (found,) = make_judge("symbolic").judge([{"prompt": prompt, "response": response}])
    return found.label


@pytest.mark.parametrize(
    "response",
    [
        r"3 * 4 = 12 apples and 2 * 5 = 10 pears. In total he has \boxed{22} fruits.",
        r"4*6=24 pens. With 5 more, there are \boxed{29}.",
        r"A day costs 40 - 4 = 36, so ten days cost \boxed{360}, at $10 each.",
        r"The first part is 2 * 5 = 10, the other \frac{1}{2}: \boxed{10.5}",
        r"There are 12 boys and fifteen girls, and 3 * 5 = 15. So there are \boxed{27} children.",
        r"Of the divisors of 12 all but 1 are 2, 3, 4, 6, 12. \boxed{5}",
        r"x y z = 4\sqrt{5}, so x = \frac{4\sqrt{5}}{7}. Of 1, 2 and 3 it is none. \boxed{\frac{4\sqrt{5}}{7}}",
    ],
)
def test_a_last_step_may_be_said_only_in_the_box(response):
    assert label(response) != 0.0


def test_an_answer_out_of_nowhere_is_not_derived():
    assert label(r"2 * 5 = 10 apples and 3 more. So there are \boxed{731}.") == 0.0
    assert label(r"We get \frac{3}{7} = 3/7 of it. So the answer is \boxed{\frac{17}{29}}.") == 0.0


def test_a_sign_that_may_be_another_operation_is_no_power():
    assert label("5 ^ 1 = 4 (xor), 1 + 1 = 2") == 1.0
    assert label("5^1 = 4", "What is the bitwise XOR of 5 and 1?") is None
    assert label("5^1 = 4") == 0.0


def test_a_problem_may_redefine_a_unit():
    assert label("3 cm = 15 m.") == 0.0
    assert label("3 cm = 15 m.", "On a map with a scale of 1 to 500, how far is it?") is None


def test_a_statement_knows_its_place_and_what_it_should_say():
    text = "First, 3 + 4 = 7.\nThen 7 * 2 = 15."
    first, second = read(text)
    assert text[first.start : first.end] == "3 + 4 = 7"
    assert text[second.start : second.end] == second.shown == "7 * 2 = 15"
    assert "14" in second.should


def test_a_chain_is_read_across_lines():
    assert [item.true for item in read("\\begin{aligned} x &= 2 + 3 \\\\ &= 5 \\end{aligned}\n= 5 + 0")] == [True]
    assert [item.true for item in read("1 + 1 = 2 = 3 - 1 = 4")] == [True, True, False]


def test_a_letter_with_two_values_or_from_another_case_solves_nothing():
    assert not [item for item in read("x^2 - 5x = 24. x = 2, x = 8") if not item.true]
    assert not [item for item in read("x + 3 = 5. Let x = 4.") if not item.true]
    assert [item.true for item in read("2a + b = 10. a - b = 2. So a = 5. So b = 2.")] == [False, False]
