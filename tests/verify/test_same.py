r"""Pairs of answers that Math-Verify alone judges wrongly, in both directions, and their kinds."""

# ruff: noqa: RUF001  (characters of full width are among the answers)
from __future__ import annotations

from fractions import Fraction
from unittest.mock import ANY

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from presat.answers.boxes import boxed_answer
from presat.verify.math import compare, same
from presat.verify.refusals import DENIED, FALSE_EQUATION, OTHER_BASE, OTHER_ORDER, OTHER_QUANTITY, OTHER_SIZE

WRONG = [
    (r"\frac{1}{2004!}", r"\frac{1}{2006!}", OTHER_SIZE),
    ("10^{-20}", "10^{-21}", OTHER_SIZE),
    (r"5\text{ ft }6\text{ in}", r"5\text{ ft }7\text{ in}", OTHER_QUANTITY),
    (r"3\text{ hours }30\text{ minutes}", r"3\text{ hours }20\text{ minutes}", OTHER_QUANTITY),
    (r"5\text{ meters}", r"5\text{ feet}", OTHER_QUANTITY),
    ("5 kg", "5 g", OTHER_QUANTITY),
    (r"5\text{ cm}^2", r"5\text{ cm}", OTHER_QUANTITY),
    ("C, A, B", "A, B, C", OTHER_ORDER),
    ("A<B<C", "B<A<C", OTHER_ORDER),
    ("ABCD", "DCBA", OTHER_ORDER),
    ("204_5", "204_7", OTHER_BASE),
    ("42", "41 = 42", FALSE_EQUATION),
    ("42", "definitely not 42", DENIED),
    ("(1,2)", "{2,1}", None),
    *[
        (gold, answer, ANY)
        for gold, answers in {
            "2 x": ["2", "2 y", "2 x^2", "2 apples"],
            "3+4 i": ["7", "3+4", "3+4 x"],
            r"\frac{1}{2} m v^2": [r"\frac{1}{2}", r"\frac{1}{2} k x^2"],
            "y = 2 x": ["2", "y=2", "y = 2 z"],
            r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}": [r"\begin{pmatrix} 2 \\ 1 \end{pmatrix}"],
            "42": [
                "42 million",
                "42 dozen",
                "42 squared",
                "42 factorial",
                "42 minus one",
                "42 wrong",
                r"42\text{ and 43}",
                r"42\text{ million}",
                "> 42",
                r"\ge 42",
                r"\ne 42",
                "2x=42",
                "x^2=42",
                "-x=42",
                "1/x=42",
                r"\log x=42",
                "x=41=42",
                "x = 43 = 42",
                "41=42=42",
                r"1,2,\ldots,42",
                r"1,\ldots,42,\ldots",
                "42_8",
                "42_{16}",
                "isn\u2019t 42",
                r"43 \boxed{42}",
                "42 i",
                "(" * 200 + "42" + ")" * 200,
                "42" + " + 0" * 100,
            ],
            "5": ["5 halves", "5 thirds", "5 plus x", "5:1:1"],
            r"5\text{ m/s}": ["5 km/h", "5 cm/s", "5 s/m"],
            r"100\text{ J}": ["100 kJ", "100 W"],
            r"\$18.90": ["18.90 cents"],
            r"90^\circ": ["90 radians"],
            "3:30": ["0.1", "1/10", "2:20"],
            r"3:30\text{ p.m.}": [r"3:30\text{ a.m.}", "3:30 AM"],
            "1:2:3": ["1:3:2", "1/6"],
            "204_5": [r"204_{seven}", r"204_{(7)}"],
            r"\text{Navin}": ["Vanin"],
            r"\text{yes}": ["sey"],
            "no solution": ["solution no"],
            "B": ["B) or C)", "(B),(C)", "B: or C", "B: wrong", "B) is false; C", "B) 42 C) 43 D) 44"],
            "25": [r"2600\%"],
            "50": ["0.5%"],
            r"\$5": ["€5", "£5", "5 pounds", "¥5", "5 euros", "5 GBP", "5 pounds sterling", "6 dollars", "6", r"4\$"],
            "€5": ["$5", "5 USD", "£5", "5 yen", "5 rupees", "6 €", "€50"],
            r"\frac{1}{2}\text{ euros}": [r"\$\frac{1}{2}", r"£\frac{1}{2}"],
            "€3, €4": ["€3, €5", "$3, $4"],
            "¥5": ["$5", "₹5", "¥6"],
            "3 cm, 4 cm": ["2 cm, 5 cm", "3 m, 4 m", "7 cm"],
            r"\frac{1}{2}\text{ meters}": [r"\frac{1}{2}\text{ feet}"],
            "5 radians": ["6 radians"],
            r"\frac{1}{2}": ["２／１", "１／３"],
            r"\{3,5\}": ["x=3", "x=3 or x=6", r"x=3 \text{ or } x=5 \text{ or } x=7"],
            r"\emptyset": ["0", r"\{0\}", r"\{\emptyset\}", "all real numbers", "no integer solutions", "undefined"],
            "DNE": ["0", r"\infty", "one solution", "infinitely many solutions", "no", "solution"],
        }.items()
        for answer in answers
    ],
    ("3.14159", "3.14", None),
    ("yes", "no", None),
    ("E", "B: a polygenic score", None),
    ("B", "B or C", None),
    ("[0,1)", r"0 \le x \le 1", None),
    (r"(-\infty,2)\cup(3,\infty)", r"x<2 \text{ or } x\ge 3", None),
    (r"\frac13", "0.3", None),
    ("100000", "1e6", None),
    ("2.5", "2 1/3", None),
]
RIGHT = [
    ("34", "34."), ("34.", "34"), (r"10 - 2\sqrt{5}", "10 - 2√5"), (r"30^\circ", "30°"), ("30", r"30^\circ"),
    (r"\infty", "∞"), (r"\frac12", "½"), ("2.5", "2½"), ("x^2", "x²"), ("-5", "−5"), (r"\frac13", r"0.\overline{3}"),
    (r"\frac16", r"0.1\overline{6}"), ("100000", "1e5"), ("0.001", "1E-3"), ("2.5", "2 1/2"), ("2.5", r"2\frac{1}{2}"),
    (r"\frac{\pi}{2}", "pi/2"), ("e^{16}-1", "-1 + exp(16)"), (r"2\sqrt{3}", "2*sqrt(3)"), ("72", "72 dollars"),
    (r"\$18.90", "18.90"), (r"12\text{ apples}", "12"), ("5", "5 meters"), ("6 ft", "72 in"),
    ("5 m", r"500\text{ cm}"), ("5", r"\text{5}"), ("(1,2)", "(1, 2)"), ("[0,1)", r"0 \le x < 1"),
    ("[0,1)", r"1 > x \ge 0"), (r"0 \le x < 1", "[0,1)"), (r"(-\infty,2)\cup(3,\infty)", r"x<2 \text{ or } x>3"),
    (r"x \in [-2,7]", "[-2,7]"), ("E", "E: a polygenic score"), ("B", "B. 42"), ("A", "(A)"), ("B", r"\text{(B)}"),
    ("yes", "Yes."), ("the derivative", "derivative"), ("3, 5, 7", "7, 5, 3"), ("A, B, C", "C, B, A"),
    (r"180^\circ, 540^\circ", r"{180^\circ, 540^\circ}"), ("3 cm, 4 cm", "3, 4"), (r"180^\circ, 540^\circ", "180, 540"),
    (r"\{1,2\}", "{2,1}"), (r"\{1,2\}", "1, 2"),
    *[(gold, answer) for gold, answers in {
        "2 x": ["2x", "x*2"], r"\frac{1}{2} m v^2": [r"\frac{mv^2}{2}"], "x^2 y": ["yx^2"], "y = 2 x": ["2x"],
        r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}": [r"\begin{pmatrix}1\\2\end{pmatrix}"],
        r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}": [r"\begin{bmatrix}1&2\\3&4\end{bmatrix}"],
        "1,000,000": ["1 million", r"1\text{ million}", r"\frac{2 million}{2}"],
        r"50\%": ["50", "50 percent", r"50\text{ percent}", "0.5"],
        "50": ["50%", r"50\%"], r"12.5\%": ["12.5"], r"6.02 \times 10^{23}": ["6.02E+23"],
        r"\binom{10}{3}": [r"{10 \choose 3}"], "x^2": ["x**2"], "10^{-3}": ["10^-3", "0.001"],
        r"\text{Evelyn}": ["EVELYN", '"Evelyn"', "evelyn."], "3:30": ["3:30 p.m.", "03:30"], "1:2:3": ["2:4:6"],
        r"5\text{ m/s}": ["5 m/s", "5", r"5\,\text{m/s}"], r"60\text{ mph}": ["60 miles per hour"],
        r"90^\circ": ["90 degrees", "90"], "42": [r"\approx 42", "a = 42", r"\text{Area} = 42", "41 + 1 = 42"],
        "2x": ["f(x) = 2x"], "B": ["B: a polygenic score", "(B) 42", "B. Mitochondria"],
    }.items() for answer in answers],
    ("204_5", "204_{5}"), ("42", "x = 42"), ("42", "6 * 7 = 42"), ("1000", "1,000"), ("42", "042"), ("0", "-0"),
    (r"50\%", "50%"), ("1/3", "0.3333333333"), ("42", "４２"), ("-5", "－５"), ("1/2", "１／２"),
    ("（１，２）", "(1,2)"),
    ("50%", "５０％"), ("x=3", "ｘ＝３。"), ("42", "٤٢"), ("3 cm, 4 cm", "4 cm, 3 cm"), ("5 ft, 6 in", "66 in"),
    (r"\frac{1}{2}\text{ euros}", r"€\frac12"), ("€2.5 million", "2500000 euros"), ("€3, €4", "4 €, 3 €"),
    (r"\text{east}", r"\displaystyle \text{east}"), ("$3$ or $5$", "3, 5"), ("5 lb", "5 pounds"), ("5", "５ €"),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "answer", "reason"), WRONG)
