"""Rows arranged by the prompt they answer, so that all rows of a prompt read it as one matrix.

Every prompt has the same number of seats, N, as many as the prompt with the most rows needs. While each prompt has N
rows, one after the other, arranging them moves nothing; else rows are gathered to their seats and back.
Shapes: P prompts, B rows, H heads in K groups of G, X numbers a head.
"""

from __future__ import annotations

import torch


class Seats:
    """Which row sits where.

    Args:
        owner_B: the prompt of each row, on the CPU.
        prompts: how many there are; some may have no row.
        device: where rows are.
    """

    def __init__(self, owner_B: torch.Tensor, prompts: int, device: torch.device) -> None:
        counts_P = torch.bincount(owner_B, minlength=prompts)
        self.prompts, self.seats = prompts, int(counts_P.max())
        order = owner_B.argsort(stable=True)
        first_P = counts_P.cumsum(0) - counts_P
        rank_B = torch.empty_like(owner_B)
        rank_B[order] = torch.arange(len(owner_B)) - first_P[owner_B[order]]
        seat_B = owner_B * self.seats + rank_B
        self._seat_B: torch.Tensor | None = None
        self._row_PN: torch.Tensor | None = None
        if not torch.equal(seat_B, torch.arange(prompts * self.seats)):
            row_PN = torch.zeros(prompts * self.seats, dtype=torch.long)  # who sits in an empty seat is never asked
            row_PN[seat_B] = torch.arange(len(owner_B))
            self._seat_B, self._row_PN = seat_B.to(device), row_PN.to(device)

    def seated(self, x_BHX: torch.Tensor, heads: int) -> torch.Tensor:
        """Return rows [B, H, X] by prompt and group of heads: [P * K, N * G, X]."""
        if self._row_PN is not None:
            x_BHX = x_BHX.index_select(0, self._row_PN)
        x_PNKGX = x_BHX.unflatten(0, (self.prompts, self.seats)).unflatten(2, (heads, -1))
        return x_PNKGX.transpose(1, 2).reshape(self.prompts * heads, -1, x_BHX.shape[-1])

    def risen(self, x: torch.Tensor, heads: int) -> torch.Tensor:
        """Return what was found by prompt and group of heads, [P * K, N * G, X], by row: [B, H, X]."""
        x_PKNGX = x.view(self.prompts, heads, self.seats, -1, x.shape[-1])
        x_BHX = x_PKNGX.transpose(1, 2).reshape(self.prompts * self.seats, -1, x.shape[-1])
        return x_BHX if self._seat_B is None else x_BHX.index_select(0, self._seat_B)
