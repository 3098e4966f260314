"""Rotary embeddings and attention of packed tokens, forward and backward.

Shapes as in `layout`; H query heads, K key-value heads, D dimensions of a head.
"""

from __future__ import annotations

from typing import Any, NamedTuple

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


class Spread(NamedTuple):
    """A read by heads: which of the rows of D numbers, H or K of them a token, make its matrices.

    Attributes:
        queries: [B * H * Q].
        keys: [B * K * S].
        real: places in `queries`, token by token and head by head, that are no filling, [R * H].
        filling: [B, 1, Q, 1], where a row is filled up; None where none is.
        mask: [B or 1, 1, Q, S].
    """

    queries: torch.Tensor
    keys: torch.Tensor
    real: torch.Tensor
    filling: torch.Tensor | None
    mask: torch.Tensor

    @classmethod
    def of(cls, read: Read, H: int, K: int) -> Spread:
        """Spread a read over heads."""
        rows, Q = read.queries_BQ.shape
        real_R, R = read.real_R, len(read.real_R)
        heads = torch.arange(H)
        real = ((real_R // Q)[:, None] * H + heads) * Q + (real_R % Q)[:, None]
        filling = None
        if rows * Q > R:
            filling = torch.ones(rows * Q, dtype=torch.bool)
            filling[real_R] = False
            filling = filling.view(rows, 1, Q, 1)
        return cls(
            _by_heads(read.queries_BQ, H),
            _by_heads(read.keys_BS, K),
            real.view(-1),
            filling,
            read.mask_BQS[:, None],
        )


def _by_heads(places_BQ: torch.Tensor, heads: int) -> torch.Tensor:
    return (places_BQ[:, None] * heads + torch.arange(heads)[:, None]).view(-1)


class _Attend(torch.autograd.Function):
    """Attention of all reads; a key that several rows see gets the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, q_THD: torch.Tensor, k_TKD: torch.Tensor, v_TKD: torch.Tensor, spreads: tuple[Spread, ...]):
        D = q_THD.shape[-1]
        out, first, kept = torch.zeros_like(q_THD).view(-1, D), 0, []
        for spread in spreads:
            query, keys, values = _matrices(q_THD, k_TKD, v_TKD, spread)
            shares = torch.bmm(query, keys.transpose(1, 2))
            scores = shares.view(-1, q_THD.shape[1], *spread.mask.shape[2:])
            shares = torch.softmax(scores.mul_(D**-0.5).add_(spread.mask), -1).view_as(shares)
            first = _put(out, first, torch.bmm(shares, values), spread)
            kept.append(shares)
        ctx.spreads = spreads
        ctx.save_for_backward(q_THD, k_TKD, v_TKD, *kept)
        return out.view(len(q_THD), -1)

    @staticmethod
    def backward(ctx: Any, gradient_TM: torch.Tensor):  # type: ignore[override]
        q_THD, k_TKD, v_TKD, *kept = ctx.saved_tensors
        D = q_THD.shape[-1]
        given_THD = gradient_TM.view_as(q_THD)
        dq, first = torch.zeros_like(q_THD), 0
        dk, dv = torch.zeros_like(k_TKD), torch.zeros_like(v_TKD)
        for spread, shares in zip(ctx.spreads, kept, strict=True):
            query, keys, values = _matrices(q_THD, k_TKD, v_TKD, spread)
            given = given_THD.view(-1, D).index_select(0, spread.queries)
            if spread.filling is not None:
                given.view(len(spread.filling), -1, *spread.filling.shape[2:3], D).masked_fill_(spread.filling, 0.0)
            given = given.view_as(query)
            dv.view(-1, D).index_add_(0, spread.keys, torch.bmm(shares.transpose(1, 2), given).view(-1, D))
            ds = torch.bmm(given, values.transpose(1, 2))
            ds = torch.ops.aten._softmax_backward_data(ds, shares, -1, torch.float32).mul_(D**-0.5)
            first = _put(dq.view(-1, D), first, torch.bmm(ds, keys), spread)
            dk.view(-1, D).index_add_(0, spread.keys, torch.bmm(ds.transpose(1, 2), query).view(-1, D))
        return dq, dk, dv, None


def _matrices(
    q_THD: torch.Tensor, k_TKD: torch.Tensor, v_TKD: torch.Tensor, spread: Spread
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries [B * K, H / K * Q, D], keys and values [B * K, S, D]."""
    D, S = k_TKD.shape[-1], spread.mask.shape[-1]
    keys = k_TKD.reshape(-1, D).index_select(0, spread.keys).view(-1, S, D)
    values = v_TKD.reshape(-1, D).index_select(0, spread.keys).view(-1, S, D)
    query = q_THD.reshape(-1, D).index_select(0, spread.queries)
    return query.view(len(keys), -1, D), keys, values


def _put(out: torch.Tensor, first: int, found: torch.Tensor, spread: Spread) -> int:
    """Write what queries found behind what is there, token by token; returns where to go on."""
    last = first + len(spread.real)
    torch.index_select(found.reshape(-1, out.shape[-1]), 0, spread.real, out=out[first:last])
    return last


def attend(q_THD: torch.Tensor, k_TKD: torch.Tensor, v_TKD: torch.Tensor, spreads: tuple[Spread, ...]) -> torch.Tensor:
    """Return what each token's query finds, [T, H * D]; nothing for those that fill up."""
    return _Attend.apply(q_THD, k_TKD, v_TKD, spreads)  # type: ignore[no-any-return]
