"""Decoding rows side by side: tokens are drawn by inverse CDF until every row has ended.

On a GPU nothing is read back for a token. What a turn reads and writes stays on the device; only every `_GPU.every`
turns are the drawn tokens looked at, to see which rows have ended. On a CPU, where looking costs nothing, that is after
every turn, and rows that have ended soon leave. Shapes: B rows, V vocabulary, T response tokens, U places of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (its usual name)

from presat.rollouts import graphs
from presat.rollouts.draws import uniforms

_BLOCK = 64  # token places whose uniform numbers are made and moved at once; a multiple of what is done between looks
_LARGE, _CHUNK = 4096, 256  # a vocabulary whose running sums are made in chunks, and their size


class Decoder(Protocol):
    """One batch being decoded.

    Attributes:
        repeatable: whether `step` does the same to the same memory at every call, as a recording does.
    """

    repeatable: bool

    def start(self, prompts: Sequence[Sequence[int]], owner_B: torch.Tensor, room: int) -> torch.Tensor:
        """Prefill every prompt once for its rows (row b has prompt `owner_B[b]`), return logits [B, V].

        Args:
            prompts: token ids of each.
            owner_B: on the CPU.
            room: most tokens that will be appended.
        """
        ...

    def advance(self) -> bool:
        """Make room for the token of the next `step`; whether that moved anything which `step` reads or writes."""
        ...

    def step(self, tokens_B: torch.Tensor) -> torch.Tensor:
        """Append one token to every row and return the next-token logits [B, V]."""
        ...

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows only, in this order; `rows` is on the CPU."""
        ...


class Drawn(NamedTuple):
    """What was drawn; rows beyond their length hold anything."""

    tokens_BT: np.ndarray
    logprobs_BT: np.ndarray
    lengths_B: np.ndarray
    ended_B: np.ndarray
    """Whether the last token is one that ends a response."""


@dataclass(frozen=True, slots=True)
class _Pace:
    """When drawn tokens are looked at, and when rows that have ended leave the batch.

    Attributes:
        every: turns between looks; divides `_BLOCK`.
        drop: rows leave once they are this share.
        narrow: a batch of so few rows takes no less time when some leave.
    """

    every: int
    drop: float
    narrow: int


_CPU = _Pace(every=1, drop=0.125, narrow=0)
_GPU = _Pace(every=16, drop=0.5, narrow=128)  # shapes that change seldom: each takes two turns to record


class Draws:
    """The uniform numbers of a batch, made in blocks of token places.

    Args:
        seeds: the problem seed of each row.
        indices: the response index of each row within its group.
    """

    def __init__(self, seeds: Sequence[int], indices: Sequence[int]) -> None:
        self._seeds_B = np.array(seeds, dtype=np.uint64)
        self._indices_B = np.array(indices, dtype=np.uint64)

    def block(self, position: int, rows: np.ndarray) -> torch.Tensor:
        """Return the uniform numbers of `rows` at a block's places, the first of which is `position`, float64."""
        return torch.from_numpy(uniforms(self._seeds_B[rows], self._indices_B[rows], position, _BLOCK))


