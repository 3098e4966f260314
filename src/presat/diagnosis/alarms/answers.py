"""What the saved responses say: one answer to everything, answers nobody reads, nothing that earns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from presat.answers.formats import format_of, read_answer
from presat.diagnosis.alarms.kinds import Alarm
from presat.diagnosis.alarms.series import Curves
from presat.diagnosis.alarms.thresholds import CONSTANT_SHARE, EARNED, EARNED_STEPS, LEAST_GROUPS, UNREAD
from presat.evaluation.unearned import MANY, unearned, unread_format
from presat.text import listed

if TYPE_CHECKING:
    import polars as pl

_END = 2000
"""Characters at the end of a response in which its answer is looked for."""
_MOST_READ = 512
"""Responses of a step whose answers are read here, where the run did not save what it read."""


def constant_answer(curves: Curves) -> Alarm | None:
    """Nearly every response of the last saved step gives one answer, whatever the question (section 3)."""
    steps = curves.run.rollout_steps("train")
    last = _answers(curves, steps[-1]) if steps else None
    if last is None:
        return None
    golds = last["gold"].drop_nulls()
    answers = Counter(last["answer"].drop_nulls())
    prompts = last["problem_id"].n_unique()
    if prompts < 2 or not answers or (golds.len() == last.height and golds.n_unique() < 2):
        return None  # one answer is what one question, or one shared gold answer, calls for
    if not last["read"][0] and golds.len() < last.height and prompts < LEAST_GROUPS:
        return None  # a few questions may well have the same answer, and nothing says that these do not
    (top, count), step = answers.most_common(1)[0], steps[-1]
    share = count / last.height
    if share < CONSTANT_SHARE:
        return None
    sentence = (
        f"At step {step}, {share:.0%} of {last.height} responses to {prompts} different prompts give the "
        f"same answer, '{listed([top])}': the policy has collapsed to a constant, as reward hacking under majority "
        "vote ends."
    )
    return Alarm("constant_answer", sentence, "critical", _constant_since(curves, top, steps), {"share": share})


def _answers(curves: Curves, step: int) -> pl.DataFrame | None:
    """The answers of a step's responses as they were read, else as they are read here; `read` says which."""
    import polars as pl

    wanted = ("problem_id", "gold", "extracted")
    found = curves.run.rollouts("train", steps=[step], columns=wanted)
    if found is None or curves.run.kind == "presat" or found["extracted"].null_count() < found.height:
        return None if found is None else found.with_columns(answer="extracted", read=pl.lit(True))
    texts = curves.run.rollouts("train", steps=[step], columns=("problem_id", "gold", "text"))
    if texts is None:
        return None
    chosen = texts[:: -(-texts.height // _MOST_READ)]
    answers = [None if text is None else read_answer(text, "auto") for text in chosen["text"]]
    return chosen.with_columns(pl.Series("answer", answers, pl.String), read=pl.lit(False))


def answers_unread(curves: Curves) -> Alarm | None:
    """Most responses end without an answer that is read: the format asked for is not the one that is scored."""
    columns = ("step", "extracted", "finished", "text", "reward")
    last = curves.last_responses(columns, EARNED_STEPS)
    if last is None or last["extracted"].null_count() == last["text"].null_count() == last.height:
        return None
    if curves.run.kind != "presat" and last["extracted"].null_count() == last.height:
        return None  # others' logs do not say what was read
    whole = last.filter(last["finished"].fill_null(True))
    unread = whole.filter(whole["extracted"].is_null())
    if whole.height < last.height / 2 or unread.height < UNREAD * last.height:
        return None
    forms = Counter(form for text in unread["text"].drop_nulls() if (form := format_of(text[-_END:])) is not None)
    form, count = max(forms.items(), key=lambda item: item[1], default=("", 0))
    share = unread.height / last.height
    if count < MANY * last.height:  # a model that states no answer at all has more to learn than a format
        return None
    sentence = (
        f"Of {share:.0%} of the last saved responses no answer is read although they were finished; "
        f"{count / last.height:.0%} state one as `{form}`: the format "
        "that is asked for, or learned, is not the one that is scored."
    )
    first = curves.run.rollout_steps("train")[0]
    return Alarm("answers_unread", sentence, "critical", first, {"unread": share, "other_format": count / last.height})


def nothing_earned(curves: Curves) -> Alarm | None:
    """Next to no response of the last saved steps earned a reward, or no step of a foreign log; says why."""
    run = curves.run
    if run.kind != "presat":  # what others' logs call an answer, and a length limit, is not known
        return _all_lowest(run.train_rewards())
    steps = run.rollout_steps("train")[-EARNED_STEPS:]
    if not steps or not _next_to_nothing(curves):  # texts are read only then: a live view asks at every look
        return None
    last = curves.last_responses(("step", "problem_id", "seed", "score", "extracted", "finished", "text"), EARNED_STEPS)
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
    sentence = f"Next to nothing was earned at {shown}: {found.sentence()}"
    evidence = {
        "responses": found.responses,
        "cut_off": found.cut_off,
        "unread": found.unread,
        "all_wrong": found.all_wrong,
    }
    return Alarm("nothing_earned", sentence, "critical", _unpaid_since(curves), evidence)


def _next_to_nothing(curves: Curves) -> bool:
    saved = curves.last_responses(("reward",), EARNED_STEPS)
    rewards = np.empty(0) if saved is None else saved["reward"].drop_nulls().to_numpy()
    return rewards.size > 0 and not (rewards.min() < 0 or rewards.mean() > EARNED)


def _unpaid_since(curves: Curves) -> int | None:
    reward = curves.get("reward", 1)
    return None if reward is None else reward.since(reward.values <= EARNED)


def _all_lowest(rewards_T: npt.NDArray[np.float64]) -> Alarm | None:
    """Every logged reward is the same number, 0 or less: no right answer was seen."""
    known = rewards_T[~np.isnan(rewards_T)]
    if known.size < EARNED_STEPS or known.max() > 0 or known.min() < known.max():
        return None
    sentence = (
        f"Every one of {known.size} logged rewards is exactly {known[0] + 0.0:g}: the grader or the answer format is "
        "wrong, or the problems are too hard for the model. Read some responses; `presat data inspect` looks at the "
        "problems and `presat eval` scores the model on them."
    )
    return Alarm("nothing_earned", sentence, "critical", 1, {"reward": float(known[0])})


def _constant_since(curves: Curves, answer: str, steps: Sequence[int]) -> int:
    """The first of the saved steps, looked at by halves, from which on the answer is nearly everybody's."""
    low, high = 0, len(steps) - 1
    while low < high:
        middle = (low + high) // 2
        frame = _answers(curves, steps[middle])
        answers = [] if frame is None else frame["answer"].to_list()
        if answers and answers.count(answer) >= CONSTANT_SHARE * len(answers):
            high = middle
        else:
            low = middle + 1
    return int(steps[low])
