"""Logged means over tokens that do not depend on how a step was cut into micro-batches or over processes.

TRL logs the mean over the tokens of each micro-batch (of all processes together) and then averages the micro-batches as
if all held as many tokens: a short response counts for more where it shares its micro-batch with short ones. Here
micro-batches are weighed by their tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

import torch
from transformers import Trainer


class TokenMeans(Trainer):
    """A trainer that calls `note_tokens` once for every micro-batch it trains on.

    Attributes:
        token_means: what is logged as a mean over the tokens of a micro-batch.
        extremes: what is logged as the least (`min`) or the greatest (`max`) of a micro-batch.
    """

    token_means: ClassVar[tuple[str, ...]] = ()
    extremes: ClassVar[Mapping[str, Callable[..., float]]] = {}
    _metrics: dict[str, dict[str, Any]]  # by mode and name: a value of each micro-batch since the last log
    _tokens: tuple[float, ...] = ()

    def note_tokens(self, tokens: torch.Tensor) -> None:
        """Note how many tokens this process' part of a micro-batch has."""
        everywhere = cast(torch.Tensor, self.accelerator.reduce(tokens.float(), reduction="sum"))
        self._tokens = (*self._tokens, everywhere.item())

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log, with one value for all micro-batches since the last log."""
        waiting = self._metrics["train"]
        for name in (name for name in self.token_means if waiting.get(name)):
            pairs = zip(waiting[name], self._tokens, strict=True)
            waiting[name] = [math.fsum(value * tokens for value, tokens in pairs) / max(1.0, math.fsum(self._tokens))]
        for name, pick in self.extremes.items():
            if waiting.get(name):
                known = [value for value in waiting[name] if not math.isnan(value)]
                waiting[name] = [pick(known, default=math.nan)]
        self._tokens = ()
        super().log(logs, start_time)
