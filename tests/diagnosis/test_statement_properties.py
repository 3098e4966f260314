"""True chains, however written, are never called false; with one number changed they are; nothing hangs or raises."""

# ruff: noqa: RUF001  (look-alikes of other characters are what people write)
import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from presat.diagnosis import make_judge
from presat.diagnosis.sides import equalities
from presat.diagnosis.statements import statements

SIGNS = {"+": ["+"], "-": ["-", "−"], "*": ["*", "×", r"\times", r"\cdot", "·"], "/": ["/", "÷", r"\div"]}
FRAMES = [
    "{}", "So {}.", r"We get \({}\).", r"\[ {} \]", "${}$", "$${}$$", "**{}**", "Then the total is {}, as wanted.",
    r"\begin{{align*}} {} \end{{align*}}", "- {}\n- next", "Step 1: {}", "{} apples", "Hence, {} dollars in all.",
    "Total = {}",
]  # fmt: skip

numbers = st.integers(1, 999)
signs = st.sampled_from("+-*")


@st.composite
def expressions(draw):
    """An expression as (how it is written, its value): two to four numbers, brackets, fractions, powers."""
    text, value = str(first := draw(numbers)), Fraction(first)
    for _ in range(draw(st.integers(1, 3))):
        sign, other = draw(signs), draw(numbers)
        shown, amount = str(other), Fraction(other)
        shape = draw(st.sampled_from(["plain", "fraction", "power", "bracket"]))
        if shape == "fraction":
            below = draw(st.integers(2, 9))
            shown, amount = rf"\frac{{{other}}}{{{below}}}", Fraction(other, below)
        elif shape == "power":
            shown, amount = f"{other}^2", Fraction(other) ** 2
        elif shape == "bracket":
            shown, amount = f"({other} + 1)", Fraction(other + 1)
        written = draw(st.sampled_from(SIGNS[sign]))
        text = f"({text}) {written} {shown}" if sign == "*" else f"{text} {written} {shown}"
        value = value * amount if sign == "*" else value + amount if sign == "+" else value - amount
    return text, value


def number(value, comma):
    if value.denominator > 1:
        return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"
    return f"{value.numerator:,}" if comma else str(value.numerator)


def verdicts(text):
    return [item.true for item in statements(text, equalities(text))]


@settings(max_examples=300, deadline=None)
@given(expressions(), st.sampled_from(FRAMES), st.booleans())
def test_a_true_equality_is_never_called_false(expression, frame, comma):
    text, value = expression
    assert False not in verdicts(frame.format(f"{text} = {number(value, comma)}"))


@settings(max_examples=300, deadline=None)
@given(expressions(), st.sampled_from(FRAMES), st.integers(1, 50), st.booleans())
def test_an_equality_with_a_changed_number_is_called_false_where_it_is_read(expression, frame, change, up):
    text, value = expression
    wrong = value + (change if up else -change)
    found = verdicts(frame.format(f"{text} = {number(wrong, comma=False)}"))
    assert True not in found
    if frame in ("{}", "So {}.", r"We get \({}\).", r"\[ {} \]", "${}$", "{} apples", "Total = {}"):
        assert found == [False]


@settings(max_examples=200, deadline=None)
@given(st.lists(numbers, min_size=3, max_size=6), st.sampled_from(FRAMES))
def test_a_sum_worked_out_step_by_step_holds_in_every_step(terms, frame):
    steps = [" + ".join(map(str, [sum(terms[: cut + 1]), *terms[cut + 1 :]])) for cut in range(len(terms))]
    found = verdicts(frame.format(" = ".join(steps)))
    assert found
    assert all(found)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 10**6), st.integers(2, 997), st.integers(1, 5))
def test_a_quotient_rounded_to_the_digits_shown_holds(top, bottom, digits):
    for sign in ("=", "≈", r"\approx"):
        assert False not in verdicts(f"{top} / {bottom} {sign} {top / bottom:.{digits}f}")


@settings(max_examples=200, deadline=None)
@given(st.integers(-9, 9), st.integers(-9, 9))
def test_an_identity_holds_and_a_changed_one_in_a_chain_does_not(a, b):
    expanded = f"x^2 + ({a + b})x + ({a * b})"
    assert verdicts(f"y = (x + ({a}))(x + ({b})) = {expanded}") == [True]
    assert verdicts(f"y = (x + ({a}))(x + ({b})) = {expanded} + 1") == [False]


alphabet = st.sampled_from(
    [*"0123456789+-*/^=()[]{}$%!.,:;|_~<> \n\\", "\\frac", "\\sqrt", "\\left(", "\\boxed{", "\\\\", "\\text{", "\\pmod",
     "\\sin", "\\log_", "x", "of", "apples", "divisors of 12 are ", "remainder", "½", "²", "√", "≈", "\\binom", "1/2",
     "the answer is ", "9" * 70, "**", "mod", "°", "\x00", "é", "٣"]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(alphabet, max_size=60).map("".join))
def test_no_text_makes_it_raise(text):
    (found,) = make_judge("symbolic").judge([{"prompt": "How many?", "response": text}])
    assert found.label in (None, 0.0, 1.0)


@pytest.mark.parametrize("text", ["{} = 7", "7 = {}", r"So 1 + 2 + 3 = 6 and \boxed{{{}}}", "x = {} and x + 1 = 3"])
@pytest.mark.parametrize("sign", [" * ", " / ", " + "])
def test_numbers_beyond_any_size_are_not_read(text, sign):
    (found,) = make_judge("symbolic").judge([{"prompt": "", "response": text.format(sign.join(["9^999"] * 20))}])
    assert found.label in (None, 0.0, 1.0)


@pytest.mark.parametrize(
    "part",
    ["(", "\\frac{", "1+", "1 = ", "9^", "9!", "\\boxed{", "a b ", "1, ", "**a", "\\text{", "x = 1 ", "-", "\\sqrt",
     "1 ", "divisors of 12 are 1, ", "\n", "$", "1/", "= ", "17 / 5 = ", "{", "}", "_", "\\left(", "the answer is 1 ",
     "1,", "\\log_2 ", "5% of ", "x + y = 3 ", "2^(", "0.3", "1:2 ", "a-", "1 apples + ", "\\", "~", "1 mod "],
)  # fmt: skip
def test_long_hostile_text_takes_time_in_proportion(part):
    judge = make_judge("symbolic")
    began = time.process_time()
    judge.judge([{"prompt": part * 100, "response": part * (100_000 // len(part))}])
    assert time.process_time() - began < 20.0  # an exponential or a cubic rule would take hours
