"""Gold answers that hold a number and are compared as text: only their own words are right."""

from __future__ import annotations

import pytest

from presat import load_problems
from presat.tasks.doubts import doubts_of, is_text_with_number

TEXTS = ["between 3 and 5 people", "Room 12", "72 more or less", "42 per dozen or so"]
NUMBERS = [
    "9 (apples)", "Ans: 72", "= 72", "72 (approx.)", "(B) 2", "72 clips", "5 red, 3 blue", "10-15 minutes", r"3\%",
    r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"5\text{ ft }6\text{ in}", "3:30 PM", "x=3 or x=5", "Navin",
]  # fmt: skip


@pytest.mark.parametrize("gold", TEXTS)
def test_a_number_among_words_is_text(gold):
    assert is_text_with_number(gold)


@pytest.mark.parametrize("gold", NUMBERS)
def test_a_number_with_a_unit_a_label_or_a_name_is_none(gold):
    assert not is_text_with_number(gold)


def test_inspection_says_how_many_there_are():
    rows = [{"question": f"What is {gold}?", "answer": gold} for gold in [*TEXTS[:2], *NUMBERS]]
    (sentence,) = doubts_of(load_problems(rows)).sentences
    assert sentence.startswith(f"2 of {len(rows)} gold answers hold a number and are compared as text: ")
    assert "Room 12" in sentence
