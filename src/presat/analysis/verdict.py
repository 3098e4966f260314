"""A run in plain words, by rule, from numbers alone.

The rules, in order; the constants below are all there is to tune. "Rose" and "fell" mean: by at least `MIN_CHANGE`, and
with an interval (95%, over problems) that leaves out 0; where a run has no saved responses there is no interval, and a
change must be at least `MIN_CHANGE_BARE`. A *share* is a series that stays within 0 and 1.

1. No train reward was logged: **no verdict**. It ended at most `MIN_REWARD_RISE` above its start (where it is no share,
   so has no scale: not above it by more than its steps scatter): **did not train**, or **nothing to learn** where it
   started at `FULL` or above.
2. The true accuracy of the same responses was logged, did not rise, and ended at least `HACKING_GAP` below a reward
   that is a share; or it fell, by `MIN_CHANGE_BARE` at least and more than its steps scatter, under one that is none:
   **hacked its reward**. Under wrong labels this is what memorising them looks like.
3. A tenth or more of the evaluation set was trained on, and there is no other set: **trained on its test**.
   No evaluation before and after: **trained, not evaluated**. Held-out scores that are no shares: **no verdict**.
   In both cases a true accuracy that did not rise under a reward that is no share (a sum, one of whose parts it is)
   decides: **hacked its reward**.
   Scores that began at `FULL` or above and did not fall: **nothing to learn**.
4. The held-out score rose, and by its due:
   pass@k or greedy accuracy rose too: **learned** (**learned to reason** where traces are checked and those of right
   answers are mostly valid at the end, **learned without valid reasoning** where they are not);
   both were measured and neither rose, or one of them fell: **sharpened**, the samples moved to what the model could
   already do;
   otherwise: **improved**.
   Its due is `MIN_TRANSFER` of what the reward rose by (of what the true accuracy did, where the reward is no share),
   half of what was missing to 1 where that is less, and `MIN_CHANGE` at least.
5. It rose by less than its due: **mostly memorised**. It fell, or even the upper end of its interval is below its due:
   **memorised**.
6. Otherwise the evaluation is too small to tell by this score alone. If pass@k fell: **lost breadth**, for whatever the
   score did, fewer problems are solved by any of several samples; else **unclear**.

What has clearly fallen since the first step (`presat.analysis.collapse`) is said before all of this, with what to do
about it. Where it is the main set's score, the true accuracy, the train reward or the answer rate, and the verdict is
no good news: at least half of it gone is **collapsed**, whatever else was found; less is **got worse**, where the rules
found neither memorising nor hacking. Under a reward that rose, a true accuracy that fell is hacking (rule 2) however it
moved later.

Where only other sets fell and the verdict is good news, the label has both: **improved, and collapsed on aime24**,
which is bad news. Where only pass@k of the main set fell, the label says that too: **sharpened, and lost breadth**.

Where the best evaluation in between was clearly above the last one, that is said first (after what fell since the
first step), whatever the verdict (`presat.analysis.peak`). A label that is good news then ends in *then fell*; one of
rules 5 and 6 is **learned, then lost it** where the best was clearly above the first evaluation too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from presat.analysis.estimates import MIN_CHANGE, MIN_CHANGE_BARE, Change, direction, moved
from presat.analysis.numbers import BREADTH, BUT, MIN_REWARD_RISE, SINCE, RunSummary, SetSummary, Verdict
from presat.analysis.peak import Peak
from presat.metrics import is_share

if TYPE_CHECKING:
    from presat.analysis.collapse import Fall
    from presat.diagnosis import Alarm

FULL = 0.95
NOT_RISEN = "the train reward ended about where it began, or below"
"""Why a run that did not train has no t_sat."""
MIN_TRANSFER = 0.2
HACKING_GAP = 0.2
VALID_SHARE = 0.5
_SAY_WHY = ("hacked its reward", "memorised", "mostly memorised", "learned, then lost it")
"""Verdicts that say more of a fall than that there was one."""
_MAY_BE_FLAT = ("memorised", "mostly memorised", "lost breadth", "unclear", "no verdict", "trained, not evaluated")
"""Verdicts that a held-out score which gained nothing does not contradict."""
_NOT_KEPT = ("memorised", "mostly memorised", "lost breadth", "unclear")
"""What a first and a last evaluation look like where all that was gained in between is gone again."""


def judge(summary: RunSummary) -> Verdict:
    """Apply the rules of the module docstring."""
    verdict, item = _by_rule(summary), summary.main_set
    if item is not None and item.peak is not None and is_share(item.scores):
        verdict = _peak_first(verdict, item, item.peak)
    return _fallen_first(verdict, summary.falls, trained=summary.reward is not None) if summary.falls else verdict


def standing(alarms: Sequence[Alarm], verdict: Verdict, fallen: bool) -> list[Alarm]:
    """The alarms that a verdict leaves standing: none says another thing of the run than the verdict does.

    Args:
        alarms: those that were raised.
        verdict: the verdict, which looks at more than each of them.
        fallen: whether something has clearly fallen.
    """
    label = verdict.label.removesuffix(f"{BUT}{BREADTH}")
    flat = not fallen and label in _MAY_BE_FLAT
    rapid = not fallen and verdict.tone != "good" and label not in ("did not train", "nothing to learn")
    stands = {
        "held_out_flat": flat,
        "memorising": flat,
        "rapid_saturation": rapid,
        "reward_hacking": label in ("hacked its reward", "collapsed", "got worse"),
    }
    return [alarm for alarm in alarms if stands.get(alarm.name, True)]


def _fallen_first(verdict: Verdict, falls: Sequence[Fall], trained: bool) -> Verdict:
    """The verdict with what fell said first; see the module docstring for its label."""
    deciding = [fall for fall in falls if fall.kind not in ("other", "breadth")]
    others = [fall for fall in falls if fall.kind == "other"]
    label = verdict.label
    if deciding and verdict.tone not in ("good", "partly"):
        if any(fall.halved for fall in deciding):
            label = "collapsed"
        elif label not in _SAY_WHY:
            label = "got worse"
    elif not deciding and others and verdict.tone in ("good", "partly"):
        worst = max(others, key=lambda fall: fall.halved)
        label += f"{BUT}{'collapsed' if worst.halved else 'got worse'} on {worst.name}"
    elif not deciding and len(others) < len(falls) and label != BREADTH:
        label = BREADTH if label == "unclear" else f"{label}{BUT}{BREADTH}"
    said = [fall.sentence for fall in falls]
    if trained:
        said.append(min(falls, key=lambda fall: fall.step).advice)
    return Verdict(label, " ".join([*said, verdict.sentence]))


def did_not_train(reward: Change, share: bool) -> bool:
    """Whether a reward did not rise and had not begun at the top (rule 1).

    Its highest step is then a lucky batch, or was lost again: neither is a saturation, so it has no t_sat either.

    Args:
        reward: its first and last steps.
        share: whether all its steps lie within 0 and 1.
    """
    return _flat(reward, share) and not (share and reward.before >= FULL)


def _flat(reward: Change, share: bool) -> bool:
    if not share and reward.interval is not None:
        return reward.direction(0.0) <= 0
    size = 1.0 if share else max(abs(reward.before), abs(reward.after))  # of single steps nothing better is known
    return reward.difference <= MIN_REWARD_RISE * size


_UNSEEN = "no held-out score before and after says more"


def _by_rule(summary: RunSummary) -> Verdict:
    reward = summary.reward
    if reward is None:
        return Verdict("no verdict", f"No train reward was logged{_instead(summary)}.")
    share = summary.reward_is_share
    return (
        _by_reward(reward, share, summary)
        or _by_gold(reward, summary.gold, share, next((fall for fall in summary.falls if fall.kind == "gold"), None))
        or _by_shared(summary.main_set, summary.tainted, reward)
        or _by_part(summary.main_set, reward, None if share else summary.gold)
        or _by_held_out(summary.main_set, reward, reward if share else summary.gold)
    )


def _instead(summary: RunSummary) -> str:
    """What a run without a reward has: a loss, or scores."""
    if summary.loss:
        return f"; the loss went from {summary.loss.before:.3g} to {summary.loss.after:.3g}"
    item = summary.main_set
    return f"; {item.metric} on {item.name} is {item.headline.after:.2f}" if item else ""


def _by_reward(reward: Change, share: bool, summary: RunSummary) -> Verdict | None:
    """Rule 1."""
    if not _flat(reward, share):
        return None
    item = summary.main_set
    held_out = "" if item is None else f"; {_went(item)}"
    if not did_not_train(reward, share):
        return Verdict("nothing to learn", f"The train reward was {reward.before:.2f} from the start{held_out}.")
    went = f"The train reward went from {reward.before:.2f} to {reward.after:.2f} in {summary.steps} steps"
    return Verdict("did not train", f"{went}{held_out}.")


def _went(item: SetSummary) -> str:
    """Where a held-out score began and ended."""
    change = item.headline
    if item.first_step == item.last_step:
        return f"{item.metric} on {item.name} is {change.after:.2f}"
    since = f" at step {item.first_step}" if item.first_step else ""
    return f"{item.metric} on {item.name} went from {change.before:.2f}{since} to {change.after:.2f}"


def _by_gold(reward: Change, gold: Change | None, share: bool, fall: Fall | None) -> Verdict | None:
    """Rule 2."""
    if gold is None:
        return None
    if fall is not None:
        hacked, gold = True, fall.change
    elif share:
        hacked = direction(gold) <= 0 and reward.after - gold.after >= HACKING_GAP
    else:
        hacked = gold.interval is not None and gold.direction(MIN_CHANGE_BARE) < 0
    if not hacked:
        return None
    return Verdict(
        "hacked its reward",
        f"The reward rose from {reward.before:.2f} to {reward.after:.2f} while the true accuracy of the same responses "
        f"went from {gold.before:.2f} to {gold.after:.2f}.",
    )


def _by_shared(item: SetSummary | None, tainted: Sequence[str], reward: Change) -> Verdict | None:
    """Rule 3, its first half."""
    if item is None or item.name not in tainted:
        return None
    return Verdict(
        "trained on its test",
        f"The train reward rose from {reward.before:.2f} to {reward.after:.2f}, and {item.name} holds problems that "
        "were trained on: its score says nothing of problems that are new.",
    )


def _by_part(item: SetSummary | None, reward: Change, gold: Change | None) -> Verdict | None:
    """Rule 3 where a reward that is no share is all there is beside the true accuracy of the same responses."""
    evaluated = item is not None and item.first_step != item.last_step and is_share(item.scores)
    if gold is None or evaluated:
        return None
    sums = f"rose from {reward.before:.2f} to {reward.after:.2f}"
    went = f"the true accuracy of the same responses went from {gold.before:.2f} to {gold.after:.2f}"
    if direction(gold) > 0:
        return Verdict("trained, not evaluated", f"The train reward {sums} and {went}; {_UNSEEN}.")
    return Verdict("hacked its reward", f"The reward {sums}, the answers did not get better: {went}.")


def _by_held_out(item: SetSummary | None, reward: Change, trained: Change | None) -> Verdict:
    """Rules 3 to 6; `trained` is what the held-out score is measured against, None where nothing is comparable."""
    rose = f"the train reward rose from {reward.before:.2f} to {reward.after:.2f}"
    if item is None or item.first_step == item.last_step:
        return Verdict("trained, not evaluated", f"{_capital(rose)}; {_UNSEEN}.")
    change, held_out = item.headline, _went(item)
    if not is_share(item.scores):
        ending = (
            "scores outside 0 to 1 are no shares of right answers. If they are percentages, call the column an "
            "accuracy: `--columns SET/accuracy COLUMN` reads it as one"
        )
        return Verdict("no verdict", f"{_capital(rose)} and {held_out}; {ending}.")
    numbers = f"{_capital(rose)} and {held_out} ({moved(change)})"
    way, due = direction(change), _due(change, trained)
    if change.before >= FULL and way >= 0:
        return Verdict("nothing to learn", f"{numbers}: it was that high before training.")
    if way > 0:
        return _risen(item, numbers) if change.difference >= due else Verdict("mostly memorised", f"{numbers}.")
    highest = change.interval.high if change.interval is not None else change.difference
    if way < 0 or highest < due:
        return Verdict("memorised", f"{numbers}.")
    return _undecided(item, numbers)


def _due(change: Change, trained: Change | None) -> float:
    """The least rise of the held-out score that counts as following the reward (rule 4)."""
    transfer = MIN_TRANSFER * trained.difference if trained else 0.0
    return max(MIN_CHANGE, min(transfer, (1 - change.before) / 2))


def _risen(item: SetSummary, numbers: str) -> Verdict:
    """Rule 4: learning, sharpening, or not known which."""
    found = [entry for kind in ("greedy", "pass") if (entry := item.change(kind)) is not None]
    moves = ", ".join(f"{name} {change.before:.2f} to {change.after:.2f}" for name, change in found)
    moves = f"; {moves}" if moves else ""
    if any(direction(change) > 0 for _, change in found):
        label, ending = _reasoning(item)
        return Verdict(label, f"{numbers}{moves}{ending}.")
    if any(direction(change) < 0 for _, change in found):
        ending = "the samples moved to some of what the model could already do, and the rest was lost"
        return Verdict("sharpened", f"{numbers}{moves}: {ending}.")
    if len(found) == 2:
        ending = "the samples moved to what greedy decoding and the best of several already reached"
        return Verdict("sharpened", f"{numbers}{moves}: {ending}.")
    return Verdict("improved", f"{numbers}{moves}.")


def _undecided(item: SetSummary, numbers: str) -> Verdict:
    """Rule 6: what pass@k says where the headline score is too uncertain."""
    found = item.change("pass")
    if found is None or direction(found[1]) >= 0:
        return Verdict("unclear", f"{numbers}: the evaluation is too small to tell.")
    name, change = found
    numbers = f"{numbers}; {name} fell from {change.before:.2f} to {change.after:.2f} ({moved(change)})"
    return Verdict("lost breadth", f"{numbers}: fewer problems are solved by any of several samples.")


def _peak_first(verdict: Verdict, item: SetSummary, peak: Peak) -> Verdict:
    """The verdict with the best evaluation in between said first; see the module docstring for its label."""
    label = verdict.label
    if verdict.tone in ("good", "partly"):
        label += SINCE
    elif peak.rose and label in _NOT_KEPT:
        label = "learned, then lost it"
    return Verdict(label, f"{peak.sentence(f'{item.metric} on {item.name}')} {verdict.sentence}")


def _reasoning(item: SetSummary) -> tuple[str, str]:
    """Whether right answers come with valid traces, where that was checked."""
    found = item.change("valid_given_right")
    if found is None:
        return "learned", ""
    share = found[1].after
    ending = f"; {share:.0%} of the right answers have a valid trace"
    return ("learned to reason" if share >= VALID_SHARE else "learned without valid reasoning"), ending


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
