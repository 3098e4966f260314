"""Strategies that damage good samples: bytes flipped, cut, repeated, and words put in that have hurt before."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

WORDS = [
    b"", b"\0", b"\n", b"\r", b",", b";", b"\t", b'"', b"'", b"{", b"}", b"[", b"]", b":", b"-", b"\xff",
    b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x1b[2J", b"\xe2\x80\xae", b"NaN", b"Infinity", b"-inf", b"1e999",
    b"1e300", b"-1", b"0", b"1.5", b"true", b"null", b"1700000000", b"18446744073709551616", b"9" * 400,
    b'"\\ud800"', b"{}", b"[[[[", b"a" * 300,
    b"step", b"reward", b"eval/", b"/", b"@", b"@0", b"@99999999999", b"step:", b" - ", b"np.float64(", b"__MIN", b"*a",
    b"&a", b"!!python/object:x.y", b"010", b"1:30", b"%", b"<<: *a", b"? ", b"# ", b"~", b"\\", b"\\boxed{",
]  # fmt: skip
"""Words that readers have stumbled over."""

_PLACE = st.floats(0, 1, exclude_max=True)
_EDIT = st.one_of(
    st.tuples(st.just("put"), _PLACE, st.sampled_from(WORDS)),
    st.tuples(st.just("put"), _PLACE, st.binary(max_size=4)),
    st.tuples(st.just("instead"), _PLACE, st.sampled_from(WORDS)),
    st.tuples(st.just("cut"), _PLACE, _PLACE),
    st.tuples(st.just("twice"), _PLACE, _PLACE),
    st.tuples(st.just("flip"), _PLACE, st.integers(1, 255)),
    st.tuples(st.just("end"), _PLACE, st.none()),
)


def damaged(samples: list[bytes]) -> st.SearchStrategy[bytes]:
    """One of the samples with a few edits, or a few bytes of no sense."""
    edited = st.builds(_edit, st.sampled_from(samples), st.lists(_EDIT, min_size=1, max_size=5))
    return st.one_of(edited, edited, edited, st.binary(max_size=60))


def _edit(raw: bytes, edits: list[tuple[str, float, Any]]) -> bytes:
    for kind, place, what in edits:
        at = int(place * len(raw))
        if kind == "put":
            raw = raw[:at] + what + raw[at:]
        elif kind == "instead":  # of a whole word or number
            end = next((i for i in range(at, len(raw)) if raw[i : i + 1] in b',:{}[] \n\t"'), len(raw))
            raw = raw[:at] + what + raw[end:]
        elif kind == "cut":
            raw = raw[:at] + raw[at + int(what * 40) :]
        elif kind == "twice":
            raw = raw[:at] + 2 * raw[at : at + int(what * 80)] + raw[at + int(what * 80) :]
        elif kind == "flip" and raw:
            raw = raw[:at] + bytes([raw[at] ^ what]) + raw[at + 1 :]
        elif kind == "end":
            raw = raw[:at]
    return raw


_PIECES = [
    "\\boxed{", "\\boxed {", "{", "}", "\\{", "\\}", "\\", "\\fbox{", "<think>", "</think>", "$", "\\(", "\\)", "\\[",
    "\\]", "\\frac{1}{2}", "\\sqrt{", "^", "_", "x", "1", "0.5", "1e999", "9" * 60, "(A)", "A", "B.", "\\text{ B}",
    "=", ",", ";", " ", "\n", "\0", "\ud800", "\u202e", "\x1b[2J", "é", "∞", "\\infty", "1/0", "10^10^10",
    "\\begin{pmatrix}", "&", "\\\\", "\\end{pmatrix}", "[1, 2]", "{1, 2}", "%", "the answer is", "Final answer:",
    "\\left(", "\\right)", "sin", "log", "!",
]  # fmt: skip


def texts(most: int = 25) -> st.SearchStrategy[str]:
    """Responses: pieces of LaTeX and of tags in any order, and any characters between."""
    anything = st.text(st.characters(), max_size=6)
    return st.lists(st.one_of(st.sampled_from(_PIECES), anything), max_size=most).map("".join)
