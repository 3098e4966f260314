"""The vocabulary every other room speaks. Frozen, and free of any import of ours (or of torch).

Shapes are written as suffixes throughout the code: P prompts, G responses a prompt (the group), T steps or tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypedDict


class Message(TypedDict):
    """One chat turn."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One prompt with (perhaps) a gold answer.

    Attributes:
        id: unique within its source; the same id always means the same problem.
        messages: the chat turns the model is shown.
        gold: the reference answer, already unwrapped from any JSON list of one; None when there is none. A JSON list of
            several strings accepts each of them.
        domain: `math`, `science`, `graph`, `lab` or a name of the user's own.
        verifier: which scorer decides: `math`, `reasoning_gym` or `lab`.
        metadata: every other field of the source row, kept as it came, so that saving loses nothing.
    """

    id: str
    messages: tuple[Message, ...]
    gold: str | None
    domain: str
    verifier: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled response.

    Attributes:
        text: decoded response, special tokens removed.
        token_ids: the response tokens, the end-of-sequence token included when there is one.
        logprobs: log-probability of each token under the sampling policy (same length), or None.
        finished: False when the response was cut at the length limit.
        stats: per-response numbers an engine may add (for instance `self_certainty`, `entropy`).
    """

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...] | None
    finished: bool
    stats: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RolloutGroup:
    """All responses sampled for one prompt at one step: the unit that rewards and votes see whole.

    Attributes:
        problem: the prompt.
        prompt_ids: its tokens, chat template applied.
        completions: the responses; the first `group_size` are used for the update, the rest only vote.
        seed: identifies this draw; anything random about the group is a function of (seed, index).
    """

    problem: Problem
    prompt_ids: tuple[int, ...]
    completions: tuple[Completion, ...]
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Score:
    """Verdict on one response: right (1.0), wrong (0.0), or missing (None) with the reason.

    `reason` also explains a 0.0 where there is something to say (`no boxed answer`). Missing means the verifier could
    not decide (a time-out, no gold answer): it is counted and never silently becomes a zero.
    """

    value: float | None
    extracted: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw responses. `temperature` 0 means greedy. Lengths are in tokens."""

    temperature: float = 1.0
    max_new_tokens: int = 2048
    max_prompt_tokens: int = 2048


class Engine(Protocol):
    """Turns problems into responses: transformers, the small-model decoder, vLLM."""

    def generate(
        self, problems: Sequence[Problem], n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> list[RolloutGroup]:
        """Draw `n` responses for each problem; `seeds[i]` alone decides the draws of `problems[i]`."""
        ...


class Reward(Protocol):
    """A training signal: one value per response of a group, None where it does not apply.

    A reward sees the whole group at once (votes need it) and the verifier's scores beside it; a reward that is meant to
    work without labels must not look at `scores` or `group.problem.gold`. Instances are small and picklable.
    """

    @property
    def name(self) -> str:
        """The name its values are logged under: `rewards/NAME/mean`."""
        ...

    def __call__(self, group: RolloutGroup, scores: Sequence[Score]) -> list[float | None]:
        """Return one reward per completion of `group`."""
        ...
