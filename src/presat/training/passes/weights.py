"""Matrix products whose gradient is added to the weight's where it lies.

Autograd would make a gradient of the size of the weight anew in every micro-batch and add it to the last one. It also
calls the hooks that distributed training stands on, and these products do not: they are for one process that holds
whole weights.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812  (its usual name)
from torch import nn


def add_gradient(weight: torch.Tensor, left_RT: torch.Tensor, right_TC: torch.Tensor) -> None:
    """Add a product to the gradient of a matrix.

    Args:
        weight: the weight; nothing is done where it is not trained.
        left_RT: one factor.
        right_TC: the other.
    """
    if not weight.requires_grad:
        return
    if weight.grad is None:
        weight.grad = left_RT @ right_TC
    else:
        weight.grad.addmm_(left_RT, right_TC)


def add_sum(weight: torch.Tensor, value: torch.Tensor) -> None:
    """Add `value` to the gradient of a weight of its shape."""
    if not weight.requires_grad:
        return
    if weight.grad is None:
        weight.grad = value
    else:
        weight.grad.add_(value)


class _Linears(torch.autograd.Function):
    """Several linear layers of one input."""

    @staticmethod
    def forward(ctx: Any, x_TE: torch.Tensor, *parameters: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
        count = len(parameters) // 2
        ctx.weights, ctx.biases = cast(tuple[torch.Tensor, ...], parameters[:count]), parameters[count:]
        ctx.save_for_backward(x_TE)
        return tuple(F.linear(x_TE, w, b) for w, b in zip(ctx.weights, ctx.biases, strict=True))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (x_TE,) = ctx.saved_tensors
        dx_TE = gradients[0] @ ctx.weights[0]
        for gradient, weight in zip(gradients[1:], ctx.weights[1:], strict=True):
            dx_TE.addmm_(gradient, weight)
        for gradient, weight, bias in zip(gradients, ctx.weights, ctx.biases, strict=True):
            add_gradient(weight, gradient.t(), x_TE)
            if bias is not None:
                add_sum(bias, gradient.sum(0))
        return dx_TE, *([None] * 2 * len(ctx.weights))


def linears(x_TE: torch.Tensor, *layers: nn.Linear) -> tuple[torch.Tensor, ...]:
    """Return what several linear layers make of one input."""
    return _Linears.apply(x_TE, *(layer.weight for layer in layers), *(layer.bias for layer in layers))  # type: ignore[no-any-return]


class _Embed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ids_T: torch.Tensor, weight_VE: torch.Tensor, padding: int | None) -> torch.Tensor:
        ctx.weight, ctx.padding = weight_VE, padding
        ctx.save_for_backward(ids_T)
        return F.embedding(ids_T, weight_VE)

    @staticmethod
    def backward(ctx: Any, gradient_TE: torch.Tensor) -> tuple[None, None, None]:  # type: ignore[override]
        (ids_T,) = ctx.saved_tensors
        weight = ctx.weight
        if weight.requires_grad:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
            if ctx.padding is not None:  # a text may hold it as any other token, yet its row stays as it is
                gradient_TE = gradient_TE.masked_fill((ids_T == ctx.padding)[:, None], 0.0)
            weight.grad.index_add_(0, ids_T, gradient_TE)
        return None, None, None


def embed(ids_T: torch.Tensor, layer: nn.Embedding) -> torch.Tensor:
    """Return the embeddings of tokens."""
    return _Embed.apply(ids_T, layer.weight, layer.padding_idx)  # type: ignore[no-any-return]


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_TE: torch.Tensor, weight_E: torch.Tensor, eps: float) -> torch.Tensor:
        size = x_TE.shape[-1]
        scale_T1 = torch.linalg.vector_norm(x_TE, dim=-1, keepdim=True).square_().div_(size).add_(eps).rsqrt_()
        unit_TE = x_TE * scale_T1
        ctx.weight = weight_E
        ctx.save_for_backward(unit_TE, scale_T1)
        return unit_TE * weight_E

    @staticmethod
    def backward(ctx: Any, gradient_TE: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # type: ignore[override]
        unit_TE, scale_T1 = ctx.saved_tensors
        if ctx.weight.requires_grad:
            add_sum(ctx.weight, (gradient_TE * unit_TE).sum(0))
        inner_TE = gradient_TE * ctx.weight
        along_T1 = torch.linalg.vecdot(inner_TE, unit_TE)[:, None].div_(-unit_TE.shape[-1])
        return inner_TE.addcmul_(unit_TE, along_T1).mul_(scale_T1), None, None


def norm(x_TE: torch.Tensor, layer: Any) -> torch.Tensor:
    """Return x over its root mean square, as an RMSNorm layer does."""
    return _Norm.apply(x_TE, layer.weight, layer.variance_epsilon)  # type: ignore[no-any-return]
