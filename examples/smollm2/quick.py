"""The `presat` command, quicker on CPUs where torch multiplies float32 matrices slowly: same numbers, half the time.

    python examples/smollm2/quick.py train --config smollm2-train

On AMD processors oneDNN does that more than twice as fast as MKL, which torch takes by default. The only switch is the
one that also allows oneDNN to round to bfloat16; where it does, it is switched back: rounding undoes most of what small
learning rates do (see docs/models.md).
"""

from __future__ import annotations

import ctypes
import sys

import torch

from presat.cli import main

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's malloc.h


def products_are_float32() -> bool:
    """Whether a product of float32 matrices is good to float32 (about 1e-5 here; bfloat16 would be off by 1e-1)."""
    matrix = torch.randn(512, 512, generator=torch.Generator().manual_seed(0))
    exact = (matrix.double() @ matrix.double()).float()
    return (matrix @ matrix - exact).abs().max().item() < 1e-3


if __name__ == "__main__":
    torch.set_float32_matmul_precision("medium")
    if not products_are_float32():
        torch.set_float32_matmul_precision("highest")
    if sys.platform == "linux":  # keep freed memory: asking the kernel for it again took a fifth of the time
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    main()
