r"""Math-Verify, called one answer at a time: what a worker process runs for a math problem.

The gold answer is read as LaTeX in a box; the response as expressions or LaTeX, which is how the paper's release scores
(section 3, Math and Science). In mode `boxed` Math-Verify sees only the content of the last box, in mode `any` the
whole response with its own fallbacks. Math-Verify's time-outs are off: they work by signals in a main thread; the
worker that runs this is killed instead.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import Any

from math_verify import parse, verify
from math_verify.parser import ExprExtractionConfig, LatexExtractionConfig

from presat.answers.intervals import interval_pair
from presat.answers.normal import LONGEST, normal_form
from presat.answers.scales import multiplied_out
from presat.answers.units import bare, quantities
from presat.verify.kinds import same_in_kind
from presat.verify.refusals import refuse_text, refuse_unread, refuse_values

Verdict = tuple[float | None, str | None, str | None]

UNPARSABLE_GOLD = "unparsable gold answer"
NO_ANSWER = "no answer found"

_KEPT = 4096
_AGREED: dict[tuple[int | str, ...], tuple[list[Any], list[Any], bool]] = {}
_WHOLE = re.compile(r"-?[1-9][0-9]{0,14}|0")
_GOLD_TARGETS = (LatexExtractionConfig(),)
_ANSWER_TARGETS = (ExprExtractionConfig(), LatexExtractionConfig())
logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its time-outs are off, which is on purpose


@lru_cache(maxsize=_KEPT)
def _read_gold(gold: str) -> list[Any]:
    return parse(f"\\boxed{{{gold}}}", _GOLD_TARGETS, parsing_timeout=None)  # pyright: ignore[reportArgumentType]


def _read_answer(text: str) -> list[Any]:
    return parse(text, _ANSWER_TARGETS, parsing_timeout=None)  # pyright: ignore[reportArgumentType]


def compare(gold: str, answer: str, mode: str) -> Verdict:
    """Judge one answer; returns (value, extracted, reason) as in `Score`.

    Args:
        gold: the reference answer, without a box.
        answer: the answer the response states; in mode `any` the whole response.
        mode: `any`, Math-Verify's own reading and verdict; else ours.
    """
    if mode == "any":
        return _math_verify(gold, answer)
    if not _read_gold(gold) and not _read_gold(normal_form(gold)):
        return None, answer, UNPARSABLE_GOLD
    value, reason = same(gold, answer)
    return float(value), answer, reason


def same(gold: str, answer: str) -> tuple[bool, str | None]:
    """Whether an answer says what the gold one says, and why not where there is more to say than that."""
    if reason := refuse_unread(gold, answer):
        return False, reason
    if max(len(gold), len(answer)) > LONGEST:
        return _equal(gold, answer), None
    normal = normal_form(gold)
    pair = normal, normal_form(multiplied_out(bare(normal), gold, answer))
    if pair[0] == pair[1]:
        return True, None
    if all(_WHOLE.fullmatch(text) for text in pair):  # Math-Verify compares whole numbers as numbers
        return False, None
    if found := same_in_kind(gold, answer.strip().strip("$*"), pair, same):
        return found
    if reason := refuse_text(*pair):
        return False, reason
    if all(quantities(text) for text in pair):
        return True, None
    without = bare(pair[0]), bare(pair[1])
    for ours, theirs in dict.fromkeys((without, interval_pair(*pair) or without)):
        if ours == theirs:
            return True, None
        golds, answers = _read_gold(ours), _read_answer(f"\\boxed{{{theirs}}}")
        if golds and answers and verify(golds, answers, timeout_seconds=None):
            reason = refuse_values(golds, answers)
            return reason is None, reason
    return False, None


def _equal(gold: str, answer: str) -> bool:
    """Math-Verify's verdict on an answer as it stands."""
    golds, answers = _read_gold(gold), _read_answer(f"\\boxed{{{answer}}}")
    return bool(golds and answers and verify(golds, answers, timeout_seconds=None))


def _math_verify(gold: str, text: str) -> Verdict:
    """Math-Verify's verdict on a whole response: the paper's."""
    golds = _read_gold(gold)
    if not golds:
        return None, None, UNPARSABLE_GOLD
    answers = _read_answer(text)
    if not answers:
        return 0.0, None, NO_ANSWER
    return float(_agree(golds, answers)), str(answers[-1]), None


def _agree(golds: list[Any], answers: list[Any]) -> bool:
    """Math-Verify's verdict, found once for one reading: of equal answers in different responses it keeps one."""
    key = (id(golds), *(part if isinstance(part, str) else id(part) for part in answers))
    if key not in _AGREED:
        if len(_AGREED) >= _KEPT:
            _AGREED.clear()
        _AGREED[key] = golds, answers, verify(golds, answers, timeout_seconds=None)  # kept, so their ids stay theirs
    return _AGREED[key][2]


def extract(text: str) -> tuple[None, str | None, None]:
    """Read the final answer out of a response with Math-Verify's fallbacks; returns (None, answer, None)."""
    answers = _read_answer(text)
    return None, str(answers[-1]) if answers else None, None
