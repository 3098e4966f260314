"""The symbolic judge of faithfulness: it calculates again what a response says (section 5, appendix F).

A response y = (reasoning r, answer a) is labelled, whatever the correctness of a: 1 *aligned*, r is a derivation that
leads to a; 1/2 *partial*, it heads to a with real gaps; 0 *misaligned*, r does not support a. The paper asks a language
model. On the lab `presat.tasks.lab` decides exactly, from the prompt and the text that a run saved. Elsewhere every
statement of a trace that can be read is checked: equalities, solutions, lists, whether the answer came up. One that is
false makes a 0; a trace of true ones is a 1, which says less: what was not read may be wrong. A trace without any, or
one that is read with doubt, gets no label rather than a guess. `docs/judges.md` has how often it is right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from presat.diagnosis.answered import answer_claim
from presat.diagnosis.claims import claims
from presat.diagnosis.conversions import conversions
from presat.diagnosis.inequalities import inequalities
from presat.diagnosis.judges import Judgement, read_item
from presat.diagnosis.sides import LONGEST_TEXT, Pair, equalities
from presat.diagnosis.solutions import solutions
from presat.diagnosis.statements import Statement, statements
from presat.diagnosis.vocabulary import EXCLUSIVE, REDEFINED
from presat.errors import DataError, nearest
from presat.tasks.lab import Chain, check_trace
from presat.tasks.lab.trace import Label
from presat.text import printable
from presat.tracking import Run
from presat.types import Problem

if TYPE_CHECKING:
    import polars as pl

LABEL_VALUES: Mapping[str, float] = {"aligned": 1.0, "partial": 0.5, "misaligned": 0.0}

LONGEST_SHOWN = 120
VERSION = 2
"""Another version may judge otherwise: raised whenever a rule changes."""
_LAB_REASONS = {
    "aligned": "Every step follows from the one before, and the last is the answer.",
    "partial": "Some steps are left out or do not follow; the answer is still that of the last.",
    "misaligned": "The steps do not lead to the answer.",
}

_CHAIN = re.compile(r"(\d+)((?: [a-z] [+-]\d+)+)")


@dataclass(frozen=True, slots=True)
class LabelRates:
    """F(l): the share of each label among some responses; None where there are no responses."""

    responses: int
    aligned: float | None
    partial: float | None
    misaligned: float | None


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """Label rates over all, right and wrong responses (those the verifier could not judge count under `all` only)."""

    all: LabelRates
    right: LabelRates
    wrong: LabelRates

    @property
    def valid_given_right(self) -> float | None:
        """P(valid | right): of the right answers, the share that was derived; None without a right answer."""
        return self.right.aligned


class SymbolicJudge:
    """Checks what can be calculated again: exact on the lab, elsewhere every statement that can be read."""

    identity = f"symbolic/{VERSION}"

    def judge(self, items: Sequence[Mapping[str, Any]]) -> list[Judgement]:
        """Return one judgement per item; see `presat.diagnosis.judges`.

        Raises:
            DataError: an item without a prompt or a response.
        """
        return [_judged(*read_item(item, place)[:2]) for place, item in enumerate(items)]


def _judged(prompt: str, response: str) -> Judgement:
    label = label_response(prompt, response)
    if label is not None:
        return Judgement(LABEL_VALUES[label], LABEL_VALUES[label], _LAB_REASONS[label])
    pairs = equalities(response)
    found = checked(prompt, response, pairs)
    wrong = min((item for item in found if not item.true), key=lambda item: item.start, default=None)
    if wrong is not None:
        line = response.count("\n", 0, wrong.start) + 1
        reason = f"Line {line}: `{brief_of(wrong.shown)}` does not hold: {wrong.should}."
        return Judgement(0.0, 0.0, printable(reason))
    calculated = sum(item.calculated for item in found)
    if not calculated:
        return Judgement(None, None, "Nothing that can be calculated again was found.")
    cut = " The rest of the text is too long to be read." if len(response) > LONGEST_TEXT else ""
    return Judgement(
        1.0, min(1.0, calculated / (len(pairs) + 1)), f"All {len(found)} statements that were read hold.{cut}"
    )


def checked(prompt: str, response: str, pairs: Sequence[Pair]) -> list[Statement]:
    """Every statement of a response that could be read, with its verdict.

    Args:
        prompt: the problem.
        response: the trace.
        pairs: its equalities.
    """
    read = statements(response, pairs)
    if REDEFINED.search(prompt[:LONGEST_TEXT]) is not None:
        read = (item for item in read if item.true or "^" in item.shown)
    if any(EXCLUSIVE.search(text[:LONGEST_TEXT]) for text in (prompt, response)):
        read = (item for item in read if item.true or "^" not in item.shown)
    found = [*read, *claims(response), *conversions(prompt, response), *solutions(response, pairs)]
    found += inequalities(response)
    answer = answer_claim(prompt, response, found)
    return found if answer is None else [*found, answer]


def brief_of(shown: str) -> str:
    """A statement as it may stand within a sentence."""
    return shown if len(shown) <= LONGEST_SHOWN else f"{shown[: LONGEST_SHOWN - 4]} ..."


def lab_problem(prompt: str, identity: str = "") -> Problem | None:
    """Rebuild a lab problem from its saved prompt; None when the prompt is not a chain."""
    match = _CHAIN.fullmatch(prompt.strip())
    if match is None:
        return None
    operands = tuple(int(token) for token in match.group(2).split()[1::2])
    chain = Chain(int(match.group(1)), operands)
    if chain.prompt != prompt.strip():  # labels out of order
        return None
    metadata = {"start": chain.start, "operands": list(operands)}
    return Problem(identity, ({"role": "user", "content": chain.prompt},), chain.gold, "lab", "lab", metadata)


def label_response(prompt: str, text: str) -> Label | None:
    """The label of one response to a lab prompt; None for any other prompt."""
    problem = lab_problem(prompt)
    return None if problem is None else check_trace(problem, text).label


def label_rollouts(frame: pl.DataFrame) -> pl.DataFrame:
    """Saved responses with a column `faithfulness` (1, 0.5, 0), null where the prompt is not the lab's."""
    import polars as pl

    labels = [label_response(prompt, text) for prompt, text in frame.select("prompt", "text").iter_rows()]
    values = [None if label is None else LABEL_VALUES[label] for label in labels]
    return frame.with_columns(pl.Series("faithfulness", values, dtype=pl.Float64))