def test_wrong_answers_are_refused_with_the_reason(gold, answer, reason):
    assert same(gold, answer) == (False, reason)  # ANY: whichever


@pytest.mark.parametrize(("gold", "answer"), RIGHT)
def test_right_answers_are_paid(gold, answer):
    assert same(gold, answer) == (True, None)


@pytest.mark.parametrize("gold", sorted({gold for pairs in (WRONG, RIGHT) for gold, *_ in pairs}))
def test_every_gold_accepts_itself_and_denies_its_denial(gold):
    assert same(gold, gold) == (True, None)
    assert not same(gold, f"not {gold}")[0]


def test_the_papers_own_reading_is_math_verifys_alone():
    assert compare("42", "The answer is definitely not 42.", "any")[0] == 1.0
    assert compare("34", r"\boxed{34.}", "any")[0] == 0.0


PRICES = {
    "dollars": [r"\$5", "$5", "5 dollars", "5 USD", "USD 5", "US$5", "5 US dollars", r"5\$", r"$\$5$", "$5.00",
                "500 cents"],
    "euros": ["€5", "5€", "5 euros", "5 EUR", r"\euro 5", r"\text{€}5", r"5\text{ euros}", r"\text{€5}", "500 cents"],
    "pounds": ["£5", "5 GBP", r"\pounds5", "5 pounds", "￡5", "5 pounds sterling", "500 pence"],
    "yen": ["¥5", "￥5", "5 yen", "5 JPY"],
    "yuan": ["¥5", "5 yuan", "5 RMB"],
    "rupees": ["₹5", "5 rupees", "Rs. 5"],
}  # fmt: skip
NOTHING = [
    r"\emptyset", r"\varnothing", "∅", r"\{\}", r"x \in \emptyset", "no solution", r"\text{No solution}",
    "no solutions", "no real solutions",
    r"\text{no real solution}", "There is no solution.", "DNE", r"\text{DNE}", "does not exist",
    "the empty set",
]  # fmt: skip


