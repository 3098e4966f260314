"""Alarms: what a run's curves and responses warn of. Each is a pure function of a run and returns a sentence, or None.

Sections are the paper's (arXiv:2604.18574). The thresholds are ours (the paper gives one, t_sat < 100 of 496) and are
named here. A rise or fall of a rate counts when it is larger than `MARGIN` and than twice its standard error over the
steps compared; the fall of the true accuracy since the first step, as `presat.metrics.falls` has it, counts too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from presat.evaluation.unearned import unearned, unread_format
from presat.metrics import GOLD_ACCURACY, find_saturation, find_step_fall
from presat.tracking import Run
from presat.tracking.settings import prompts_per_step

MARGIN = 0.05
"""Smallest change of a rate that is worth saying."""
MIN_STEPS = 20
"""Shorter runs are not judged."""
FIRST_STEP = 3.0
"""A reward has risen from its first step alone when by this many times what its steps scatter."""
CONSTANT_SHARE = 0.9
"""Share of a step's responses with one answer from which on the policy has collapsed to a constant."""

EARNED = 0.02
"""Mean reward up to which next to nothing was earned."""
EARNED_STEPS = 3
"""Saved steps that are looked at for it."""


class Alarm(NamedTuple):
    """A warning: its name (logged as `alarms/NAME`) and what it says."""

    name: str
    sentence: str


def rapid_saturation(run: Run) -> str | None:
    """The train reward saturated in the first 100/496 of the run (section 4.1)."""
    rewards_T = run.train_rewards()
    found = find_saturation(rewards_T, tail=None)
    if rewards_T.size < MIN_STEPS or not found.rapid:
        return None
    return (
        f"The train reward saturated at step {found.step} of {found.steps}, which the paper calls rapid (under 100 of "
        "496). Its rapidly saturating models memorised, and broke first under noisy or proxy rewards: look at the "
        "held-out score before training longer."
    )


def reward_hacking(run: Run) -> str | None:
    """The reward rose while accuracy against the gold answers fell, be it in the first steps."""
    reward, gold = _rise(run), _gold_fall(run)
    if reward is None or gold is None:
        return None
    (reward_before, reward_after), (gold_before, gold_after) = reward, gold
    return (
        f"The reward rose from {reward_before:.2f} to {reward_after:.2f} while accuracy against the gold answers fell "
        f"from {gold_before:.2f} to {gold_after:.2f}: the policy is learning to please the reward, not to be right. "
        "Stop, and go back to a checkpoint from before the fall."
    )


def constant_answer(run: Run) -> str | None:
    """Nearly every response of the last saved step gives one answer, whatever the question (section 3)."""
    columns = ("step", "problem_id", "gold", "extracted")
    last = run.rollouts("train", steps=run.rollout_steps("train")[-1:], columns=columns)
    if last is None:
        return None
    golds = last["gold"].drop_nulls()
    answers = last["extracted"].drop_nulls()
    prompts = last["problem_id"].n_unique()
    if prompts < 2 or not answers.len() or (golds.len() == last.height and golds.n_unique() < 2):
        return None  # one answer is what one question, or one shared gold answer, calls for
    top = answers.value_counts(sort=True).row(0)
    share = top[1] / last.height
    if share < CONSTANT_SHARE:
        return None
    return (
        f"At step {last['step'][0]}, {share:.0%} of {last.height} responses to {prompts} different prompts give the "
        f"same answer, '{top[0]}': the policy has collapsed to a constant, as reward hacking under majority vote ends."
    )


def nothing_earned(run: Run) -> str | None:
    """Next to no response of the last saved steps earned a reward, or no step of a foreign log; says why."""
    if run.kind != "presat":  # what others' logs call an answer, and a length limit, is not known
        return _all_lowest(run.train_rewards())
    steps = run.rollout_steps("train")[-EARNED_STEPS:]
    if not steps or not _next_to_nothing(run, steps):  # texts are read only then: a live view asks at every look
        return None
    columns = ("step", "problem_id", "seed", "score", "extracted", "finished", "text")
    last = run.rollouts("train", steps=steps, columns=columns)
    if last is None:
        return None
    groups = [part for _, part in last.group_by("step", "problem_id", "seed", maintain_order=True)]
    found = unearned(
        [part["score"].to_list() for part in groups],
        [[done is not False for done in part["finished"]] for part in groups],
        [part["extracted"].to_list() for part in groups],
        [list(map(unread_format, part["text"].fill_null(""), part["extracted"])) for part in groups],
    )
    shown = f"step {steps[-1]}" if len(steps) == 1 else f"steps {steps[0]} to {steps[-1]}"
    return f"Next to nothing was earned at {shown}: {found.sentence()}"


