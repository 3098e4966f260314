"""Whatever a response holds, reading its answer neither fails nor takes more than a few passes over it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import partial
from typing import get_args

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from presat import Problem, score
from presat.answers.boxes import boxed_answer
from presat.answers.formats import Format, format_of, read_answer
from presat.answers.intervals import interval_pair
from presat.answers.normal import LONGEST
from presat.answers.normal import normal_form as answers_normal_form
from presat.answers.scales import multiplied_out
from presat.answers.units import bare, quantities
from presat.diagnosis.symbolic import label_response
from presat.rewards.gates import GATES
from presat.tasks.golds import final_answer, unwrap_gold
from presat.tasks.traces import _split
from presat.verify import Verifier, answer_box, boxes, extract_boxed
from presat.verify.choice import read_choice
from presat.verify.equivalence import normal_form
from presat.verify.refusals import refuse_text, same_labels

SIZE = 2**19
CHAIN = "7 a +3"
READERS: dict[str, Callable[[str], object]] = {
    "extract_boxed": extract_boxed,
    "gates": lambda text: [gate(text) for gate in GATES.values()],
    "read_choice": lambda text: read_choice(text, ["1", "A and B"]),
    "normal_form": lambda text: normal_form(text, "reasoning_gym"),
    "final_answer": final_answer,
    "unwrap_gold": unwrap_gold,
    "label_response": lambda text: label_response(CHAIN, text),
    "split": _split,
    **{f"read_answer {form}": partial(read_answer, form=form) for form in get_args(Format)},
    "format_of": format_of,
    "boxed_answer": boxed_answer,
    "an answer's normal form": answers_normal_form,
    "what is said of short answers": lambda text: of_short_answers(answers_normal_form(text[:LONGEST])),
}


def of_short_answers(text: str) -> object:
    read = interval_pair("[0, 1)", text), quantities(text), bare(text), multiplied_out("5", "5", text)
    return read, refuse_text("C, A, B", text), refuse_text("5 m", text), same_labels("3 to 1", text)


def many(part: str) -> str:
    return part * (SIZE // len(part))


def nested(opening: str, closing: str) -> str:
    depth = SIZE // len(opening + closing)
    return opening * depth + "A" + closing * depth


TEXTS = {
    "boxes within boxes": nested("\\boxed{ ", " }"),
    "backslashes": many("\\"),
    "commands within commands": nested("\\text{", "}"),
    "a last line of spaces": "#### a" + " " * SIZE + "b\n",
    "lines of a last line": many("#### " + " " * 999),
    "an answer that is an answer": many("the answer is "),
    "markers": many("<think></think>"),
    "tags": many("<answer>"),
    "answers and spaces": many("answer" + " " * 999),
    "boxes in a list": many("\\boxed{1}, "),
    "full stops": "The answer is " + many(". "),
    "inequalities": many("x < "),
    "feet": many("5 ft "),
    "units of units": "5 " + many("m^9 per "),
    "cents of cents": "5 " + many("cents "),
    "units in text": many("5\\text{ m}"),
    "prices": many("$5 € "),
    "powers": "5 m" + many("^9"),
    "scales": "5" + many(" thousand"),
    "brackets before a unit": many(")") + " m" * 999,
    "ratios": many("3 to "),
    "digits": many("1"),
    "commas": many("1, "),
    "halves of characters": "\\boxed{" + "\ud83d" * SIZE + "}",
}


@pytest.mark.parametrize("kind", TEXTS)
def test_half_a_megabyte_is_read_within_seconds(kind: str) -> None:
    for name, read in READERS.items():
        began = time.process_time()
        read(TEXTS[kind])
        assert time.process_time() - began < (4.0 if name == "gates" else 2.0), name  # there are three of them and more


def problem(verifier: str, gold: str) -> Problem:
    return Problem("p", ({"role": "user", "content": CHAIN},), gold, "math", verifier, {"choices": ["1", "2"]})


@pytest.mark.parametrize("answer", ["\ud83d", "\0", "1\ud83d", "\\boxed{" * 1000 + "1" + "}" * 1000])
def test_an_answer_that_is_no_text_is_a_wrong_answer_or_a_missing_one(answer: str) -> None:
    for verifier, gold in (("math", "1"), ("lab", "2"), ("choice", "B")):
        found = score(problem(verifier, gold), f"\\boxed{{{answer}}}")
        assert found.value != 1.0 or answer.startswith("\\boxed")


def test_a_megabyte_of_an_answer_is_judged_within_its_time() -> None:
    with Verifier("any", timeout_s=1.0) as verifier:
        began = time.monotonic()
        (found,) = verifier.score_many([(problem("math", "1"), "\\frac{" * (2**20 // 6))])
        assert found.value != 1.0
        assert time.monotonic() - began < 30


PIECES = st.lists(
    st.sampled_from(
        ["\\boxed{", "\\boxed {", "{", "}", "\\{", "\\}", "\\\\", "\\", " ", "\n", "1", "A", "(", ")", "the answer is ",
         "\\text{", "$", "*", "#### ", "<think>", "</think>", "\ud83d", "\0", "["]
    ),
    max_size=30,
).map("".join)  # fmt: skip


@given(PIECES | st.text(max_size=50))
@settings(max_examples=30, deadline=None)
def test_any_text_is_read(text: str) -> None:
    for read in READERS.values():
        read(text)
    found, box = boxes(text), answer_box(text)
    assert (box is None) == (not found) == (extract_boxed(text) is None)
    for one in found:
        whole = text[one.start : one.end]
        assert whole.startswith("\\boxed")
        assert whole.endswith("}")
        assert one.content == whole[whole.index("{") + 1 : -1].strip()
    if box is not None:
        assert box.content in text[box.start : box.end]
        assert box.content == box.content.strip()


@given(PIECES)
@settings(max_examples=30, deadline=None)
def test_the_answer_of_a_last_line_is_what_one_pattern_says(text: str) -> None:
    assume("\\boxed" not in text and "answer" not in text.lower() and "think>" not in text)
    found = re.search(r"^####[ \t]*(\S.*?)\s*\Z", text, re.MULTILINE)
    assert final_answer(text) == (found[1] if found else text)
