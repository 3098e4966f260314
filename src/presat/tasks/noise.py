"""Noisy rewards: which problems get a wrong label, and which label (arXiv:2604.18574, section 3).

The true answer stays beside the label as `original_ground_truth`, in `extra_info` where the row has one (a mapping or a
JSON string), as in the published files. It stands in every row, corrupted or not. So does the column `noise`.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from presat.errors import DataError
from presat.tasks.golds import answer_text
from presat.tasks.rows import extra_info, original_gold
from presat.types import Problem

ORIGINAL = "original_ground_truth"
NOISE_COLUMN = "noise"
"""Column that says what the wrong labels come from: {samples, model, extraction}."""


def corruption_order(count: int, seed: int) -> list[int]:
    """Return the order in which problems are corrupted: uniform, and the same for every gamma."""
    return random.Random(f"noise/{seed}").sample(range(count), count)


def wrong_labels(
    answers_G: Sequence[str | None], values_G: Sequence[float | None], classes_G: Sequence[int | None]
) -> list[str]:
    """Return the incorrect answers of one problem, the most frequent first; ties go to the one seen first.

    An incorrect answer is a class of equivalent ones of which none was judged right; its most frequent form stands for
    it. Answers whose verdict is missing count for nothing.

    Args:
        answers_G: final answers.
        values_G: their scores.
        classes_G: which of them say the same (see `presat.verify.equivalence`).
    """
    rows = list(zip(answers_G, values_G, classes_G, strict=True))
    right = {number for _, value, number in rows if value == 1.0}
    wrong = [(number, answer) for answer, value, number in rows if value == 0.0 and number not in {None, *right}]
    forms: dict[int | None, Counter[str]] = {}
    for number, answer in wrong:
        forms.setdefault(number, Counter())[str(answer)] += 1
    return [forms[number].most_common(1)[0][0] for number, _ in Counter(number for number, _ in wrong).most_common()]


def corrupted(problem: Problem, label: str) -> Problem:
    """Return the problem with `label` as its gold answer, the true one kept beside it."""
    return replace(keep_original(problem), gold=label)


def keep_original(problem: Problem) -> Problem:
    """Return the problem with its gold answer, as its row wrote it, kept as `original_ground_truth`."""
    metadata = dict(problem.metadata)
    reward_model = metadata.get("reward_model")
    written = reward_model.get("ground_truth") if isinstance(reward_model, Mapping) else None
    truth = written if answer_text(written) == problem.gold else problem.gold
    extra = metadata.get("extra_info")
    if isinstance(extra, str):
        metadata["extra_info"] = json.dumps({**extra_info(metadata), ORIGINAL: truth}, ensure_ascii=False)
    elif isinstance(extra, Mapping):
        metadata["extra_info"] = {**extra, ORIGINAL: truth}
    else:
        metadata[ORIGINAL] = truth
    return replace(problem, metadata=metadata)


def with_noise_note(problem: Problem, samples: int, model: str, extraction: str) -> Problem:
    """Return the problem with a note of what its set's wrong labels come from, in the column `noise`."""
    found = {"samples": samples, "model": model, "extraction": extraction}
    return replace(problem, metadata={**problem.metadata, NOISE_COLUMN: found})


def refuse_corrupted(problems: Sequence[Problem]) -> None:
    """Refuse problems whose label is not the true answer that stands beside it: noise on noise has no gamma.

    Raises:
        DataError: such problems; the message counts them and names the first.
    """
    noisy = [problem for problem in problems if (truth := original_gold(problem)) is not None and truth != problem.gold]
    if noisy:
        raise DataError(
            f"{len(noisy)} of {len(problems)} labels differ from the true answer kept beside them (the first: "
            f"{noisy[0].id}): this set is corrupted already. Start from the clean one."
        )
