"""What a file holds reaches no terminal as a command, and no message whole where it is long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presat.text import MOST_SHOWN, brief, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("a\rb\x00", "a\\x0db\\x00"),
        ("half \ud83d", "half \\ud83d"),
        ("caf\udce9", "caf\\xe9"),
        ("\u202etxt", "\\u202etxt"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("naïve 答案 👩\u200d🔬", "naïve 答案 👩\u200d🔬"),
    ],
)
def test_a_terminal_is_shown_what_it_would_obey(text, shown):
    assert printable(text) == shown


@given(st.text(st.characters(codec=None)))
def test_any_text_can_be_written_and_holds_no_escape(text):
    shown = printable(text)
    assert "\x1b" not in shown
    assert "\x9b" not in shown
    assert shown.encode() and shown == printable(shown) if text else shown == ""


def test_long_values_are_cut():
    assert brief("42") == "'42'"
    assert brief("x" * 10**7).endswith(" ...")
    assert len(brief("\x1b" * 10**6)) == MOST_SHOWN
    assert len(brief(list(range(10**5)))) == MOST_SHOWN
