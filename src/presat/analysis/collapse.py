"""What a run has lost: a held-out score, true accuracy, train reward, share of answers or pass@k that clearly fell.

It is said before everything else, whatever the reward did. A score or an answer rate is compared with its first
evaluation, and a fall is clear

- by the paired interval over problems, where the responses of both evaluations are saved;
- else, where it is logged of how many problems the score is, by the interval of two independent shares of so many
  problems with one answer each, which is wider than the scatter of a mean over several answers can be;
- else when it is `BARE` or more, of pass@k `MIN_CHANGE_BARE`.

It fell *from step s on*: s is the first evaluation from which on all are clearly below the first one. The true accuracy
of the training responses is compared with that of the first step, and a train reward that is a share must have fallen
from its best to clearly below its first steps (`presat.metrics.falls`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from presat.analysis.estimates import (
    MEANS,
    MIN_CHANGE,
    MIN_CHANGE_BARE,
    Change,
    avg_of,
    by_problem,
    paired_change,
    pass_of,
    proportion_change,
)
from presat.metrics import GOLD_ACCURACY, find_drop, find_step_fall, is_share, k_of, metric_of
from presat.metrics.falls import BARE as STEP_BARE
from presat.tracking.evaluated import Evaluations, read_recorded
from presat.tracking.identity import differences
from presat.tracking.settings import prompts_per_step

if TYPE_CHECKING:
    from presat.tracking import Run
    from presat.tracking.run import FloatArray, IntArray

BARE = 0.1
"""A fall between two evaluations that is clear where nothing is known of their problems."""
ADVICE = (
    "Take a checkpoint from before step {step}, or the model as it came; for another run lower the learning rate, "
    "raise the KL weight, choose another reward, or stop before that step."
)
BoolArray = npt.NDArray[np.bool_]
OfProblem = Callable[[list[float]], float | None]
Rows = dict[str, list[float]]
"""Values of each problem's samples, by its id."""
Kind = Literal["main", "gold", "reward", "answers", "breadth", "other"]


@dataclass(frozen=True, slots=True)
class Fall:
    """Something that has clearly fallen since the first step or evaluation.

    Attributes:
        kind: the main set's score, the true accuracy, the train reward, the answer rate, the main set's pass@k, or the
            score of another set.
        what: what fell, in words.
        change: from first to last, with the interval it is clear by.
        first: the step of the first value.
        step: the first step from which on it was clearly lower.
        basis: what the interval rests on, or what counts as clear without one.
        name: the set whose score it is; empty where it is no score.
    """

    kind: Kind
    what: str
    change: Change
    first: int
    step: int
    basis: str
    name: str = ""

    @property
    def halved(self) -> bool:
        """Whether at least half of it is gone."""
        return self.change.after <= self.change.before / 2

    @property
    def sentence(self) -> str:
        """What fell, from which step on, and the numbers."""
        change = self.change
        moved = f"{round(change.difference, 2):+.2f}"
        if change.interval is not None:
            moved += f", 95% interval {change.interval.low:+.2f} to {change.interval.high:+.2f}"
        what = self.what[0].upper() + self.what[1:]
        return (
            f"{what} fell from {change.before:.2f} at step {self.first} to {change.after:.2f}, from step {self.step} "
            f"on ({moved}; {self.basis})."
        )

    @property
    def advice(self) -> str:
        """What to do about it."""
        return ADVICE.format(step=self.step)


def find_falls(run: Run) -> list[Fall]:
    """Everything a run has clearly lost: the main set's score, true accuracy, reward, answers, pass@k, then other sets.

    Raises:
        RunError: its saved responses, or the record of its evaluations, cannot be read.
    """
    main, recorded = run.held_out(), read_recorded(run.path) if run.path.is_dir() else {}
    own = []
    if main is not None:
        own = [_score_fall(run, main[0], "main", recorded), _answer_fall(run, main[0], recorded)]
        own += [] if own[0] else [_breadth_fall(run, main[0], recorded)]  # a score that fell says as much
    others = [name for name in run.held_out_sets() if main is None or name != main[0]]
    trained = gold_fall(run) or reward_fall(run)  # the reward may be that accuracy
    found = [*own[:1], trained, *own[1:], *(_score_fall(run, name, "other", recorded) for name in others)]
    return [fall for fall in found if fall is not None]


def gold_fall(run: Run) -> Fall | None:
    """The true accuracy of the training responses, if it has clearly fallen."""
    if GOLD_ACCURACY not in run.values:
        return None
    problems = prompts_per_step(run.config)
    found = find_step_fall(*run.series(GOLD_ACCURACY), problems)
    if found is None:
        return None
    bound = found.interval is not None
    basis = f"a bound from {problems} problems a step" if bound else f"no interval: a fall of {STEP_BARE:.2f} counts"
    change = Change(found.before, found.after, found.interval)
    return Fall("gold", "the true accuracy of the training responses", change, found.first, found.step, basis)


def reward_fall(run: Run) -> Fall | None:
    """The train reward, if it is a share and has fallen clearly below where it began."""
    drop = find_drop(run.train_rewards()) if run.reward_is_share() else None
    if drop is None or not drop.below_start:
        return None
    basis = f"no interval: a fall of {STEP_BARE:.2f} below the first steps counts"
    return Fall("reward", "the train reward", Change(drop.before, drop.after), drop.first, drop.step, basis)


def _score_fall(run: Run, name: str, kind: Kind, recorded: Evaluations) -> Fall | None:
    found = run.scores(name)
    return None if found is None else _metric_fall(run, name, kind, recorded, *found)


