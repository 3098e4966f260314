"""Rows that are no problems of text with an answer: code, which nothing here runs, and what goes with images.

Read as mathematics, a right program is compared with a list of tests and earns nothing; without its image a question
cannot be answered. Such rows are refused, all together and with counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from presat.errors import DataError
from presat.tasks.turns import holds
from presat.text import printable

_TESTS = (
    "test_cases", "tests", "test_list", "unit_tests", "entry_point", "input_output", "public_tests", "private_tests",
    "generated_tests", "public_test_cases", "private_test_cases",
)  # fmt: skip
_SHOWN = ("image", "images", "video", "videos", "audio", "audios")
_CODE = re.compile(
    r"(?:^|[^a-z])(?:code|coding|codecontests|code_contests|codeforces|codechef|kodcode|livecodebench|humaneval|mbpp"
    r"|leetcode|taco|apps)(?:$|[^a-z])",
    re.IGNORECASE,
)
_INPUTS = re.compile(r'\s*\{\s*"(?:inputs|outputs|fn_name|functional|assert_case)"')


def unfit(row: Mapping[str, Any], answered: bool = False) -> str | None:
    """Return why a row is no problem of text with an answer: `code (field x)`, `images (field x)`; None if it is one.

    Args:
        row: the row.
        answered: whether its answer is known to be in a column that was named, whatever else it holds.
    """
    if (name := next((name for name in _SHOWN if holds(row.get(name))), None)) is not None:
        return f"{'images' if name.startswith('image') else name} (field `{name}`)"
    if answered:
        return None
    if (name := next((name for name in _TESTS if holds(row.get(name))), None)) is not None:
        return f"code (field `{name}`)"
    for name in ("data_source", "ability"):
        if isinstance(value := row.get(name), str) and _CODE.search(value):
            return f"code (`{name}` {printable(value)[:40]})"
    model = row.get("reward_model")
    gold = model.get("ground_truth") if isinstance(model, Mapping) else None
    return "code (tests as `ground_truth`)" if isinstance(gold, str) and _INPUTS.match(gold) else None


def refuse_unfit(source: str, found: Counter[str], rows: int, first: str) -> None:
    """Refuse a source with rows that are no problems of text.

    Args:
        source: its name.
        found: how many rows there are, by reason.
        rows: of so many.
        first: names the first of them.

    Raises:
        DataError: there are some.
    """
    if found:
        counts = ", ".join(f"{reason} {count}" for reason, count in found.most_common(6))
        raise DataError(
            f"{printable(source)}: {found.total()} of {rows} rows are no problems of text with an answer: {counts}. "
            f"presat runs no code, and shows a model text alone: leave such rows out. The first is {first}."
        )