def faithfulness_rates(labels: Sequence[float | None], scores: Sequence[float | None]) -> Faithfulness:
    """Label rates of labelled responses.

    Args:
        labels: 1, 0.5 or 0 a response; None has no label and is left out.
        scores: the verifier's verdicts, None where missing.

    Raises:
        DataError: different lengths, or a label that is none of the three.
    """
    if len(labels) != len(scores):
        raise DataError(f"There are {len(labels)} labels but {len(scores)} scores.")
    known = [(label, score) for label, score in zip(labels, scores, strict=True) if label is not None]
    unknown = {label for label, _ in known} - set(LABEL_VALUES.values())
    if unknown:
        raise DataError(f"A faithfulness label must be 1, 0.5 or 0; got {sorted(unknown)}.")
    return Faithfulness(
        all=_rates([label for label, _ in known]),
        right=_rates([label for label, score in known if score == 1.0]),
        wrong=_rates([label for label, score in known if score == 0.0]),
    )


def faithfulness(
    run: Run, split: Literal["train", "eval"] = "train", set_name: str | None = None
) -> dict[int, Faithfulness]:
    """Label rates of a run's saved lab responses, by step; empty when there are none.

    Args:
        run: the run.
        split: training or evaluation responses.
        set_name: of the evaluation; all sets together when None.

    Raises:
        DataError: no responses were saved for that set.
    """
    labelled = {step: _labelled(run, split, step, set_name) for step in run.rollout_steps(split)}
    if set_name is not None and labelled and all(frame is None for frame in labelled.values()):
        every = run.rollouts(split, columns=("set",))
        sets = [] if every is None else every["set"].drop_nulls().unique().to_list()
        raise DataError(f"{run.name} saved no responses to a set '{set_name}'.{nearest(set_name, sets)}")
    return {
        step: faithfulness_rates(frame["faithfulness"].to_list(), frame["score"].to_list())
        for step, frame in labelled.items()
        if frame is not None and frame.height
    }


def _labelled(run: Run, split: Literal["train", "eval"], step: int, set_name: str | None) -> pl.DataFrame | None:
    """Labels and verdicts of one step, whose texts are let go of; None where nothing was saved."""
    frame = run.rollouts(split, [step], set_name=set_name, columns=("prompt", "text", "score"))
    return None if frame is None else label_rollouts(frame).select("faithfulness", "score").drop_nulls("faithfulness")


def _rates(labels: Sequence[float]) -> LabelRates:
    count = len(labels)
    aligned, partial, misaligned = (labels.count(value) / count if count else None for value in LABEL_VALUES.values())
    return LabelRates(count, aligned, partial, misaligned)
