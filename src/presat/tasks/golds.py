r"""Gold answers: from what a row holds to the final answer as text.

A worked solution stands for the answer it states: in its boxes, in `<answer>` at its end, or in a last line `#### 72`
or `The answer is 72.` A list of several answers means that any of them is right, as verl's rewards read one; it stays
one text, a JSON list of strings, which the verifier takes apart again (`accepted`).
"""

from __future__ import annotations

import json
import math
import re
from numbers import Number
from typing import Any

from presat.answers.boxes import boxed_answer
from presat.answers.formats import read_answer
from presat.errors import DataError
from presat.text import brief

_SCIENTIFIC = re.compile(r"([+-]?[\d.]+)[eE]([+-]?\d+)")
_IN_LAST_LINE = ("hash", "line")
_LONGEST = 2000
"""Longer last lines state no answer."""


def unwrap_gold(text: str) -> str:
    """Return the answer inside a JSON list of strings (`["1156"]`), and any other text as it is.

    Every list in the published files holds one string. Any other list is left alone: `[1, 2]` may be an interval.
    """
    items = _json_list(text)
    return items[0].strip() if items is not None and len(items) == 1 and isinstance(items[0], str) else text


def accepted(gold: str) -> list[str]:
    """Return the answers that a gold one accepts: those in a JSON list of several strings, else the text itself."""
    items = _json_list(gold)
    several = items is not None and len(items) > 1 and all(isinstance(item, str) and item.strip() for item in items)
    return items if several and items is not None else [gold]


def _json_list(text: str) -> list[Any] | None:
    if not text.lstrip().startswith("["):
        return None
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return items if isinstance(items, list) else None


def final_answer(text: str) -> str:
    """Return the answer that a gold text states in one of the formats of responses; other text as it is."""
    whole = text.strip()
    if "\\boxed" in whole and (boxed := boxed_answer(whole)):
        return boxed
    if len(whole) <= _LONGEST and whole.lower().endswith("</answer>") and (tagged := read_answer(whole, "tag")):
        return tagged
    last = whole[whole.rfind("\n") + 1 :]
    if len(last) > _LONGEST:
        return text
    return next((said for form in _IN_LAST_LINE if (said := read_answer(last, form))), text)


def answer_text(value: Any) -> str | None:
    """Return an answer as it stands in a row as text (see `written`), the final answer alone; None where absent."""
    if isinstance(value, list) and len(value) > 1:
        texts = [answer_text(item) for item in value]
        return json.dumps([text for text in texts if text is not None], ensure_ascii=False)
    text = written(value)
    return None if text is None else final_answer(text)


def written(value: Any) -> str | None:
    r"""Return what a row holds as an answer as text; None for an absent or empty one.

    A list of one answer is that answer. Python writes small and large numbers as `1e-05`, which a reader of LaTeX takes
    for e - 5, Euler's number: they become `1 \times 10^{-5}`. Text stays as it is: `3e-1` may mean just that.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None or value != value:  # not a number: how tables mark what is absent
        return None
    text = unwrap_gold(value) if isinstance(value, str) else str(value)
    if not isinstance(value, str) and (found := _SCIENTIFIC.fullmatch(text)):
        text = f"{found[1]} \\times 10^{{{int(found[2])}}}"
    return text if text.strip() else None


def gold_of(value: Any, where: str, field: str) -> str | None:
    """Return the answer as `answer_text` has it, refused where it is none.

    Raises:
        DataError: a flag, an infinite number, a mapping, a list with one of these or with nothing in it.
    """
    items = value if isinstance(value, list) and value else [value]
    for item in items:
        if isinstance(
            item, bool
        ):  # a column that says whether a claim holds, or some other flag: only its author knows
            raise DataError(
                f"{where}: field '{field}' is {str(item).lower()}: write the answer as text, as it should be boxed."
            )
        if item is not None and not isinstance(item, str | Number):
            raise DataError(
                f"{where}: field '{field}' should hold an answer, as text or a number; it is {brief(item, 80)}."
            )
        if isinstance(item, float) and math.isinf(item):
            raise DataError(f"{where}: field '{field}' is infinite, which no answer is as a number: write it as text.")
        if len(items) > 1 and written(item) is None:
            raise DataError(f"{where}: field '{field}' is a list of answers, and one of them is empty.")
    return answer_text(value)
