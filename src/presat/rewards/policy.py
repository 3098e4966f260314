"""Statistics of the live policy over drawn responses: one more forward pass, exact, in bounded memory.

Full-vocabulary statistics cannot come from what an engine returns (one log-probability a token), and an engine such as
vLLM never shows its logits. So the policy reads every response once more, teacher-forced: exact for any engine, at
about the cost of the KL reference's pass, and only when a reward asks. A prompt is read once for its responses. Logits
are taken at temperature 1.

The vocabulary V is the width of the model's output, padding rows included: the policy does give them probability.
Shapes: B responses side by side, S positions, F of them before any response, U different such beginnings, V vocabulary.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from presat.errors import RunError
from presat.rewards.certainty import Kind, Statistic
from presat.types import RolloutGroup

MAX_LOGITS = 2**25
"""Most logits held at once: 128 MiB in float32, of which the statistics need about three."""

_PLAIN = (DynamicLayer, DynamicSlidingWindowLayer)
"""Layers of a cache that hold keys and values alone, a row of them for each row read."""
_Row = tuple[tuple[int, ...], tuple[int, ...]]


class PolicyScorer:
    """Adds the statistics a reward needs to the responses of groups.

    Args:
        model: a Hugging Face causal language model; its weights are read anew at every call.
        rows: responses read side by side.
        max_logits: most logits made at once; longer responses are read piece by piece through the key-value cache.
    """

    def __init__(self, model: Any, rows: int = 8, max_logits: int = MAX_LOGITS) -> None:
        self.model, self.rows, self.max_logits = model, rows, max_logits

    def __call__(self, groups: Sequence[RolloutGroup], needs: Sequence[Statistic]) -> list[RolloutGroup]:
        """Return the groups with `needs` in every `Completion.stats`; a response without tokens gets none.

        Raises:
            RunError: a statistic is not finite, so the model's logits are not.
        """
        rows = [(group.prompt_ids, c.token_ids) for group in groups for c in group.completions]
        stats = iter(self.statistics(rows, needs))
        return [
            dataclasses.replace(
                group,
                completions=tuple(dataclasses.replace(c, stats={**c.stats, **next(stats)}) for c in group.completions),
            )
            for group in groups
        ]

    def statistics(self, rows: Sequence[_Row], needs: Sequence[Statistic]) -> list[dict[str, float]]:
        """Return the statistics of each (prompt tokens, response tokens), by their keys."""
        kinds: list[Kind] = list(dict.fromkeys(need.kind for need in needs))
        found: list[dict[str, float]] = [{} for _ in rows]
        # responses to one prompt side by side, which is then read once, and of like length, for little padding
        order = sorted((i for i, row in enumerate(rows) if row[1]), key=lambda i: _place(rows[i]))
        training = self.model.training
        self.model.eval()
        try:
            for first in range(0, len(order), self.rows):
                batch = order[first : first + self.rows]
                for i, values in zip(batch, self._read([rows[i] for i in batch], kinds), strict=True):
                    found[i] = {need.key: need.of(values[need.kind]) for need in needs}
        finally:
            self.model.train(training)
        if not all(math.isfinite(value) for stats in found for value in stats.values()):
            raise RunError(
                "The policy's logits are not finite, so its certainty is not: the weights may have diverged."
            )
        return found

    @torch.no_grad()
    def _read(self, rows: Sequence[_Row], kinds: Sequence[Kind]) -> Iterator[dict[Kind, list[float]]]:
        """Yield, for each row, every kind's value per response token."""
        lengths = [len(prompt) + len(response) for prompt, response in rows]
        ids_BS = torch.zeros(len(rows), max(lengths), dtype=torch.long)
        for row, (prompt, response) in zip(ids_BS, rows, strict=True):
            # padded on the right: causal attention never looks there, so no mask is needed
            row[: len(prompt) + len(response)] = torch.tensor([*prompt, *response])
        first = min(len(prompt) for prompt, _ in rows) - 1  # the position that predicts the first response token
        values = self._values(ids_BS.to(self.model.device), first, kinds)
        for b, (prompt, response) in enumerate(rows):
            start = len(prompt) - 1 - first
            yield {kind: values[kind][b, start : start + len(response)].tolist() for kind in kinds}

    def _values(self, ids_BS: torch.Tensor, first: int, kinds: Sequence[Kind]) -> dict[Kind, torch.Tensor]:
        """Return [B, S - 1 - first] values a kind: of the positions from `first` on, the last one left out."""
        width = self.model.get_output_embeddings().weight.shape[0]
        piece = max(1, self.max_logits // (ids_BS.shape[0] * width))
        cache: Any = None
        if first > 0:
            cache = self._cache(ids_BS[:, :first])
        pieces: dict[Kind, list[torch.Tensor]] = {kind: [] for kind in kinds}
        for start in range(first, ids_BS.shape[1] - 1, piece):
            end = min(start + piece, ids_BS.shape[1] - 1)
            out = self.model(input_ids=ids_BS[:, start:end], past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            for kind, values in token_values(out.logits, kinds).items():
                pieces[kind].append(values.cpu())
        return {kind: torch.cat(parts, dim=1) for kind, parts in pieces.items()}

    def _cache(self, ids_BF: torch.Tensor) -> Any:
        """The cache of the first tokens of each row; those that several rows share are read once."""
        ids_UF, of_B = ids_BF.unique(dim=0, return_inverse=True)
        if len(ids_UF) < len(ids_BF):
            cache = self.model(input_ids=ids_UF, use_cache=True, logits_to_keep=1).past_key_values
            if all(type(layer) in _PLAIN for layer in getattr(cache, "layers", [None])):
                cache.batch_select_indices(of_B)
                return cache
        return self.model(input_ids=ids_BF, use_cache=True, logits_to_keep=1).past_key_values


def _place(row: _Row) -> tuple[int, tuple[int, ...], int]:
    prompt, response = row
    return len(prompt), prompt, len(response)


def token_values(logits: torch.Tensor, kinds: Sequence[Kind]) -> dict[Kind, torch.Tensor]:
    """Return each kind's value at every position, in nats, float32 or better.

    Self-certainty is KL(U || p) = -log V - (1/V) sum_v log p_v; entropy is H(p) = -sum_v p_v log p_v.

    Args:
        logits: [..., V].
        kinds: what to compute.
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    log_norm = logits.logsumexp(-1)
    values: dict[Kind, torch.Tensor] = {}
    if "self_certainty" in kinds:
        values["self_certainty"] = log_norm - logits.mean(-1) - math.log(logits.shape[-1])
    if "entropy" in kinds:
        values["entropy"] = log_norm - (logits.softmax(-1) * logits).sum(-1)
    return values
