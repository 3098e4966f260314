"""Rotary embeddings and attention of packed tokens, forward and backward.

Shapes as in `layout`; H query heads, K key-value heads, D dimensions of a head.
"""

from __future__ import annotations

from typing import Any

import torch

from presat.training.passes.layout import Read


class _Turn(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_THD: torch.Tensor, cos_T1F: torch.Tensor, sin_T1F: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(cos_T1F, sin_T1F)
        return _turned(x_THD, cos_T1F, sin_T1F)

    @staticmethod
    def backward(ctx: Any, gradient_THD: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # type: ignore[override]
        cos_T1F, sin_T1F = ctx.saved_tensors
        return _turned(gradient_THD, cos_T1F, -sin_T1F), None, None


def _turned(x_THD: torch.Tensor, cos_T1F: torch.Tensor, sin_T1F: torch.Tensor) -> torch.Tensor:
    half = x_THD.shape[-1] // 2
    one, other = x_THD[..., :half], x_THD[..., half:]
    out = torch.empty_like(x_THD)
    torch.mul(one, cos_T1F, out=out[..., :half]).addcmul_(other, sin_T1F, value=-1)
    torch.mul(other, cos_T1F, out=out[..., half:]).addcmul_(one, sin_T1F)
    return out


def turn(x_THD: torch.Tensor, cos_T1F: torch.Tensor, sin_T1F: torch.Tensor) -> torch.Tensor:
    """Rotary embedding: dimension i and i + D/2 of a head are turned together.

    Args:
        x_THD: queries or keys.
        cos_T1F: of the F = D/2 angles of each token.
        sin_T1F: likewise.
    """
    return _Turn.apply(x_THD, cos_T1F, sin_T1F)  # type: ignore[no-any-return]


class _Attend(torch.autograd.Function):
    """Attention of all reads; a key that several rows see gets the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, q_THD: torch.Tensor, k_TKD: torch.Tensor, v_TKD: torch.Tensor, reads: tuple[Read, ...]):
        scale = q_THD.shape[-1] ** -0.5
        parts, kept = [], []
        for read in reads:
            query = _queries(q_THD, read, k_TKD.shape[1])
            keys, values = _keys(k_TKD, read), _keys(v_TKD, read)
            shares = torch.bmm(query, keys.transpose(1, 2))
            rows, heads, S = len(read.queries_BQ), k_TKD.shape[1], keys.shape[1]
            shares = torch.softmax(
                shares.view(rows, -1, *read.mask_BQS.shape[1:]).mul_(scale).add_(read.mask_BQS[:, None]), -1
            ).view(rows * heads, -1, S)
            parts.append(_packed(torch.bmm(shares, values), read))
            kept.append(shares)
        ctx.reads, ctx.scale = reads, scale
        ctx.save_for_backward(q_THD, k_TKD, v_TKD, *kept)
        return _whole(parts, len(q_THD))

    @staticmethod
    def backward(ctx: Any, gradient_TM: torch.Tensor):  # type: ignore[override]
        q_THD, k_TKD, v_TKD, *kept = ctx.saved_tensors
        heads = k_TKD.shape[1]
        dk_TKD, dv_TKD = torch.zeros_like(k_TKD), torch.zeros_like(v_TKD)
        gradient_THD = gradient_TM.view_as(q_THD)
        parts = []
        for read, shares in zip(ctx.reads, kept, strict=True):
            query, keys, values = _queries(q_THD, read, heads), _keys(k_TKD, read), _keys(v_TKD, read)
            given = _queries(gradient_THD, read, heads)
            if len(read.real_R) < read.queries_BQ.numel():
                _blank(given, read)
            dv = torch.bmm(shares.transpose(1, 2), given)
            ds = torch.bmm(given, values.transpose(1, 2))
            ds = torch.ops.aten._softmax_backward_data(ds, shares, -1, torch.float32).mul_(ctx.scale)
            parts.append(_packed(torch.bmm(ds, keys), read).view(-1, *q_THD.shape[1:]))
            dk = torch.bmm(ds.transpose(1, 2), query)
            for total, own in ((dk_TKD, dk), (dv_TKD, dv)):
                rows, S = read.keys_BS.shape
                spread = own.view(rows, heads, S, -1).transpose(1, 2).reshape(rows * S, heads, -1)
                total.index_add_(0, read.keys_BS.view(-1), spread)
        return _whole(parts, len(q_THD)), dk_TKD, dv_TKD, None


def _queries(q_THD: torch.Tensor, read: Read, heads: int) -> torch.Tensor:
    """[B * K, H / K * Q, D]."""
    rows, Q = read.queries_BQ.shape
    q = q_THD[read.queries_BQ.view(-1)].view(rows, Q, *q_THD.shape[1:])
    return q.transpose(1, 2).reshape(rows * heads, -1, q_THD.shape[-1])


def _keys(k_TKD: torch.Tensor, read: Read) -> torch.Tensor:
    """[B * K, S, D]."""
    rows, S = read.keys_BS.shape
    k = k_TKD[read.keys_BS.view(-1)].view(rows, S, *k_TKD.shape[1:])
    return k.transpose(1, 2).reshape(rows * k_TKD.shape[1], S, -1)


def _packed(attended: torch.Tensor, read: Read) -> torch.Tensor:
    """What the queries found, as packed tokens [R, H * D]."""
    rows, Q = read.queries_BQ.shape
    out = attended.view(rows, -1, Q, attended.shape[-1]).transpose(1, 2).reshape(rows * Q, -1)
    return out if len(read.real_R) == len(out) else out[read.real_R]


def _whole(parts: list[torch.Tensor], count: int) -> torch.Tensor:
    """What all reads found, and zeros for the tokens that fill up."""
    out = parts[0].new_zeros(count, *parts[0].shape[1:])
    first = 0
    for part in parts:
        out[first : first + len(part)] = part
        first += len(part)
    return out


def _blank(given: torch.Tensor, read: Read) -> None:
    """Take away the gradient of what only fills up rows."""
    rows, Q = read.queries_BQ.shape
    filling = torch.ones(rows * Q, dtype=torch.bool)
    filling[read.real_R] = False
    given.view(rows, -1, Q, given.shape[-1]).masked_fill_(filling.view(rows, 1, Q, 1), 0.0)


def attend(q_THD: torch.Tensor, k_TKD: torch.Tensor, v_TKD: torch.Tensor, reads: tuple[Read, ...]) -> torch.Tensor:
    """Return what each token's query finds, [T, H * D]."""
    return _Attend.apply(q_THD, k_TKD, v_TKD, reads)  # type: ignore[no-any-return]
