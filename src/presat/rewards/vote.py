"""Majority vote: the most frequent answer of a group is its label (TTRL, arXiv:2504.16084; section 3).

A vote sees the whole group. Equivalent answers are one (`1/2` and `0.5`); the paper does not say whether it merges
them. Ties go to the answer that appeared first, and are counted. The soft vote (EMPO, arXiv:2504.05812) rewards every
response by the share of the votes that its answer got.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from presat.errors import ConfigError
from presat.rewards.outcome import Outcome, Vote
from presat.types import RolloutGroup, Score
from presat.verify import Mode, Verifier
from presat.verify.equivalence import equivalence_classes


@dataclass
class MajorityVote:
    """1 for a response whose answer is the most frequent one of the first `votes` responses, else 0.

    Neither scores nor gold are looked at. A response without an answer has no vote and gets 0.

    Attributes:
        votes: how many responses vote; all of them are rewarded, the first `group_size` of them train.
        extraction: how an answer is read (`presat.verify`).
        workers: processes that compare math answers.
        timeout_s: seconds one comparison may take; then the answers count as different.
        counts: groups voted on, ties, and groups without any answer, so far.
    """

    votes: int = 16
    extraction: Mode = "auto"
    workers: int = 1
    timeout_s: float = 5.0
    name: str = "majority_vote"
    lowest: ClassVar[float] = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    _judge: Verifier | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse an empty vote, and settings that no verifier takes."""
        if not isinstance(self.votes, int) or self.votes < 1:
            raise ConfigError(f"A majority vote needs at least one vote; votes was {self.votes!r}.")
        Verifier(self.extraction, self.workers, self.timeout_s)

    def __call__(self, group: RolloutGroup, scores: Sequence[Score]) -> list[float | None]:
        """Vote once and return 1 for every response that agrees with the label."""
        return self.outcome(group, scores).values_N

    def outcome(self, group: RolloutGroup, scores: Sequence[Score]) -> Outcome:
        """Vote once; the rewards, and the vote they come from."""
        del scores
        vote = self.vote(group)
        return Outcome(self._values(vote), vote=vote)

    def _values(self, vote: Vote) -> list[float | None]:
        return [float(agrees) for agrees in vote.agrees_N]

    def vote(self, group: RolloutGroup) -> Vote:
        """Hold the vote of one group."""
        if self._judge is None:
            self._judge = Verifier(self.extraction, self.workers, self.timeout_s)
        answers_N = self._judge.extract(group.problem, [completion.text for completion in group.completions])
        classes_N = equivalence_classes(answers_N, group.problem.verifier, self._judge)
        ballots = Counter(number for number in classes_N[: self.votes] if number is not None)
        self.counts["groups"] += 1
        if not ballots:
            self.counts["no_answer"] += 1
            return Vote(None, (False,) * len(answers_N), 0.0, tied=False, shares_N=(0.0,) * len(answers_N))
        (winner, most), *others = ballots.most_common()  # equal counts stay in order of first appearance
        tied = bool(others) and others[0][1] == most
        self.counts["ties"] += tied
        agrees_N = tuple(number == winner for number in classes_N)
        voters = min(self.votes, len(answers_N))
        shares_N = tuple(0.0 if number is None else ballots[number] / voters for number in classes_N)
        return Vote(answers_N[agrees_N.index(True)], agrees_N, most / voters, tied, shares_N)


@dataclass
class SoftMajorityVote(MajorityVote):
    """The share of the first `votes` responses whose answer is equivalent to this one's; 0 without an answer.

    EMPO's reward (arXiv:2504.05812): the probability of the response's cluster of equal meaning, estimated from the
    group. Its filter of prompts by the entropy of the clusters is not part of a reward and is left out.
    """

    name: str = "soft_majority_vote"

    def _values(self, vote: Vote) -> list[float | None]:
        return list(vote.shares_N)


def label_is_right(rewards_N: Sequence[float | None], scores_N: Sequence[Score]) -> bool | None:
    """Whether the answer a proxy rewarded is the true one: for the log, beside the proxy reward.

    Right when a rewarded response is right; None when nothing was rewarded or no rewarded response could be judged.
    """
    judged = [
        score.value
        for reward, score in zip(rewards_N, scores_N, strict=True)
        if reward == 1.0 and score.value is not None
    ]
    return 1.0 in judged if judged else None
