"""GRPO's forward passes with each prompt read once for its group, in place of TRL's, where they fit.

They fit one process that trains all of a Llama-type model in float32 on a CPU (`presat.training.passes`). TRL
shuffles the responses of a step before it cuts them into micro-batches, which parts groups; they are put in order
again. A step's gradient is the sum over its micro-batches, so their order changes no more than the last bits. The
reference takes the same micro-batches as the policy: as long as both are one model their numbers are equal to the bit,
and the KL term pulls at nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from presat.training.passes.decoder import layout_logprobs
from presat.training.passes.layout import pack


def batch_logprobs(
    model: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor, keep: int, rows: int, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return log-probabilities and entropies of the responses' tokens, 0 at padding, each (rows of the batch, keep).

    Args:
        model: a model that fits.
        input_ids: prompts padded on the left and responses padded on the right, side by side.
        attention_mask: 1 at tokens.
        keep: width of the responses.
        rows: rows at once.
        temperature: what logits are divided by.
    """
    parts = [
        _part(model, input_ids[start : start + rows], attention_mask[start : start + rows], keep, temperature)
        for start in range(0, len(input_ids), rows)
    ]
    logprobs, entropies = zip(*parts, strict=True)
    return torch.cat(logprobs), torch.cat(entropies)


def _part(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, keep: int, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    width = ids.shape[1] - keep
    starts = (width - mask[:, :width].sum(1)).tolist()
    ends = (width + mask[:, width:].sum(1)).tolist()
    texts = ids.tolist()
    layout = pack(
        [text[start:width] for text, start in zip(texts, starts, strict=True)],
        [text[width:end] for text, end in zip(texts, ends, strict=True)],
    )
    logprobs_N, entropies_N, _ = layout_logprobs(model, layout, temperature)
    empty = logprobs_N.new_zeros(len(ids), keep)
    at = (layout.rows, layout.columns)
    return empty.index_put(at, logprobs_N), empty.index_put(at, entropies_N)


def in_order(batches: Sequence[dict[str, Any]], row: str) -> list[dict[str, Any]]:
    """Return micro-batches of the same sizes whose rows are in the order of the column `row`."""
    order = torch.cat([batch[row] for batch in batches]).argsort()
    sizes = [len(batch[row]) for batch in batches]
    whole = {
        name: torch.cat([batch[name] for batch in batches])[order].split(sizes)
        for name, value in batches[0].items()
        if isinstance(value, torch.Tensor) and value.ndim
    }
    return [{**batch, **{name: parts[i] for name, parts in whole.items()}} for i, batch in enumerate(batches)]
