"""A run in plain words, by rule, from numbers alone.

The rules, in order; the constants below are all there is to tune. "Rose" and "fell" mean: by at least `MIN_CHANGE`, and
with an interval (95%, over problems) that leaves out 0; where a run has no saved responses there is no interval, and a
change must be at least `MIN_CHANGE_BARE`.

1. No train reward was logged: no verdict. It ended at most `MIN_REWARD_RISE` above its start: **did not train** (or
   **nothing to learn**, where it started above `FULL_REWARD`).
2. The responses' true accuracy was logged beside a proxy reward, did not rise, and ended at least `HACKING_GAP` below
   the reward: **hacked its reward**.
3. No evaluation before and after: **trained, not evaluated**.
4. The held-out score rose, and by at least `MIN_TRANSFER` of what the reward rose by:
   pass@k or greedy accuracy rose too: **learned** (**learned to reason** where traces are checked and those of right
   answers are mostly valid at the end, **learned without valid reasoning** where they are not);
   both were measured and neither rose: **sharpened**, the samples moved to what the model could already do;
   otherwise: **improved**.
5. The held-out score fell, or even the upper end of its interval is below `MIN_TRANSFER` of the reward's rise, or it
   rose by less than that: **memorised**.
6. Otherwise: **unclear**, the evaluation is too small to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from presat.report.estimates import Change

if TYPE_CHECKING:
    from presat.report.summary import RunSummary, SetSummary

MIN_CHANGE = 0.02
MIN_CHANGE_BARE = 0.05
MIN_REWARD_RISE = 0.05
FULL_REWARD = 0.95
MIN_TRANSFER = 0.2
HACKING_GAP = 0.2
VALID_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run did.

    Attributes:
        label: one of the module docstring's bold words.
        sentence: the label with the numbers it rests on.
    """

    label: str
    sentence: str

    @property
    def good(self) -> bool | None:
        """Whether held-out scores followed the reward; None where that is not known."""
        if self.label.startswith(("learned", "improved", "sharpened")):
            return self.label != "learned without valid reasoning"
        return False if self.label in ("memorised", "hacked its reward", "did not train") else None


def direction(change: Change) -> int:
    """1 rose, -1 fell, 0 neither, by the rule above."""
    return change.direction(MIN_CHANGE if change.interval is not None else MIN_CHANGE_BARE)


def judge(summary: RunSummary) -> Verdict:
    """Apply the rules of the module docstring."""
    return _by_reward(summary) or _by_gold(summary) or _by_held_out(summary)


def _by_reward(summary: RunSummary) -> Verdict | None:
    """Rule 1."""
    reward = summary.reward
    if reward is None:
        return Verdict("no verdict", "No train reward was logged, so there is nothing to compare held-out scores with.")
    if reward.difference > MIN_REWARD_RISE:
        return None
    if reward.before >= FULL_REWARD:
        return Verdict("nothing to learn", f"The train reward was {reward.before:.2f} from the start.")
    return Verdict(
        "did not train",
        f"The train reward went from {reward.before:.2f} to {reward.after:.2f} in {summary.steps} steps.",
    )


def _by_gold(summary: RunSummary) -> Verdict | None:
    """Rule 2."""
    gold, reward = summary.gold, summary.reward
    if gold is None or reward is None:
        return None
    if gold.difference > MIN_CHANGE or reward.after - gold.after < HACKING_GAP:
        return None
    return Verdict(
        "hacked its reward",
        f"The reward rose from {reward.before:.2f} to {reward.after:.2f} while the true accuracy of the same responses "
        f"went from {gold.before:.2f} to {gold.after:.2f}.",
    )


def _by_held_out(summary: RunSummary) -> Verdict:
    """Rules 3 to 6."""
    item, reward = summary.main_set, summary.reward
    assert reward is not None  # noqa: S101 (rule 1 came first)
    rose = f"the train reward rose from {reward.before:.2f} to {reward.after:.2f}"
    if item is None or item.first_step == item.last_step:
        return Verdict("trained, not evaluated", f"{_capital(rose)}; no held-out score before and after says more.")
    change = item.headline
    held_out = f"held-out {item.metric} on {item.name} went from {change.before:.2f} to {change.after:.2f}"
    numbers = f"{held_out} ({_interval(change)}) while {rose}"
    wanted = MIN_TRANSFER * reward.difference
    if direction(change) > 0 and change.difference >= wanted:
        return _risen(item, numbers)
    highest = change.interval.high if change.interval is not None else change.difference
    if direction(change) != 0 or highest < wanted:
        return Verdict("memorised", f"{_capital(numbers)}.")
    return Verdict("unclear", f"{_capital(numbers)}: the evaluation is too small to tell.")


def _risen(item: SetSummary, numbers: str) -> Verdict:
    """Rule 4: learning, sharpening, or not known which."""
    found = [entry for kind in ("greedy", "pass") if (entry := item.change(kind)) is not None]
    moves = ", ".join(f"{name} {change.before:.2f} to {change.after:.2f}" for name, change in found)
    if any(direction(change) > 0 for _, change in found):
        label, ending = _reasoning(item)
        return Verdict(label, f"{_capital(numbers)}; {moves}{ending}.")
    if len(found) == 2:
        ending = "the samples moved to what greedy decoding and the best of several already reached"
        return Verdict("sharpened", f"{_capital(numbers)}; {moves}: {ending}.")
    return Verdict("improved", f"{_capital(numbers)}{'; ' + moves if moves else ''}.")


def _reasoning(item: SetSummary) -> tuple[str, str]:
    """Whether right answers come with valid traces, where that was checked."""
    found = item.change("valid_given_right")
    if found is None:
        return "learned", ""
    share = found[1].after
    ending = f"; {share:.0%} of the right answers have a valid trace"
    return ("learned to reason" if share >= VALID_SHARE else "learned without valid reasoning"), ending


def _interval(change: Change) -> str:
    text = f"change {change.difference:+.2f}"
    if change.interval is None:
        return f"{text}, no interval"
    return f"{text}, 95% interval {change.interval.low:+.2f} to {change.interval.high:+.2f}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
