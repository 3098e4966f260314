"""Reasoning Gym's own scorers, exact: 1.0 only for a score of exactly 1 (section 3, Graph)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_ARROW = re.compile(r"\\(?:long)?(?:right)?arrow\b|\\to\b")
_WRAPPER = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|mathtt|texttt|operatorname)\s*\{([^{}]*)\}")
_SPACING = re.compile(r"\\[,;:! ]|\\q?quad\b|~")


def plain(answer: str) -> str:
    r"""Return the plain text of an answer written in LaTeX: `\text{A} \rightarrow \text{B}` is `A → B`.

    Reasoning Gym's scorers read plain text; Quantum Lock's, for one, would find the button A in `\rightarrow`.
    Text without LaTeX is only stripped of white space around it.
    """
    text = answer.strip()
    if "\\" in text or "$" in text:
        text = _SPACING.sub(" ", _ARROW.sub("→", text.replace("$", "")))
        while (unwrapped := _WRAPPER.sub(r"\1", text)) != text:
            text = unwrapped
    return text.strip()


@lru_cache(maxsize=256)
def scorer(task: str) -> Any:
    """Return the scoring function of a Reasoning Gym dataset.

    Raises:
        ValueError: there is no dataset of that name.
    """
    from reasoning_gym.factory import get_score_answer_fn

    return get_score_answer_fn(task)


def judge(gold: str, answer: str, metadata: Mapping[str, Any]) -> tuple[float | None, str | None, str | None]:
    """Judge one boxed answer with the scorer of `metadata["source_dataset"]`; returns (value, extracted, reason)."""
    entry = {"answer": plain(gold), "metadata": dict(metadata)}
    score = float(scorer(str(metadata["source_dataset"]))(plain(answer), entry))
    return (1.0, answer, None) if score == 1.0 else (0.0, answer, None)
