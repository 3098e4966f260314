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
from presat.rewards import label_is_right
from presat.rollouts import seed_for
from presat.training.evaluate import score_groups
from presat.types import Engine, Problem, Reward, RolloutGroup, Sampling, Score

if TYPE_CHECKING:
    from presat.verify import Verifier

REWARD_KEY = "presat_reward"
VERIFIER_COUNTS = ("cache_hits", "timeouts", "crashes")
"""Counts of the verifier that are logged as `verify/NAME`: how many since the step before."""


@dataclass(frozen=True, slots=True)
class StepRollouts:
    """The groups one process drew at one step. P prompts, N = max(group_size, votes) responses."""

    step: int
    groups: list[RolloutGroup]
    scores_PN: list[list[Score]]
    rewards_PN: list[list[float | None]]


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
    _counted: dict[str, int] = field(default_factory=dict)

    def __call__(self, prompts: list[str], trainer: Any) -> dict[str, list[Any]]:
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
        groups = self.engine.generate(problems, max(self.group_size, self.votes or 0), self.sampling, seeds)
        scores_PN = score_groups(self.verifier, groups)
        rewards_PN = [self.reward(group, scores) for group, scores in zip(groups, scores_PN, strict=True)]
        return StepRollouts(step, groups, scores_PN, rewards_PN)

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

    def _rows(self, drawn: StepRollouts) -> dict[str, list[Any]]:
        """Flatten the first G responses of each group into TRL's rows."""
        G = self.group_size
        completions = [c for group in drawn.groups for c in group.completions[:G]]
        return {
            "prompt_ids": [list(group.prompt_ids) for group in drawn.groups for _ in range(G)],
            "completion_ids": [list(c.token_ids) for c in completions],
            "logprobs": [list(c.logprobs or ()) for c in completions],
            REWARD_KEY: [reward for row in drawn.rewards_PN for reward in row[:G]],
        }

    def _metrics(self, drawn: StepRollouts, trainer: Any) -> dict[str, float]:
        """Gold accuracy beside the reward and what the verifier met, summed over all processes."""
        labels = label_counts([row[: self.group_size] for row in drawn.scores_PN])
        counts = self.verifier.counts
        met = [float(counts[name] - self._counted.get(name, 0)) for name in VERIFIER_COUNTS]
        self._counted = counts
        right_PN = map(label_is_right, drawn.rewards_PN, drawn.scores_PN)
        known = [right for right in right_PN if right is not None]
        totals = torch.tensor(
            [*labels, sum(known), len(known), *met], dtype=torch.float32, device=trainer.accelerator.device
        )
        right, judged, missing, all_right, all_wrong, mixed, groups, labels_right, labels_known, *met = (
            trainer.accelerator.reduce(totals, reduction="sum").tolist()
        )
        vote = {"labels/label_accuracy": labels_right / labels_known if labels_known else float("nan")}
        return {
            **(vote if self.votes else {}),
            **{f"verify/{name}": value for name, value in zip(VERIFIER_COUNTS, met, strict=True)},
            "labels/gold_accuracy": right / judged if judged else float("nan"),
            "labels/missing": missing / (judged + missing),
            "labels/all_right": all_right / groups,
            "labels/all_wrong": all_wrong / groups,
            "labels/mixed": mixed / groups,
        }


def label_counts(scores_PG: Sequence[Sequence[Score]]) -> tuple[float, ...]:
    """Count right, judged and missing responses, then all-right, all-wrong, mixed and all groups (missing left out)."""
    right = judged = missing = all_right = all_wrong = mixed = 0.0
    for row in scores_PG:
        values = [score.value for score in row if score.value is not None]
        right, judged, missing = right + sum(values), judged + len(values), missing + len(row) - len(values)
        some_right, some_wrong = 1.0 in values, any(value != 1.0 for value in values)
        all_right += some_right and not some_wrong
        all_wrong += some_wrong and not some_right
        mixed += some_right and some_wrong
    return right, judged, missing, all_right, all_wrong, mixed, float(len(scores_PG))


def reward_function(name: str) -> Callable[..., list[float | None]]:
    """Return the TRL reward function that hands on what the rollouts already computed, under the reward's own name."""

    def passed_on(completions: list[Any], **columns: Any) -> list[float | None]:
        del completions
        return columns[REWARD_KEY]

    passed_on.__name__ = name
    return passed_on
