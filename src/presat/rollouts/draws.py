"""Random numbers that depend on nothing but their address.

One uniform number a token, from a SplitMix64 stream whose key is (problem seed, response index) and whose counter is
the token position. No state is kept: any rows can be drawn in any order, in any process, with the same result.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def seed_for(seed: int, *parts: int | str) -> int:
    """Return a 63-bit seed that is a stable function of `seed` and `parts` (on every machine and in every process)."""
    digest = hashlib.blake2b(repr((int(seed), *parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def uniforms(seeds_B: NDArray[np.uint64], indices_B: NDArray[np.uint64], start: int, count: int) -> NDArray[np.float64]:
    """Return uniform numbers in [0, 1), shape [B, count], for token positions `start` to `start + count - 1`.

    Args:
        seeds_B: the problem seed of each row.
        indices_B: the response index of each row within its group.
        start: first token position.
        count: how many positions.
    """
    with np.errstate(over="ignore"):
        keys_B = _mix(seeds_B ^ _mix((indices_B + np.uint64(1)) * _GOLDEN))
        counters_T = np.arange(start + 1, start + count + 1, dtype=np.uint64) * _GOLDEN
        bits_BT = _mix(keys_B[:, None] + counters_T[None, :])
    return (bits_BT >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser: a bijection of 64-bit integers that avalanches."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))
