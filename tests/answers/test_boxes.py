from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presat.verify import boxes, extract_boxed


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\boxed{5}", "5"),
        (r"first \boxed{4}, no: \boxed{5}.", "5"),
        (r"\boxed{ 5 }", "5"),
        (r"\boxed {5}", "5"),
        (r"\boxed{}", ""),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\}}", r"\}"),
        (r"\boxed{\left\{ x : x > 0 \right.}", r"\left\{ x : x > 0 \right."),
        (r"\boxed{a}} and }", "a"),
        (r"{ \boxed{a}", "a"),
        ("\\boxed{a\nb}", "a\nb"),
        (r"\\\boxed{5}", "5"),  # a line break, then a box
        (r"\\boxed{5}", None),  # a line break, then the word
        (r"\fbox{5}", None),
        (r"\boxed 5", None),
        (r"\boxed{5", None),
        (r"\boxed{\frac{1}{2}", None),
        (r"\boxed{1} and \boxed{2", "1"),
        (r"\boxed{so \boxed{2}", "2"),  # the outer box was cut off, the inner one stands
        (r"\boxed{\boxed{7}}", "7"),
        (r"\boxed{ \boxed{\boxed{7}} }", "7"),
        (r"\boxed{x = \boxed{7}}", r"x = \boxed{7}"),
        (r"\boxed{\boxed{1}\boxed{2}}", r"\boxed{1}\boxed{2}"),
        ("the answer is 5", None),
        ("", None),
    ],
)
def test_the_last_balanced_box_is_the_answer(text: str, answer: str | None) -> None:
    assert extract_boxed(text) == answer


def test_boxes_say_where_they_stand() -> None:
    text = r"a \boxed{1} b \boxed{2 \boxed{3}} c"
    assert [text[box.start : box.end] for box in boxes(text)] == [r"\boxed{1}", r"\boxed{2 \boxed{3}}"]


plain = st.text(st.characters(exclude_characters="\\{}", exclude_categories=["Cs"]), max_size=8)
balanced = st.recursive(
    st.one_of(plain, st.sampled_from([r"\{", r"\}", r"\frac{1}{2}", r"\\"])),
    lambda inner: st.one_of(inner.map(lambda text: "{" + text + "}"), st.lists(inner, max_size=4).map("".join)),
    max_leaves=12,
)


@given(before=plain, content=balanced, after=plain)
def test_any_balanced_content_comes_back(before: str, content: str, after: str) -> None:
    text = before + r"\boxed{" + content + "}" + after
    assert extract_boxed(text) == content.strip()
    (box,) = boxes(text)
    assert text[: box.start] == before
    assert text[box.end :] == after


@given(before=plain, content=balanced)
def test_a_box_that_is_never_closed_is_no_answer(before: str, content: str) -> None:
    assert extract_boxed(before + r"\boxed{" + content) is None


@given(st.lists(st.sampled_from([r"\boxed{", "{", "}", r"\{", r"\}", "\\", "a", " "]), max_size=30).map("".join))
def test_boxes_of_any_text_are_in_order_apart_and_balanced(text: str) -> None:
    end = 0
    for box in boxes(text):
        assert box.start >= end
        end = box.end
        whole = text[box.start : box.end]
        assert whole.startswith(r"\boxed{")
        assert whole.endswith("}")
        assert extract_boxed(whole) is not None
    assert (extract_boxed(text) is None) == (not boxes(text))


@pytest.mark.parametrize(
    "text", [r"\boxed{" * 50_000, "{" * 300_000, r"\boxed{}" * 30_000, r"\boxed{" * 9_000 + "}" * 9_000]
)
def test_hostile_text_takes_one_pass(text: str) -> None:
    began = time.process_time()
    boxes(text)
    assert time.process_time() - began < 2


def test_boxes_nested_thousands_deep_are_read_in_time() -> None:
    began = time.process_time()
    assert extract_boxed(r"\boxed{" * 9_000 + "7" + "}" * 9_000) == "7"
    assert time.process_time() - began < 2
