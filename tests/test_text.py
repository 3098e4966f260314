"""What a file holds reaches no terminal as a command, and no message whole where it is long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presat.text import MOST_SHOWN, brief, holds_secret, masked, masked_words, printable


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


@pytest.mark.parametrize(
    "prefix", ["hf_", "sk-", "gsk_", "ghp_", "github_pat_", "xoxb-", "glpat-", "nvapi-", "AIza", "AKIA"]
)
@pytest.mark.parametrize(
    "rest", ["abcdefghijklmnop", "ABCDEFGHIJKLMNOPQRSTuvwx", "abcdefghijklmnop_qr-st", "0123-4567_89abcdef"]
)
def test_a_key_is_known_by_what_it_begins_with(prefix, rest):
    """Whether or not it has a digit; wherever it stands."""
    assert holds_secret(prefix + rest)
    assert holds_secret(f"--data.source={prefix}{rest},")
    assert masked(f"key {prefix}{rest}.") == f"key {prefix}***."
    assert masked_words(["--model.name", prefix + rest]) == ["--model.name", f"{prefix}***"]


@pytest.mark.parametrize(
    "name",
    [
        "sk-learn-pipelines-and-more",
        "hf_my_own_models_of_june",
        "gsk_short",
        "task-force-abcdefghijklmnop",
        "asian_cuisine_questions",
    ],
)
def test_a_name_that_only_begins_like_a_key_is_none(name):
    assert not holds_secret(name)
    assert masked(name) == name


@pytest.mark.parametrize(
    "text",
    [
        "https://h/x#access_token=S3CRET", "https://h/x;token=S3CRET", "https://h/v1?user=a&pwd=S3CRET",
        "Authorization: Basic S3CRETS3CRET", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.S3CRET",
    ],
)  # fmt: skip
def test_a_key_in_an_address_or_a_header_is_known(text):
    assert holds_secret(text)
    assert "S3CRET" not in masked(text)


@pytest.mark.parametrize("option", ["--judge.api-key", "--reward.options.hub_token", "--openai-key", "--secret-token"])
def test_an_option_below_others_hides_its_value_too(option):
    assert masked_words(["train", option, "abc", "--steps", "3"]) == ["train", option, "***", "--steps", "3"]
