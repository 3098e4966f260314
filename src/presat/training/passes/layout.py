"""Where the tokens of a batch lie when each prompt is there once and nothing is padded.

Prompts come first, one after the other, then the responses without their last token, which predicts nothing. A `Read`
says which tokens attend to which: a row of queries each, and the keys they may see. Few sizes occur, because the
libraries that multiply matrices prepare themselves for each one anew, and keep that: sizes are rounded up a little, by
tokens that nothing looks at.

Shapes: T packed tokens, N predicted ones, B rows of a read, Q queries and S keys of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch


@dataclass(frozen=True)
class Read:
    """Rows of attention of about one length.

    Attributes:
        queries_BQ: packed places of the queries; the first place fills up short rows.
        keys_BS: packed places of the keys, filled up likewise.
        mask_BQS: 0 where a query sees a key, minus infinity elsewhere; one for all rows where it is the same.
        real_R: places in the flattened queries that are no filling.
    """

    queries_BQ: torch.Tensor
    keys_BS: torch.Tensor
    mask_BQS: torch.Tensor
    real_R: torch.Tensor


@dataclass(frozen=True)
class Layout:
    """A packed batch.

    Attributes:
        ids_T: tokens; those behind the last query of the reads are filling.
        positions_T: place of each in its text.
        reads: attention; together the queries are all packed tokens, in order.
        asked_N: packed places that predict a response's token; those behind the last of `rows` are filling.
        wanted_N: these tokens.
        rows: whose they are.
        columns: which of its tokens each is.
    """

    ids_T: torch.Tensor
    positions_T: torch.Tensor
    reads: tuple[Read, ...]
    asked_N: torch.Tensor
    wanted_N: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor


def pack(prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]]) -> Layout:
    """Lay a batch out.

    Args:
        prompts: tokens of each row's prompt, at least one; equal ones are read once.
        responses: tokens of each row's response.
    """
    owners: dict[tuple[int, ...], int] = {}
    owner_B = [owners.setdefault(tuple(prompt), len(owners)) for prompt in prompts]
    shared = list(owners)
    starts = np.cumsum([0, *(len(prompt) for prompt in shared)])
    after = np.cumsum([starts[-1], *(max(0, len(response) - 1) for response in responses)])
    ids = [token for prompt in shared for token in prompt]
    positions = [np.arange(len(prompt)) for prompt in shared]
    asked, rows, columns = [], [], []
    for row, (owner, response) in enumerate(zip(owner_B, responses, strict=True)):
        ids.extend(response[:-1])
        length = len(shared[owner])
        positions.append(np.arange(length, length + len(response) - 1))
        asked.append(np.concatenate([[starts[owner + 1] - 1], np.arange(after[row], after[row + 1])])[: len(response)])
        rows.append(np.full(len(response), row))
        columns.append(np.arange(len(response)))
    trunks = [(starts[i], starts[i + 1], 0, 0) for i in range(len(shared))]
    ways = [(after[b], after[b + 1], starts[o], starts[o + 1]) for b, o in enumerate(owner_B)]
    ways = [way for way in ways if way[1] > way[0]]  # a response of one token reads nothing
    return Layout(
        _filled(ids),
        _filled(np.concatenate(positions)),
        tuple(_read(spans) for spans in (trunks, ways) if spans),
        _filled(np.concatenate(asked)),
        _filled([token for response in responses for token in response]),
        torch.from_numpy(np.concatenate(rows)),
        torch.from_numpy(np.concatenate(columns)),
    )


def pack_texts(ids_BS: np.ndarray, lengths_B: np.ndarray, scored_BS: np.ndarray) -> Layout:
    """Lay whole texts out, which share nothing.

    Args:
        ids_BS: tokens, padded on the right.
        lengths_B: tokens of each text, at least one.
        scored_BS: which tokens are predicted; no first one. They are the layout's `rows` and `columns`.
    """
    real_BS = np.arange(ids_BS.shape[1]) < lengths_B[:, None]
    starts = np.cumsum([0, *lengths_B])
    rows, columns = np.nonzero(scored_BS & real_BS)
    return Layout(
        _filled(ids_BS[real_BS]),
        _filled(np.nonzero(real_BS)[1]),
        (_read([(start, end, 0, 0) for start, end in pairwise(starts.tolist())]),),
        _filled(starts[rows] + columns - 1),
        _filled(ids_BS[rows, columns]),
        torch.from_numpy(rows),
        torch.from_numpy(columns),
    )


def _filled(values: Sequence[int] | np.ndarray) -> torch.Tensor:
    """The values and as many zeros as make their number a multiple of a 32nd to a 16th of it."""
    step = max(8, 2 ** (len(values) // 16).bit_length() // 2)
    filled = np.zeros(_multiple(len(values), step), dtype=np.int64)
    filled[: len(values)] = values
    return torch.from_numpy(filled)


def _multiple(count: int, step: int) -> int:
    """The least multiple of `step` that is no less than `count`."""
    return -(-count // step) * step


def _read(spans: Sequence[tuple[int, int, int, int]]) -> Read:
    """Rows that go from one place to another, each of which sees a stretch before it and its own past."""
    own = _multiple(max(end - start for start, end, _, _ in spans), 8)
    before = _multiple(max(end - start for _, _, start, end in spans), 8)
    queries_BQ = np.zeros((len(spans), own), dtype=np.int64)
    keys_BS = np.zeros((len(spans), before + own), dtype=np.int64)
    seen_BS = np.zeros((len(spans), before + own), dtype=bool)
    real_BQ = np.zeros((len(spans), own), dtype=bool)
    for row, (start, end, first, last) in enumerate(spans):
        queries_BQ[row, : end - start] = np.arange(start, end)
        real_BQ[row, : end - start] = True
        keys_BS[row, : last - first] = np.arange(first, last)
        keys_BS[row, before : before + end - start] = np.arange(start, end)
        seen_BS[row, : last - first] = True
    own_QQ = np.tril(np.ones((own, own), dtype=bool))
    if not before:
        return _masked(queries_BQ, keys_BS, own_QQ[None], real_BQ)
    seen_BQS = np.broadcast_to(seen_BS[:, None], (len(spans), own, before + own)).copy()
    seen_BQS[:, :, before:] |= own_QQ  # what fills up a row lies behind all that its queries see
    return _masked(queries_BQ, keys_BS, seen_BQS, real_BQ)


def _masked(queries_BQ: np.ndarray, keys_BS: np.ndarray, seen_BQS: np.ndarray, real_BQ: np.ndarray) -> Read:
    mask_BQS = torch.zeros(seen_BQS.shape).masked_fill_(~torch.from_numpy(seen_BQS), float("-inf"))
    real_R = torch.from_numpy(np.flatnonzero(real_BQ))
    return Read(torch.from_numpy(queries_BQ), torch.from_numpy(keys_BS), mask_BQS, real_R)
