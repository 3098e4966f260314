"""The general engine: any Hugging Face causal language model, through its own forward and key-value cache."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch

from presat.rollouts.batching import BatchEngine
from presat.rollouts.loop import Decoder
from presat.types import Problem, RolloutGroup, Sampling


class TransformersEngine(BatchEngine):
    """Decodes with `model(...)`: prompts prefilled once, cache shared out to the group, ended rows dropped."""

    kind = "transformers"
    default_rows = 64

    def generate(
        self, problems: Sequence[Problem], n: int, sampling: Sampling, seeds: Sequence[int]
    ) -> list[RolloutGroup]:
        """Draw as `BatchEngine.generate` does, with the model in evaluation mode meanwhile."""
        training = self.model.training
        self.model.eval()
        try:
            return super().generate(problems, n, sampling, seeds)
        finally:
            self.model.train(training)

    def _decoder(self) -> Decoder:
        return _CacheDecoder(self.model)


class _CacheDecoder:
    """A batch held in a transformers `DynamicCache`; prompts are padded on the left."""

    repeatable = False  # the cache is another at every step

    def __init__(self, model: Any) -> None:
        self._model = model
        self._cache: Any = None
        self._mask_BS = torch.empty(0)
        self._takes_positions = "position_ids" in inspect.signature(type(model).forward).parameters

    def start(self, prompts: Sequence[Sequence[int]], owner_B: torch.Tensor, room: int) -> torch.Tensor:
        """Prefill the prompts and share the cache out to the rows; returns logits [B, V]."""
        del room  # such a cache grows by itself
        device = self._model.device
        width = max(len(ids) for ids in prompts)
        ids_PS = torch.zeros(len(prompts), width, dtype=torch.long)
        mask_PS = torch.zeros(len(prompts), width, dtype=torch.long)
        for i, ids in enumerate(prompts):
            ids_PS[i, width - len(ids) :] = torch.tensor(ids)
            mask_PS[i, width - len(ids) :] = 1
        owner_B, mask_PS = owner_B.to(device), mask_PS.to(device)
        logits_PV = self._forward(ids_PS.to(device), mask_PS)
        self._mask_BS = mask_PS[owner_B]
        if len(owner_B) != len(prompts):
            self._cache.batch_select_indices(owner_B)
        return logits_PV[owner_B]

    def advance(self) -> bool:
        """Nothing to do: the cache makes room by itself."""
        return False

    def step(self, tokens_B: torch.Tensor) -> torch.Tensor:
        """One token further; returns logits [B, V]."""
        self._mask_BS = torch.cat([self._mask_BS, self._mask_BS.new_ones(len(tokens_B), 1)], dim=1)
        return self._forward(tokens_B.unsqueeze(1), self._mask_BS)

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all other rows."""
        rows = rows.to(self._mask_BS.device)
        self._cache.batch_select_indices(rows)
        self._mask_BS = self._mask_BS[rows]

    def _forward(self, ids_BS: torch.Tensor, mask_BS: torch.Tensor) -> torch.Tensor:
        extra: dict[str, Any] = {}
        if self._takes_positions:
            extra["position_ids"] = (mask_BS.cumsum(-1) - 1).clamp_(min=0)[:, -ids_BS.shape[1] :]
        out = self._model(
            input_ids=ids_BS,
            attention_mask=mask_BS,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
            **extra,
        )
        self._cache = out.past_key_values
        return out.logits[:, -1]