def draw(logits_BV: torch.Tensor, uniforms_B: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw one token a row by inverse CDF; temperature 0 takes the most likely one.

    Returns:
        tokens_B and the log-probability of each under the sampling distribution (at temperature 1 when greedy).
    """
    if temperature == 0.0:
        logprobs_BV = logits_BV.float().log_softmax(-1)
        values, tokens = logprobs_BV.max(-1)
        return tokens, values
    logits_BV = logits_BV.float()
    if temperature != 1.0:
        logits_BV = logits_BV / temperature
    probs_BV = logits_BV.softmax(-1)
    tokens_B1 = _inverse_cdf(probs_BV, uniforms_B[:, None])
    return tokens_B1.squeeze(1), probs_BV.gather(1, tokens_B1).squeeze(1).log()


def _inverse_cdf(probs_BV: torch.Tensor, uniforms_B1: torch.Tensor) -> torch.Tensor:
    """Return the token [B, 1] at which the sum of probabilities passes a share of the whole sum.

    Of a large vocabulary the sums of chunks are passed first, then one chunk's tokens: running sums in float64 of all
    tokens are slow.
    """
    size = probs_BV.shape[1]
    if size < _LARGE:
        cdf_BV = probs_BV.cumsum(-1, dtype=torch.float64)
        return _passed(cdf_BV, uniforms_B1 * cdf_BV[:, -1:])
    chunks_BCX = F.pad(probs_BV, (0, -size % _CHUNK)).unflatten(1, (-1, _CHUNK))
    cdf_BC = chunks_BCX.sum(-1, dtype=torch.float64).cumsum(-1)
    targets_B1 = uniforms_B1 * cdf_BC[:, -1:]
    chunk_B1 = _passed(cdf_BC, targets_B1)
    probs_BX = chunks_BCX.gather(1, chunk_B1[:, :, None].expand(-1, -1, _CHUNK)).squeeze(1)
    inner_BX = probs_BX.cumsum(-1, dtype=torch.float64)
    before_B1 = F.pad(cdf_BC, (1, 0)).gather(1, chunk_B1)
    # sums in another order may differ in their last bits: the target stays inside the chunk
    last_B1 = inner_BX[:, -1:] * (1 - 2**-50)
    return chunk_B1 * _CHUNK + _passed(inner_BX, (targets_B1 - before_B1).clamp_(min=0).minimum(last_B1))


def _passed(cdf_BX: torch.Tensor, targets_B1: torch.Tensor) -> torch.Tensor:
    """Return the first place above the target, so that one of probability zero is never taken."""
    return torch.searchsorted(cdf_BX, targets_B1, right=True).clamp_(max=cdf_BX.shape[1] - 1)


class _Turns:
    """The batch's side on the device: a turn appends the last token, draws the next and writes it down."""

    def __init__(
        self, decoder: Decoder, logits_BV: torch.Tensor, temperature: float, repeated: graphs.Repeated
    ) -> None:
        rows, device = logits_BV.shape[0], logits_BV.device
        self._decoder, self._temperature, self._device = decoder, temperature, device
        self._first: torch.Tensor | None = logits_BV
        self._tokens_B = torch.zeros(rows, dtype=torch.long, device=device)
        self._uniforms_BU = torch.zeros(rows, _BLOCK, dtype=torch.float64, device=device)
        self._drawn_BU = torch.zeros(rows, _BLOCK, dtype=torch.long, device=device)
        self._logprobs_BU = torch.zeros(rows, _BLOCK, device=device)
        self._place = 0  # the next in the block
        self._at = torch.zeros(1, dtype=torch.long, device=device)  # the same, for a recording
        self._repeated = repeated
        repeated.renew()

    def begin(self, uniforms_BU: torch.Tensor) -> None:
        """Take the uniform numbers of the next block and start at its first place."""
        self._uniforms_BU.copy_(uniforms_BU)
        self._place = 0
        self._at.zero_()

    def turn(self) -> None:
        """One token more for every row."""
        if self._first is not None:
            self._draw(self._first)
            self._first = None
            return
        if self._decoder.advance():
            self._repeated.renew()
        if self._decoder.repeatable:
            self._repeated(self._work, self._device)
        else:
            self._work()

    def found(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """Tokens and log-probabilities drawn at the block's places from `first` to before `last`."""
        return self._drawn_BU[:, first:last].cpu().numpy(), self._logprobs_BU[:, first:last].cpu().numpy()

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows only, in this order."""
        self._decoder.keep(rows)
        rows = rows.to(self._device)
        self._tokens_B, self._uniforms_BU = self._tokens_B[rows], self._uniforms_BU[rows]
        self._drawn_BU, self._logprobs_BU = self._drawn_BU[rows], self._logprobs_BU[rows]
        self._repeated.renew()

    def _work(self) -> None:
        self._draw(self._decoder.step(self._tokens_B))

    def _draw(self, logits_BV: torch.Tensor) -> None:
        place, self._place = self._place, self._place + 1
        if not self._decoder.repeatable:
            self._tokens_B, self._logprobs_BU[:, place] = draw(
                logits_BV, self._uniforms_BU[:, place], self._temperature
            )
            self._drawn_BU[:, place] = self._tokens_B
            return
        uniforms_B = self._uniforms_BU.index_select(1, self._at).squeeze(1)
        tokens_B, logprobs_B = draw(logits_BV, uniforms_B, self._temperature)
        self._tokens_B.copy_(tokens_B)
        self._drawn_BU.index_copy_(1, self._at, tokens_B[:, None])
        self._logprobs_BU.index_copy_(1, self._at, logprobs_B[:, None])
        self._at.add_(1)


def decode_rows(
    decoder: Decoder,
    logits_BV: torch.Tensor,
    draws: Draws,
    temperature: float,
    limit: int,
    eos_ids: Sequence[int],
    repeated: graphs.Repeated,
    hear: Callable[[np.ndarray, Drawn], None] | None = None,
) -> Drawn:
    """Decode until every row has ended or is at the limit.

    Args:
        decoder: has been started.
        logits_BV: what its start returned.
        draws: the rows' uniform numbers.
        temperature: of sampling; 0 is greedy.
        limit: most tokens of a response.
        eos_ids: tokens that end one.
        repeated: what repeats a step.
        hear: told of rows that have just ended, and of what is found so far.
    """
    count = logits_BV.shape[0]
    pace = _GPU if graphs.off_cpu(logits_BV.device) else _CPU
    eos = np.array(sorted(eos_ids))
    out = Drawn(
        np.zeros((count, limit), dtype=np.int64),
        np.zeros((count, limit), dtype=np.float32),
        np.full(count, limit),
        np.ones(count, dtype=bool),
    )
    alive = np.arange(count)  # the batch's rows, by their first number; some may have ended already
    open_rows = np.ones(count, dtype=bool)  # of `alive`: not ended
    turns = _Turns(decoder, logits_BV, temperature, repeated)
    for start in range(0, limit, pace.every):
        place, stop = start % _BLOCK, min(start + pace.every, limit)
        if place == 0:
            turns.begin(draws.block(start, alive))
        for _ in range(start, stop):
            turns.turn()
        tokens, logprobs = turns.found(place, place + stop - start)
        out.tokens_BT[alive, start:stop], out.logprobs_BT[alive, start:stop] = tokens, logprobs
        ends = (tokens[:, :, None] == eos).any(-1)
        ended = ends.any(1) & open_rows
        if ended.any():
            out.lengths_B[alive[ended]] = start + 1 + ends[ended].argmax(1)
            if hear is not None:
                hear(alive[ended], out)
            open_rows &= ~ended
            if not open_rows.any():
                break
        if stop < limit and len(alive) > pace.narrow and (~open_rows).mean() >= pace.drop:
            rows = _closed_up(open_rows)
            turns.keep(torch.from_numpy(rows))
            alive, open_rows = alive[rows], np.ones(len(rows), dtype=bool)
    out.ended_B[alive[open_rows]] = False
    return out


def _closed_up(open_rows: np.ndarray) -> np.ndarray:
    """The open rows in an order that moves few: those beyond the new end take the places of the ended ones."""
    left = int(open_rows.sum())
    rows = np.arange(left)
    rows[~open_rows[:left]] = left + np.flatnonzero(open_rows[left:])
    return rows
