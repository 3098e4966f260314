"""Settings of `check`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from presat.config.schema.base import DrawConfig, ModelConfig, TaskConfig
from presat.config.schema.kinds import AnyPath, Problems, Rows, Samples, Seed, Share, YamlMapping

LEAST_PROMPTS = 16
"""Prompts after which a check may stop early: of fewer, no share is known well enough."""


class CheckConfig(DrawConfig):
    """Will reinforcement learning work on this model with these problems? One pass of draws, before any training."""

    common: ClassVar[tuple[str, ...]] = (
        "prompts",
        "samples",
        "minutes",
        "gamma",
        "held_out",
        "run",
        "max_new_tokens",
        "verify.extraction",
    )
    model: ModelConfig = Field(default_factory=ModelConfig)
    """The model that would be trained."""
    data: TaskConfig = Field(default_factory=TaskConfig)
    """The problems it would be trained on; with gold answers, which say how often it is right."""
    run: AnyPath = Path("runs/check")
    """Run directory of the draws and the page. Started again, the check goes on with the draws that are there."""
    prompts: Problems = 64
    """Prompts to draw for, chosen at random; all where there are fewer."""
    samples: Samples = 16
    """Responses per prompt."""
    group_size: Samples = 8
    """G, responses a prompt of the training that is asked about."""
    prompts_per_step: Rows = 64
    """Prompts a step of that training."""
    gamma: Share = 0.7
    """Share of wrong labels that the forecast for noisy labels is about."""
    minutes: float | None = Field(default=None, gt=0, le=7 * 24 * 60)
    """Most minutes of drawing: fewer prompts are drawn where they would take longer. None: as long as it takes."""
    until_clear: bool = True
    """Stop before all prompts are drawn once no verdict would change."""
    judge: Literal["symbolic", "self_support", "llm", "ensemble", "none"] = "symbolic"
    """Who judges whether the reasoning supports the answer (judges.md)."""
    judge_options: YamlMapping = Field(default_factory=dict)
    """Settings of that judge: `{server: http://localhost:8000/v1, model: NAME}` for `llm`. `self_support` asks the
    model that is checked."""
    certainty: bool = True
    """Also measure self-certainty, by one more pass over the responses; a server's model cannot be asked for it."""
    held_out: str = ""
    """Problems to evaluate on, for the configuration that is written; a training run has no verdict without."""
    seed: Seed = 0
    """Seed of the choice of prompts and of the draws."""

    @model_validator(mode="after")
    def _sizes(self) -> CheckConfig:
        if not 2 <= self.group_size <= self.samples:
            raise ValueError(
                f"group_size should be 2 to {self.samples} (`samples`): groups are foreseen from the samples that "
                "are drawn"
            )
        return self
