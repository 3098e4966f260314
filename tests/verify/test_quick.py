r"""Math-Verify made quicker gives the verdicts that it gives by itself: on published answers where they are at hand."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.verify.test_same import NAMED_RIGHT, NAMED_WRONG, RIGHT, WRONG

from presat.tasks import load_problems
from presat.verify import math as judge
from presat.verify import quick

FORMS = (
    "3", "-12", "0.5", r"\frac{14}{3}", r"\frac 12", "2^{10}", r"3\sqrt{13}", r"\pi", r"\frac{5\pi}{6}",
    "x^2 + 3x - 2", "-4k^5", r"\left( 3, \frac{\pi}{2} \right)", "(1,2)", "1, 2, 3", "[2,5)",
    r"(-\infty, 3)\cup(4, \infty)", "y = 2x + 3", "p - q", "x^3 + 3x - 6 + x^2", r"6 - 5i",
    r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\text{Evelyn}", r"50\%", r"\frac{x}{x+1}", "(x+1)^2", "x^2+2x+1",
    r"\frac{x^2-1}{x-1}", "x+1", r"\sqrt{x^2}", r"\sin^2 x + \cos^2 x", "1", r"2 \cdot 3", "6", "1,2", r"\log_2 8",
    "x = 3", "a_{1}+a_{2}=0", r"1 \pm \sqrt{19}", r"x \in [1,2]", "1 < x < 2", r"\frac{", "((", r"e^{i\pi}", "2x=6",
)  # fmt: skip


@pytest.fixture(autouse=True)
def by_itself() -> Iterator[None]:
    """Leave Math-Verify as it is for the other tests."""
    yield
    quick.slow_down()


def both(pairs: list[tuple[str, str, str]]) -> tuple[list[Any], list[Any]]:
    """The verdicts on (gold, answer, mode) of Math-Verify made quicker, and of Math-Verify by itself."""
    found = []
    for set_up in (quick.quicken, quick.slow_down):
        judge._read_gold.cache_clear()
        set_up()
        found.append([judge.compare(*pair) for pair in pairs])
    return found[0], found[1]


def test_forms_against_each_other_have_the_same_verdict_both_ways() -> None:
    pairs = [(gold, answer, "stated") for gold in FORMS for answer in FORMS]
    fast, slow = both([*random.Random(0).sample(pairs, 300), *((form, form, "stated") for form in FORMS)])
    assert fast == slow


def test_answers_that_are_easily_misjudged_have_the_same_verdict_both_ways() -> None:
    pairs = [(gold, answer, "stated") for gold, answer, *_ in (*WRONG, *RIGHT)]
    pairs += [
        (gold, said, "stated") for kind in (NAMED_WRONG, NAMED_RIGHT) for gold, many in kind.items() for said in many
    ]
    fast, slow = both(random.Random(0).sample(pairs, 250))
    assert fast == slow


def test_published_answers_have_the_same_verdict_both_ways(sample_data: Path) -> None:
    rng = random.Random(0)
    golds = [problem.gold or "" for problem in load_problems(str(sample_data / "eval/math500.parquet"))]
    lines = (sample_data / "process/processbench_math.jsonl").read_text(encoding="utf-8").splitlines()
    traces = ["\n".join(json.loads(line)["steps"]) for line in lines]
    pairs = []
    for gold in rng.sample(golds, 80):
        other = re.sub(r"\d+", lambda match: str(max(1, int(match[0]) + rng.randint(-3, 3))), gold)
        pairs += [(gold, answer, "stated") for answer in (gold, other, rng.choice(golds))]
        pairs.append((gold, f"{rng.choice(traces)} So $\\boxed{{{other}}}$.", "any"))
    pairs += [(rng.choice(golds), trace, "any") for trace in rng.sample(traces, 30)]
    fast, slow = both(pairs)
    assert fast == slow
    assert {value for value, *_ in fast} >= {1.0, 0.0}


@settings(max_examples=25, deadline=None)
@given(st.integers(-(10**15) + 1, 10**15 - 1), st.integers(-(10**15) + 1, 10**15 - 1))
def test_different_whole_numbers_are_what_they_are_to_math_verify(one: int, other: int) -> None:
    for pair in ((one, other), (one, one + 1), (one, -one)):
        texts = [str(number) for number in pair]
        asked = judge._equal(*texts), judge.refuse_text(*texts) if pair[0] != pair[1] else None
        assert judge.same(*texts) == (pair[0] == pair[1], None)
        assert asked == (pair[0] == pair[1], None)


def test_a_difference_is_surely_not_zero_only_where_it_is_not() -> None:
    x, y = sympy.symbols("x y", real=True)
    sure = (x, x - y, x**2 - 1, 1 / x - 1, sympy.Rational(1, 3), (x + 1) ** 3 - x**3, sympy.pi - 3, sympy.sqrt(3) - 2)
    assert all(quick.differs(one) for one in sure)
    zero = ((x + 1) ** 2 - x**2 - 2 * x - 1, x / (x + 1) + 1 / (x + 1) - 1, sympy.Integer(0))
    radicals = sympy.sqrt(3 + 2 * sympy.sqrt(2)) - 1 - sympy.sqrt(2)
    assert not any(quick.differs(one) for one in (*zero, radicals))
    unsure = (sympy.sqrt(x), x - 0.1, sympy.Float(0.5), sympy.sin(x), x**100, (x**64 + 1) ** 64, 1 / (x - 101))
    assert not any(quick.differs(one) for one in unsure)
    others = (sympy.nan, sympy.Eq(x, y), sympy.Matrix([1]), sympy.FiniteSet(1, 2), sympy.UnevaluatedExpr(x) - x)
    assert not any(quick.differs(one) for one in others)


def test_the_quick_way_is_taken() -> None:
    quick.quicken()
    asked: list[object] = []
    plain = quick._PLAIN[quick.math_verify.grader, "simplify"]
    quick._PLAIN[quick.math_verify.grader, "simplify"] = asked.append
    try:
        assert not judge._equal("x^2 + 1", "x^2 + 2")
        assert asked == []
        assert not judge._equal(r"\sin x + 1", r"\cos x + 1")
        assert len(asked) == 1
    finally:
        quick._PLAIN[quick.math_verify.grader, "simplify"] = plain