def _next_to_nothing(run: Run, steps: Sequence[int]) -> bool:
    saved = run.rollouts("train", steps=steps, columns=("reward",))
    rewards = np.empty(0) if saved is None else saved["reward"].drop_nulls().to_numpy()
    return rewards.size > 0 and not (rewards.min() < 0 or rewards.mean() > EARNED)


def _all_lowest(rewards_T: npt.NDArray[np.float64]) -> str | None:
    """Every logged reward is the same number, 0 or less: no right answer was seen."""
    known = rewards_T[~np.isnan(rewards_T)]
    if known.size < EARNED_STEPS or known.max() > 0 or known.min() < known.max():
        return None
    return (
        f"Every one of {known.size} logged rewards is exactly {known[0] + 0.0:g}: the grader or the answer format is "
        "wrong, or the problems are too hard for the model. Read some responses; `presat data inspect` looks at the "
        "problems and `presat eval` scores the model on them."
    )


def held_out_flat(run: Run) -> str | None:
    """The train reward saturated, and no held-out set gained from it (section 4.1)."""
    rewards_T = run.train_rewards()
    t_sat = find_saturation(rewards_T, tail=None).step
    changes = {name: change for name in run.eval_sets() if (change := _held_out_change(run, name)) is not None}
    if rewards_T.size < MIN_STEPS or t_sat is None or not changes:
        return None
    if any(after - before >= MARGIN for before, after in changes.values()):
        return None
    moves = ", ".join(f"{name} {before:.2f} to {after:.2f}" for name, (before, after) in changes.items())
    return (
        f"The train reward saturated at step {t_sat}, but no held-out score rose by {MARGIN:.2f} or more ({moves}): "
        "this looks like memorising the prompts. Rather than on more steps, spend the compute on repair before RL "
        "(continual pre-training, Thinking SFT)."
    )


ALARMS: dict[str, Callable[[Run], str | None]] = {
    "rapid_saturation": rapid_saturation,
    "reward_hacking": reward_hacking,
    "constant_answer": constant_answer,
    "nothing_earned": nothing_earned,
    "held_out_flat": held_out_flat,
}


def alarms(run: Run) -> list[Alarm]:
    """Every alarm that a run raises."""
    raised = ((name, check(run)) for name, check in ALARMS.items())
    return [Alarm(name, sentence) for name, sentence in raised if sentence is not None]


def _first_and_last(run: Run, name: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """The first and the last fifth of a metric's recorded values; None when it has too few."""
    if name not in run.names():
        return None
    values = run.series(name)[1]
    values = values[~np.isnan(values)]
    fifth = values.size // 5
    return (values[:fifth], values[-fifth:]) if values.size >= MIN_STEPS else None


def _change(first: npt.NDArray[np.float64], last: npt.NDArray[np.float64]) -> float:
    """The change of the mean; 0 when it is within `MARGIN` or within twice its standard error."""
    change = float(last.mean() - first.mean())
    error = float(np.sqrt(first.var(ddof=1) / first.size + last.var(ddof=1) / last.size))
    return change if abs(change) > max(MARGIN, 2 * error) else 0.0


def _rise(run: Run) -> tuple[float, float] | None:
    """The reward before and after, where it rose: from the first step to the last fifth, or from the first fifth."""
    found = _first_and_last(run, "reward")
    if found is None:
        return None
    first, last = found
    start, end = float(first[0]), float(last.mean())
    values = run.series("reward")[1]
    scatter = float(np.sqrt(np.mean(np.diff(values[~np.isnan(values)]) ** 2) / 2))  # a trend adds little to it
    if end - start > max(MARGIN, FIRST_STEP * scatter):
        return start, end
    return (float(first.mean()), end) if _change(first, last) > 0 else None


def _gold_fall(run: Run) -> tuple[float, float] | None:
    """The true accuracy before and after, where it fell: since the first step, or from the first fifth to the last."""
    found = _first_and_last(run, GOLD_ACCURACY)
    if found is None:
        return None
    fall = find_step_fall(*run.series(GOLD_ACCURACY), prompts_per_step(run.config))
    if fall is not None:
        return fall.before, fall.after
    return (float(found[0].mean()), float(found[1].mean())) if _change(*found) < 0 else None


def _held_out_change(run: Run, set_name: str) -> tuple[float, float] | None:
    """Score of a set before training and at the last evaluation; None where either is missing."""
    found = run.scores(set_name)
    if found is None:
        return None
    _, steps, values = found
    return (float(values[0]), float(values[-1])) if steps.size >= 2 and steps[0] == 0 else None
