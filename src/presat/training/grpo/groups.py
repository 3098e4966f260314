"""The one adapter between TRL and our rollouts: TRL asks for responses row by row, we draw and reward whole groups.

TRL passes every prompt G times in a row; here the repeats are folded back into groups, `max(G, votes)` responses are
drawn from the live model, judged and rewarded with the whole group in view, and the first G go to the update.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from presat.errors import RunError
from presat.rewards import Outcome, judge, needs_of
from presat.rewards.labels import count_labels, label_metrics, true_scores
from presat.rollouts import seed_for
from presat.types import Engine, Problem, Reward, RolloutGroup, Sampling, Score
from presat.verify.groups import judged_early, score_groups

if TYPE_CHECKING:
    from presat.rewards.policy import PolicyScorer
    from presat.verify import Verifier

REWARD_KEY = "presat_reward"
VERIFIER_COUNTS = ("cache_hits", "timeouts", "crashes")
"""Counts of the verifier that are logged as `verify/NAME`: how many since the step before."""


@dataclass(frozen=True, slots=True)
class StepRollouts:
    """The groups one process drew at one step. P prompts, N = max(group_size, votes) responses.

    `scores_PN` are the verdicts by the labels, `truth_PN` by the true answers; they differ where labels are noisy.
    """

    step: int
    groups: list[RolloutGroup]
    scores_PN: list[list[Score]]
    truth_PN: list[list[Score]]
    outcomes_P: list[Outcome]

    @property
    def rewards_PN(self) -> list[list[float | None]]:  # noqa: N802 (its name carries its shape)
        """The training signal."""
        return [outcome.values_N for outcome in self.outcomes_P]


def place_key(step: int, place: int) -> str:
    """Name a place of the schedule; this is all TRL is told about a prompt."""
    return f"{step}:{place}"


@dataclass
class GroupRollouts:
    """TRL's `rollout_func`.

    Attributes:
        problems: the training problems.
        schedule: problem indices by step (first row is step 1) and place.
        engine: samples from the live model.
        verifier: judges the responses.
        reward: the training signal.
        sampling: temperature and lengths.
        group_size: responses a prompt that train.
        votes: responses a prompt that vote on its label, the first `group_size` among them; None without a vote.
        seed: the run's seed.
        sink: receives what was drawn (the rollout store).
        scorer: adds the statistics of the live policy that the reward reads; None where it reads none.
    """

    problems: Sequence[Problem]
    schedule: Sequence[Sequence[int]]
    engine: Engine
    verifier: Verifier
    reward: Reward
    sampling: Sampling
    group_size: int
    votes: int | None
    seed: int
    sink: Callable[[StepRollouts], None] = field(default=lambda _: None)
    scorer: PolicyScorer | None = None
    _counted: dict[str, int] = field(default_factory=dict)

    def __call__(self, prompts: list[str], trainer: Any) -> dict[str, list[Any] | None]:
        """Draw the responses for TRL's rows; returns `prompt_ids`, `completion_ids`, `logprobs` and the rewards."""
        step = trainer.state.global_step + 1
        places = self._places(prompts, step)
        # TRL shuffles the rows of a step with torch's global generator: make that a function of the step too
        torch.manual_seed(seed_for(self.seed, "update", step, trainer.accelerator.process_index) % 2**32)
        drawn = self.draw(step, places)
        for name, value in self._metrics(drawn, trainer).items():
            trainer._metrics["train"][name].append(value)
        self.sink(drawn)
        return self._rows(drawn)

    def draw(self, step: int, places: Sequence[int]) -> StepRollouts:
        """Draw, judge and reward the groups of some places of a step."""
        problems = [self.problems[self.schedule[step - 1][place]] for place in places]
        seeds = [seed_for(self.seed, "train", step, place) for place in places]
        with judged_early(self.verifier, self.engine, problems):
            groups = self.engine.generate(problems, max(self.group_size, self.votes or 0), self.sampling, seeds)
        if self.scorer is not None:
            groups = self.scorer(groups, needs_of(self.reward))
        scores_PN = score_groups(self.verifier, groups)
        outcomes_P = [judge(self.reward, group, scores) for group, scores in zip(groups, scores_PN, strict=True)]
        return StepRollouts(step, groups, scores_PN, true_scores(self.verifier, groups, scores_PN), outcomes_P)

    def _places(self, prompts: list[str], step: int) -> list[int]:
        """Fold TRL's rows back into groups, refusing any other arrangement than G consecutive rows a prompt."""
        G = self.group_size
        firsts = prompts[::G]
        if prompts != [key for key in firsts for _ in range(G)] or len(set(firsts)) != len(firsts):
            raise RunError("TRL passed prompts in an arrangement other than whole groups; check the batch sizes.")
        places = [key.split(":") for key in firsts]
        if any(int(key_step) != step for key_step, _ in places):
            raise RunError(
                f"TRL asked for the prompts of step {places[0][0]} at step {step}; the schedule is out of step."
            )
        return [int(place) for _, place in places]

    def _rows(self, drawn: StepRollouts) -> dict[str, list[Any] | None]:
        """Flatten the first G responses of each group into TRL's rows."""
        G = self.group_size
        completions = [c for group in drawn.groups for c in group.completions[:G]]
        logprobs = [None if c.logprobs is None else list(c.logprobs) for c in completions]
        return {
            "prompt_ids": [list(group.prompt_ids) for group in drawn.groups for _ in range(G)],
            "completion_ids": [list(c.token_ids) for c in completions],
            "logprobs": None if None in logprobs else logprobs,  # a server gives none, and nothing here reads them
            REWARD_KEY: [reward for row in drawn.rewards_PN for reward in row[:G]],
        }

    def _metrics(self, drawn: StepRollouts, trainer: Any) -> dict[str, float]:
        """What goes beside the reward, and what the verifier met, summed over all processes."""
        counts = self.verifier.counts
        met = {name: float(counts[name] - self._counted.get(name, 0)) for name in VERIFIER_COUNTS}
        self._counted = counts
        labels = count_labels(drawn.groups, drawn.truth_PN, drawn.outcomes_P, self.group_size)
        own = torch.tensor([*labels.values(), *met.values()], dtype=torch.float32, device=trainer.accelerator.device)
        sums = trainer.accelerator.reduce(own, reduction="sum").tolist()
        totals = dict(zip([*labels, *met], sums, strict=True))
        return {**label_metrics(totals), **{f"verify/{name}": totals[name] for name in met}}


def reward_function(name: str) -> Callable[..., list[float | None]]:
    """Return the TRL reward function that hands on what the rollouts already computed, under the reward's own name."""

    def passed_on(completions: list[Any], **columns: Any) -> list[float | None]:
        del completions
        return columns[REWARD_KEY]

    passed_on.__name__ = name
    return passed_on
