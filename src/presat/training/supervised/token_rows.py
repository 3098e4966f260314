"""Rows of equal length, read from a token file when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from presat.training.supervised.token_file import TokenFile


@dataclass(frozen=True)
class TokenRows:
    """A token file cut into rows, without those held out; a last incomplete row is dropped.

    It is a few words whatever the size of the corpus, and can be handed to any process.

    Attributes:
        file: the tokens.
        length: tokens a row.
        held_out: places of the rows held out, ascending.
    """

    file: TokenFile
    length: int
    held_out: tuple[int, ...] = ()

    def __len__(self) -> int:
        return self.file.tokens // self.length - len(self.held_out)

    def read(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the rows at `indices`, counted without those held out: ids (indices, length), int64."""
        held_out, wanted = np.array(self.held_out, dtype=np.int64), np.asarray(indices, dtype=np.int64)
        skipped = np.searchsorted(held_out - np.arange(len(held_out)), wanted, side="right")
        return self.file.rows(self.length, wanted + skipped)

    def batch(self, columns: Mapping[str, Sequence[int]]) -> dict[str, list[np.ndarray]]:
        """Return `input_ids` and `labels` of the rows listed under `row`: the loss is on every token."""
        ids = list(self.read(columns["row"]))
        return {"input_ids": ids, "labels": ids}


def draw_held_out(file: TokenFile, length: int, count: int, seed: int) -> tuple[int, ...]:
    """Return the places of `count` rows of `file`, drawn by `seed`, ascending; there must be as many."""
    drawn = np.random.default_rng(seed).choice(file.tokens // length, count, replace=False)
    return tuple(np.sort(drawn).tolist())