@pytest.mark.parametrize("currency", PRICES)
def test_a_price_is_the_same_price_however_it_is_written_and_another_currency_is_none(currency):
    prices = PRICES[currency]
    assert [(one, other) for one in prices for other in prices if same(one, other) != (True, None)] == []
    plain = [price for price in prices if "500" not in price]
    assert [price for price in plain if not (same("5", price)[0] and same(price, "5")[0])] == []
    assert [price for price in plain if same("6", price)[0] or same(price, "50")[0]] == []
    several = {"500 cents", "¥5", "￥5"}  # of more than one currency
    others = {price for name, found in PRICES.items() if name != currency for price in found} - several
    assert [(one, other) for one in {*plain} - several for other in others if same(one, other)[0]] == []


@pytest.mark.parametrize("gold", NOTHING)
def test_that_there_is_no_answer_is_said_in_many_ways(gold):
    assert [answer for answer in NOTHING if same(gold, answer) != (True, None)] == []


@pytest.mark.parametrize("gold", ["3, 5", r"\{3,5\}", r"x=3 \text{ or } x=5", "3 or 5"])
@pytest.mark.parametrize("between", [" or ", "$ or $", r" \text{ or } ", ", ", " and "])
def test_solutions_in_a_box_each_are_the_set_of_them(gold, between):
    said = boxed_answer(rf"$\boxed{{x=3}}{between}\boxed{{x=5}}$.")
    assert said
    assert same(gold, said) == (True, None)
    wrong = boxed_answer(rf"$\boxed{{x=3}}{between}\boxed{{x=6}}$.")
    assert wrong
    assert not same(gold, wrong)[0]


NUMBERS = st.fractions(-1000, 1000, max_denominator=60)


def written(value: Fraction) -> list[str]:
    """A fraction in the ways people write it."""
    sign, top, bottom = "-" if value < 0 else "", abs(value.numerator), value.denominator
    forms = [f"{sign}{top}/{bottom}", rf"{sign}\frac{{{top}}}{{{bottom}}}", rf"${sign}\dfrac{{{top}}}{{{bottom}}}$."]
    if bottom == 1:
        forms += [f"{sign}{top}", f"{sign}{top}.0", f"{sign}{top:,}", f"\\text{{{sign}{top}}}", f"x = {sign}{top}"]
    if top > bottom > 1 and top % bottom:
        forms += [f"{sign}{top // bottom} {top % bottom}/{bottom}"]
    return [*forms, *(form.replace("-", "−") for form in forms if sign)]


@settings(max_examples=40, deadline=None)
@given(NUMBERS, st.data())
def test_every_way_to_write_a_number_is_that_number_and_no_other(value, data):
    ours = data.draw(st.sampled_from(written(value)))
    theirs = data.draw(st.sampled_from(written(value)))
    other = data.draw(st.sampled_from(written(value + data.draw(NUMBERS.filter(lambda gap: abs(gap) > 0.01)))))
    assert same(ours, theirs)[0]
    assert not same(ours, other)[0]
