"""How reasoning and diversity change along a run: N prompts, K responses each, at some of its steps (appendix F).

Saved responses are read again; nothing is drawn. A training step holds a prompt of a small set several times: its
groups are taken together. An evaluation set made of the training prompts gives exactly N x K at every evaluation.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from presat.diagnosis.diversity import PathSimilarity, Similarity, cluster_responses
from presat.diagnosis.judges import TEXTS, TOKENS, Judge, item_of
from presat.diagnosis.symbolic import Faithfulness, faithfulness_rates
from presat.tasks.turns import asked_in

if TYPE_CHECKING:
    import polars as pl

    from presat.tracking import Run

PROMPTS, SAMPLES, MOMENTS = 8, 16, 9
"""The paper's N and K; and how many steps are looked at where none are named."""
_COLUMNS = ("problem_id", "seed", "sample", "score", *TEXTS, *TOKENS)


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of a run.

    Attributes:
        step: which.
        prompts: how many were looked at, at most N.
        responses: how many, at most N x K.
        judged: share of them that the judge could judge.
        faithfulness: label rates over all, right and wrong responses.
        diversity: mean over the prompts of the index of their responses; None where no response could be placed.
        right_diversity: likewise, of the right responses alone.
        faithful_diversity: likewise, of the aligned ones.
    """

    step: int
    prompts: int
    responses: int
    judged: float
    faithfulness: Faithfulness
    diversity: float | None
    right_diversity: float | None
    faithful_diversity: float | None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def moments(
    run: Run,
    judge: Judge,
    split: Literal["train", "eval"] = "train",
    set_name: str | None = None,
    steps: Sequence[int] | None = None,
    prompts: int = PROMPTS,
    samples: int = SAMPLES,
    similarity: Similarity | None = None,
) -> list[Moment]:
    """Judge the saved responses of some steps of a run; those whose text was not saved are left out.

    Args:
        run: the run.
        judge: of the reasoning.
        split: training or evaluation responses.
        set_name: of the evaluation; all sets together when None.
        steps: which; evenly spaced ones, the first and the last among them, when None.
        prompts: N, the first by id, the same at every step that has them.
        samples: K, the first of each.
        similarity: tells strategies apart; by their paths when None.

    Raises:
        RunError: saved responses cannot be read.
    """
    import polars as pl

    chosen = _spaced(run.rollout_steps(split, set_name)) if steps is None else list(steps)
    looked_at: list[tuple[int, list[_Group]]] = []
    for step in chosen:
        said = pl.col("text").is_not_null()  # of some logs only the rewards are saved, for all responses or a few
        frame = run.rollouts(split, [step], set_name=set_name, columns=_COLUMNS, where=said)
        if frame is not None and frame.height:
            looked_at.append((step, _groups(frame, prompts, samples)))
    items = [item for _, groups in looked_at for group in groups for item in group.items]
    labels = iter([judgement.label for judgement in judge.judge(items)])  # all at once: a server answers side by side
    return [
        _moment(step, groups, [[next(labels) for _ in group.items] for group in groups], similarity or PathSimilarity())
        for step, groups in looked_at
    ]


def _spaced(steps: Sequence[int]) -> list[int]:
    if len(steps) <= MOMENTS:
        return list(steps)
    return [steps[round(place * (len(steps) - 1) / (MOMENTS - 1))] for place in range(MOMENTS)]


@dataclass(frozen=True, slots=True)
class _Group:
    prompt: str
    items: list[dict[str, Any]]
    scores: list[float | None]

    @property
    def texts(self) -> list[str]:
        return [item["response"] for item in self.items]


def _groups(frame: pl.DataFrame, prompts: int, samples: int) -> list[_Group]:
    """The first K responses to each of the first N prompts."""
    found = []
    for identity in sorted(frame["problem_id"].unique())[:prompts]:
        rows = frame.filter(frame["problem_id"] == identity).sort("seed", "sample").head(samples).to_dicts()
        items = [item_of(row) for row in rows]
        found.append(_Group(_asked(rows[0]), items, [row["score"] for row in rows]))
    return found


def _asked(row: dict[str, Any]) -> str:
    """What the user said; of a run that saved no turns, the whole prompt."""
    return asked_in(row["messages"] or []) or row["prompt"]


def _moment(
    step: int, groups: Sequence[_Group], labels_PG: Sequence[Sequence[float | None]], similarity: Similarity
) -> Moment:
    labels = [label for row in labels_PG for label in row]

    def spread(wanted: list[list[bool]]) -> float | None:
        values = [
            cluster_responses(group.prompt, [t for t, kept in zip(group.texts, row, strict=True) if kept], similarity)
            for group, row in zip(groups, wanted, strict=True)
        ]
        known = [found.diversity for found in values if found.diversity is not None]
        return statistics.fmean(known) if known else None

    return Moment(
        step,
        len(groups),
        len(labels),
        sum(label is not None for label in labels) / len(labels),
        faithfulness_rates(labels, [score for group in groups for score in group.scores]),
        spread([[True] * len(row) for row in labels_PG]),
        spread([[score == 1.0 for score in group.scores] for group in groups]),
        spread([[label == 1.0 for label in row] for row in labels_PG]),
    )
