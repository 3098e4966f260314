"""Rows arranged by the prompt they answer, so that all rows of a prompt read it as one matrix.

Every prompt has the same number of seats, N, as many as the prompt with the most rows needs. Rows are gathered to their
seats and back, group of heads by group of heads. Shapes: P prompts, B rows, H heads in K groups of G, X numbers a head.
"""

from __future__ import annotations

import torch


class Seats:
    """Which row sits where.

    Args:
        owner_B: the prompt of each row, on the CPU.
        prompts: how many there are; some may have no row.
        heads: groups of heads.
        device: where rows are.
    """

    def __init__(self, owner_B: torch.Tensor, prompts: int, heads: int, device: torch.device) -> None:
        counts_P = torch.bincount(owner_B, minlength=prompts)
        seats, rows = int(counts_P.max()), torch.arange(len(owner_B))
        order = owner_B.argsort(stable=True)
        first_P = counts_P.cumsum(0) - counts_P
        rank_B = torch.empty_like(owner_B)
        rank_B[order] = rows - first_P[owner_B[order]]
        row_PN = torch.zeros(prompts, seats, dtype=torch.long)  # who sits in an empty seat is never asked
        row_PN[owner_B, rank_B] = rows
        group_K = torch.arange(heads)
        self._taken = (row_PN[:, None] * heads + group_K[None, :, None]).flatten().to(device)  # [P * K * N]
        seat_BK = (owner_B[:, None] * heads + group_K) * seats + rank_B[:, None]
        self._left = seat_BK.flatten().to(device)
        self._matrices = prompts * heads

    def seated(self, x: torch.Tensor) -> torch.Tensor:
        """Return what each row has, [B * K, G, X], by prompt and group of heads: [P * K, N * G, X]."""
        return x.index_select(0, self._taken).view(self._matrices, -1, x.shape[-1])

    def risen(self, x: torch.Tensor, groups: int) -> torch.Tensor:
        """Return what was found by prompt and group of heads, [P * K, N * G, X], by row: [B * K, G, X]."""
        return x.view(-1, groups * x.shape[-1]).index_select(0, self._left).view(-1, groups, x.shape[-1])
