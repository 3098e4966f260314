"""Log-probabilities of tokens, and how likely others were at their places, from the last hidden states.

Logits are made a strip of the vocabulary at a time. They are kept for the backward pass where they are few enough, else
made again there; without gradients there is never more than a strip of them, and nothing else of their size. Gradients
go through the log-probabilities only.

Shapes: N tokens, E hidden size, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch

KEPT = 2**25
"""Most logits kept for the backward pass: 128 MiB in float32."""
STRIP = 2**20
"""Logits made at once, about: 4 MiB in float32."""


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_NE: torch.Tensor, weight_VE: torch.Tensor, wanted_N: torch.Tensor, temperature: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        count, words = len(hidden_NE), len(weight_VE)
        scaled_NE = hidden_NE / temperature if temperature != 1.0 else hidden_NE
        keep = any(ctx.needs_input_grad) and count * words <= KEPT
        width = min(words, max(64, STRIP // max(1, count)))
        logits = torch.empty(count, words if keep else width)
        top_N = torch.full((count,), float("-inf"))
        mass_N, moment_N, logit_N = torch.zeros(count), torch.zeros(count), torch.zeros(count)
        for first in range(0, words, width):
            part_EC = weight_VE[first : first + width].t()
            size = part_EC.shape[1]
            strip_NC = logits[:, first : first + size] if keep else logits[:, :size]
            torch.mm(scaled_NE, part_EC, out=strip_NC)
            place_N = wanted_N - first
            found_N = strip_NC.gather(1, place_N.clamp(0, size - 1)[:, None])[:, 0]
            logit_N = torch.where((place_N >= 0) & (place_N < size), found_N, logit_N)
            new_N = torch.maximum(top_N, strip_NC.amax(-1))
            shrunk_N = (top_N - new_N).exp_()
            likely_NC = (strip_NC - new_N[:, None]).exp_()
            mass_N.mul_(shrunk_N).add_(likely_NC.sum(-1))
            moment_N.mul_(shrunk_N).add_(torch.linalg.vecdot(likely_NC, strip_NC))
            top_N = new_N
        total_N = top_N + mass_N.log()
        ctx.weight, ctx.temperature, ctx.width = weight_VE, temperature, width
        ctx.save_for_backward(scaled_NE, wanted_N, total_N, logits if keep else None)
        entropy_N, first_N = total_N - moment_N / mass_N, logit_N >= top_N
        ctx.mark_non_differentiable(entropy_N, first_N)
        return logit_N - total_N, entropy_N, first_N

    @staticmethod
    def backward(ctx: Any, gradient_N: torch.Tensor, *_: Any) -> tuple[torch.Tensor, None, None, None]:  # type: ignore[override]
        scaled_NE, wanted_N, total_N, logits = ctx.saved_tensors
        weight_VE, width = ctx.weight, ctx.width
        pulled_NE = weight_VE[wanted_N] * gradient_N[:, None]
        if weight_VE.requires_grad and weight_VE.grad is None:
            weight_VE.grad = torch.zeros_like(weight_VE)
        for first in range(0, len(weight_VE), width):
            part_CE = weight_VE[first : first + width]
            strip_NC = scaled_NE @ part_CE.t() if logits is None else logits[:, first : first + width]
            strip_NC = torch.sub(strip_NC, total_N[:, None]).exp_().mul_(-gradient_N[:, None])
            pulled_NE.addmm_(strip_NC, part_CE)
            if weight_VE.requires_grad:
                weight_VE.grad[first : first + width].addmm_(strip_NC.t(), scaled_NE)
        if weight_VE.requires_grad:
            weight_VE.grad.index_add_(0, wanted_N, scaled_NE * gradient_N[:, None])
        return pulled_NE / ctx.temperature, None, None, None


def token_logprobs(
    hidden_NE: torch.Tensor, weight_VE: torch.Tensor, wanted_N: torch.Tensor, temperature: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the log-probabilities of tokens, the entropies at their places, and whether none was more likely there.

    In nats; only the first has a gradient.

    Args:
        hidden_NE: what the head reads, at the place before each token.
        weight_VE: the head.
        wanted_N: the tokens.
        temperature: what logits are divided by.
    """
    return _TokenLogprobs.apply(hidden_NE, weight_VE, wanted_N, temperature)  # type: ignore[no-any-return]