def _breadth_fall(run: Run, name: str, recorded: Evaluations) -> Fall | None:
    """pass@k of the largest k: the problems that some of several samples solve."""
    metrics = run.eval_metrics()[name]
    metric, headline = metric_of(metrics, "pass"), run.scores(name)
    if metric is None or headline is None or metric == headline[0]:
        return None
    steps, values = run.eval_series(name, metric)
    known = ~np.isnan(values)
    return _metric_fall(run, name, "breadth", recorded, metric, steps[known], values[known]) if known.any() else None


def _metric_fall(
    run: Run, name: str, kind: Kind, recorded: Evaluations, metric: str, steps: IntArray, scores_E: FloatArray
) -> Fall | None:
    if not is_share(scores_E):
        return None
    alike = _alike(recorded, name, steps)
    steps, scores_E = steps[alike], scores_E[alike]
    breadth = kind == "breadth"
    of_problem = pass_of(k_of(metric)) if breadth else avg_of
    saved, bare = breadth or metric.partition("@")[0] in MEANS, MIN_CHANGE_BARE if breadth else BARE

    def change(at: int) -> tuple[Change, str]:
        ends = int(steps[0]), int(steps[at])
        rows = [_judged(run, name, step) for step in ends] if saved else []
        problems = _problems(run, name, ends)
        return _compared(float(scores_E[0]), float(scores_E[at]), rows, problems, of_problem, bare)

    what = f"held-out {metric} on {name}"
    found = _fall(kind, what, steps.tolist(), lambda at: float(scores_E[at]), change, bare)
    return found and replace(found, name=name)


def _answer_fall(run: Run, name: str, recorded: Evaluations) -> Fall | None:
    """The share of a set's saved responses that an answer could be read from."""
    found = run.scores(name)
    if found is None:
        return None
    steps = found[1][_alike(recorded, name, found[1])].tolist()
    known: dict[int, Rows] = {}

    def rows(at: int) -> Rows:
        if at not in known:
            known[at] = _answered(run, name, steps[at])
        return known[at]

    def rate(at: int) -> float:
        return avg_of([avg_of(values) for values in rows(at).values()]) if rows(at) else math.nan

    def change(at: int) -> tuple[Change, str]:
        return _compared(rate(0), rate(at), [rows(0), rows(at)])

    return _fall("answers", f"the share of responses with an answer on {name}", steps, rate, change)


def _fall(
    kind: Kind,
    what: str,
    steps: list[int],
    value: Callable[[int], float],
    change: Callable[[int], tuple[Change, str]],
    bare: float = BARE,
) -> Fall | None:
    """The fall of a series of evaluations, looked at from its end as far back as it takes.

    Args:
        kind: what it is.
        what: the same in words.
        steps: the E steps of the evaluations.
        value: the value of one, by its place.
        change: from the first to that one, and what its interval rests on.
        bare: what is clear without an interval.
    """
    last = len(steps) - 1
    at = last
    # what did not fall is not read
    while at > 0 and value(0) - value(at) >= MIN_CHANGE and _clear(change(at)[0], bare):
        at -= 1
    if at == last:
        return None
    found, basis = change(last)
    return Fall(kind, what, found, steps[0], steps[at + 1], basis)


def _clear(change: Change, bare: float) -> bool:
    return -change.difference >= bare if change.interval is None else change.interval.high < 0.0


def _alike(recorded: Evaluations, name: str, steps: IntArray) -> BoolArray:
    """Which evaluations of a set were made like its last one; all where it is not recorded how."""
    own = recorded.get(name, {})
    last = own.get(str(steps[-1]), {})
    now = {key: value for key, value in last.items() if key != "model"}
    return np.array([not differences(own.get(str(step), {}), now) for step in steps.tolist()])


def _compared(
    before: float,
    after: float,
    rows: Sequence[Rows],
    problems: int | None = None,
    of_problem: OfProblem = avg_of,
    bare: float = BARE,
) -> tuple[Change, str]:
    """A change and what its interval rests on, by the first of the module's rules that applies."""
    if all(rows) and len(rows) == 2:
        found = paired_change(before, after, rows[0], rows[1], of_problem)
        if found.interval is not None:
            return found, f"paired over {found.problems} problems"
    if problems:
        found = proportion_change(before, after, problems)
        if found.interval is not None:
            return found, f"a bound from {problems} problems"
    return Change(before, after), f"no interval: a fall of {bare:.2f} counts"


def _problems(run: Run, name: str, steps: Sequence[int]) -> int | None:
    """How many problems the scores at these steps are over, the smallest number; None where it was not logged."""
    logged = run.values.get(f"eval/{name}/judged_problems", {})
    counts = [logged[step] for step in steps if not math.isnan(logged.get(step, math.nan))]
    return int(min(counts)) if len(counts) == len(steps) else None


def _judged(run: Run, set_name: str, step: int) -> Rows:
    """The scores of each problem's saved responses; empty where none are saved."""
    frame = run.rollouts("eval", [step], set_name=set_name, columns=("problem_id", "score"))
    return {} if frame is None else by_problem(frame)


def _answered(run: Run, set_name: str, step: int) -> Rows:
    """Of each problem's saved responses whether an answer was read from it, 1 or 0; empty where none are saved."""
    import polars as pl

    frame = run.rollouts("eval", [step], set_name=set_name, columns=("problem_id", "extracted"))
    if frame is None:
        return {}
    return by_problem(frame.with_columns(pl.col("extracted").is_not_null().alias("score")))
