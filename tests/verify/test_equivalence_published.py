"""Our reward is Math-Verify's and Reasoning Gym's own verdict on every published problem, or the difference is listed.

`EXPLAINED` is that list. Fourteen synthetic responses a problem are judged by our verifier in each extraction mode and
by the libraries called directly (`reference.py`). The ordinary suite takes a sample of each file, `pytest -m slow`
all problems (eight minutes on two busy cores).
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from presat import load_problems
from presat.tasks.rows import extra_info
from presat.types import Problem
from presat.verify import Verifier

REFERENCE = Path(__file__).with_name("reference.py")
SAMPLE = 5
"""Problems of each file in the ordinary suite."""
PATIENCE_S = 60
"""Seconds for an answer: what is compared is the verdicts, not the speed of the machine."""


def wrong(gold: str) -> str:
    """An answer that is not the gold one: the next number, or other buttons, or -12345."""
    if re.fullmatch(r"-?\d+", gold):
        return str(int(gold) + 1)
    return "C → C" if "→" in gold else "-12345"


def equivalent(gold: str) -> str:
    """The gold answer in another form."""
    if re.fullmatch(r"-?\d+", gold):
        return f"\\frac{{{2 * int(gold)}}}{{2}}"
    return gold.replace("→", "\\rightarrow") if "→" in gold else f"\\displaystyle {gold}"


RESPONSES: dict[str, Callable[[str], str]] = {
    "right": lambda g: f"Adding up, we get \\boxed{{{g}}}.",
    "equivalent": lambda g: f"It is \\boxed{{{equivalent(g)}}}.",
    "wrong": lambda g: f"It is \\boxed{{{wrong(g)}}}.",
    "unboxed": lambda g: f"The final answer is {g}.",
    "unboxed LaTeX": lambda g: f"The final answer is ${g}$.",
    "wrong box, then right": lambda g: f"First \\boxed{{{wrong(g)}}}, or rather \\boxed{{{g}}}.",
    "right box, then wrong": lambda g: f"First \\boxed{{{g}}}, or rather \\boxed{{{wrong(g)}}}.",
    "nested boxes": lambda g: f"So \\boxed{{\\boxed{{{{{g}}}}}}}.",
    "thinking": lambda g: f"<think>\nPerhaps \\boxed{{{wrong(g)}}}? No.\n</think>\n\nThe answer is \\boxed{{{g}}}.",
    "truncated": lambda g: f"So the answer is \\boxed{{{g}",
    "truncated thinking": lambda g: f"<think>\nIt could be $x = {g}$, but let me check",
    "hostile": lambda g: (
        "$$\\frac{1}{0}$$ \\left( \\boxed{\\begin{matrix} \\sqrt[ \\text{{} & \\\\ \\end{matrix}^{_{}}} \\]"
    ),
    "empty": lambda g: "",
    "empty box": lambda g: f"x = {g}, so \\boxed{{}}",
}


class Difference(NamedTuple):
    """One response that we and the libraries judge differently."""

    kind: tuple[str, str, str]
    """Verifier, extraction mode, response."""
    verdicts: tuple[float | None, float | None]
    """Ours, theirs."""
    gold: str


BOX_ONLY = (
    "mode `boxed` asks for a box; Math-Verify also reads an answer that stands outside one, or in an unclosed one"
)
STATED = "mode `auto` reads an answer where one is stated; Math-Verify also reads an equation somewhere in the response"
LAST_BOX = "the last box is read; Math-Verify reads all boxes as one answer"
NORMAL_FORM = "the normal form is read; Math-Verify finds nothing in a box of braces with units, words or commas in it"
UNBOXED = (
    "mode `auto` reads an answer line; Math-Verify reads plain numbers outside a box, and the scorer is given boxes"
)
ARROWS = "LaTeX's arrow is read as an arrow; the scorer finds the button A in `\\rightarrow`"
NO_BUTTONS = (
    "a label that names no button: the scorer accepts every text without one, we ask for a box that is not empty"
)
EXPLAINED: dict[tuple[tuple[str, str, str], tuple[float, float]], str] = {
    **{
        (("math", "boxed", response), (0.0, 1.0)): BOX_ONLY
        for response in ("unboxed", "unboxed LaTeX", "truncated", "truncated thinking", "empty box")
    },
    **{
        (("math", "auto", response), (0.0, 1.0)): STATED
        for response in ("truncated", "truncated thinking", "empty box", "unboxed LaTeX")
    },
    (("math", "auto", "unboxed"), (1.0, 0.0)): UNBOXED,
    (("math", "auto", "unboxed LaTeX"), (1.0, 0.0)): UNBOXED,
    (("reasoning_gym", "auto", "unboxed"), (1.0, 0.0)): UNBOXED,
    (("reasoning_gym", "auto", "unboxed LaTeX"), (1.0, 0.0)): UNBOXED,
    **{
        (("math", mode, response), verdicts): why
        for mode in ("boxed", "auto")
        for response, verdicts, why in (
            ("wrong box, then right", (1.0, 0.0), LAST_BOX),
            ("right box, then wrong", (0.0, 1.0), LAST_BOX),
            ("nested boxes", (1.0, 0.0), NORMAL_FORM),
        )
    },
    **{(("reasoning_gym", mode, "equivalent"), (1.0, 0.0)): ARROWS for mode in ("boxed", "auto")},
    **{
        (("reasoning_gym", mode, response), (0.0, 1.0)): NO_BUTTONS
        for mode in ("boxed", "auto", "any")
        for response in (
            "unboxed", "unboxed LaTeX", "truncated", "truncated thinking", "hostile", "empty", "empty box",
        )
        if mode != "auto" or "unboxed" not in response  # an answer line is an answer there
    },
}  # fmt: skip
"""Every difference there is, with its reason; docs/deviations.md says the same at more length."""


def distinct(folder: Path, most: int | None = None) -> list[Problem]:
    """Every different problem of the published files, or at most `most` of each file."""
    problems: dict[Any, Problem] = {}
    for file in sorted(folder.rglob("*.parquet")):
        own = load_problems(file)
        for problem in own if most is None else random.Random(file.name).sample(own, min(most, len(own))):
            problems.setdefault((problem.messages[-1]["content"], problem.gold), problem)
    return list(problems.values())


def judged_directly(pairs: list[tuple[Problem, str]], timeout_s: int) -> list[float | None]:
    items = [
        {"kind": p.verifier, "gold": p.gold, "text": text, "metadata": dict(extra_info(p.metadata))}
        for p, text in pairs
    ]
    lines = "\n".join(json.dumps(item, default=str) for item in items)
    done = subprocess.run([sys.executable, str(REFERENCE), str(timeout_s)], input=lines, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    scores = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(scores) == len(pairs)
    return scores


def compared(problems: list[Problem]) -> tuple[list[Difference], dict[str, set[float | None]]]:
    """All differences, and which verdicts the libraries gave to each response to a math problem."""
    asked = [(problem, name) for problem in problems for name in RESPONSES]
    pairs = [(problem, RESPONSES[name](problem.gold or "")) for problem, name in asked]
    theirs = judged_directly(pairs, PATIENCE_S)
    found = []
    for mode in ("boxed", "auto", "any"):
        with Verifier(mode, workers=2, timeout_s=PATIENCE_S) as verifier:
            ours = verifier.score_many(pairs)
        for (problem, name), score, value in zip(asked, ours, theirs, strict=True):
            if score.value != value:
                found.append(Difference((problem.verifier, mode, name), (score.value, value), problem.gold or ""))
    given: dict[str, set[float | None]] = {}
    for (problem, name), value in zip(asked, theirs, strict=True):
        if problem.verifier == "math":
            given.setdefault(name, set()).add(value)
    return found, given


def unexplained(found: list[Difference]) -> list[Difference]:
    return [item for item in found if (item.kind, item.verdicts) not in EXPLAINED]


def test_a_sample_of_every_file_is_judged_as_the_libraries_judge_it(sample_data: Path) -> None:
    found, given = compared(distinct(sample_data, SAMPLE))
    assert unexplained(found) == []
    assert given["right"] == {1.0}  # else the comparison shows little
    assert given["wrong"] == given["empty"] == {0.0}
    assert {item.kind for item in found} >= {("math", "boxed", "unboxed"), ("math", "boxed", "wrong box, then right")}


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_every_published_problem_is_judged_as_the_libraries_judge_it(sample_data: Path) -> None:
    found, _ = compared(distinct(sample_data))
    assert unexplained(found) == []
    assert {(item.kind, item.verdicts) for item in found} == set(EXPLAINED)  # nothing is explained that is not there
    for item in found:
        if EXPLAINED[item.kind, item.verdicts] == NO_BUTTONS:
            assert not re.search("[A-C]", item.gold.upper())


def test_an_answer_that_hangs_is_missing_here_and_wrong_there() -> None:
    problem = Problem("p", ({"role": "user", "content": "?"},), "5", "math", "math", {})
    text = "It is \\boxed{9^{9^{9^9}}}."
    assert judged_directly([(problem, text)], timeout_s=1) == [0.0]
    for mode in ("boxed", "auto", "any"):
        with Verifier(mode, timeout_s=1) as verifier:
            score = verifier.score(problem, text)
        assert (score.value, score.reason) == (None, "timeout")
