"""Reasoning Gym's own scorers, exact: 1.0 only for a score of exactly 1 (section 3, Graph)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from presat.errors import VerifierError, nearest
from presat.tasks.gym import gym_factory

_ARROW = re.compile(r"\\(?:long)?(?:right)?arrow\b|\\to\b")
_WRAPPER = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|sc|tt|normal)?|math(?:rm|bf|it|sf|tt)|boldsymbol|bm|emph|mbox|underline|operatorname)"
    r"\s*\{([^{}]*)\}"
)
_DEPTH = 8
"""Most commands within commands that are read."""
_SPACING = re.compile(r"\\[,;:! ]|\\q?quad\b|~")
_TUPLES = ("arc_agi", "rearc")
"""Tasks whose scorers compare their `output` as tuples, which JSON and parquet turn into lists."""


def plain(answer: str) -> str:
    r"""Return the plain text of an answer written in LaTeX: `\text{A} \rightarrow \text{B}` is `A → B`.

    Reasoning Gym's scorers read plain text; Quantum Lock's, for one, would find the button A in `\rightarrow`.
    Text without LaTeX is only stripped of white space around it.
    """
    text = answer.strip()
    if "\\" in text or "$" in text:
        text = _SPACING.sub(" ", _ARROW.sub("→", text.replace("$", "")))
        for _ in range(_DEPTH):  # answers are hostile text: one that nests for ever is not read for ever
            text, replaced = _WRAPPER.subn(r"\1", text)
            if not replaced:
                break
    return text.strip()


@lru_cache(maxsize=256)
def scorer(task: str) -> Any:
    """Return the scoring function of a Reasoning Gym dataset.

    Raises:
        VerifierError: there is no dataset of that name.
    """
    factory = gym_factory()
    if task not in factory.DATASETS:
        raise VerifierError(
            f"Reasoning Gym has no task '{task}' to score an answer with.{nearest(task, factory.DATASETS)}"
        )
    return factory.get_score_answer_fn(task)


def judge(gold: str | None, answer: str, metadata: Mapping[str, Any], mode: str) -> tuple[float, str, None]:
    """Judge one answer with the scorer of `metadata["source_dataset"]`; returns (value, answer, None).

    Mode `any` gives the scorer the LaTeX as written, every other one plain text (see `plain`): the labels of the
    published noisy Graph sets show that the release does so. Some tasks (`rush_hour`) have no reference answer and
    judge by their metadata alone: their gold is None.
    """
    read = str.strip if mode == "any" else plain
    task, restored = str(metadata["source_dataset"]), dict(metadata)
    if task in _TUPLES and "output" in restored:
        restored["output"] = tuple(tuple(row) for row in restored["output"])
    entry = {"answer": None if gold is None else read(gold), "metadata": restored}
    score = float(scorer(task)(read(answer), entry))
    return float(score == 1.0), answer, None
