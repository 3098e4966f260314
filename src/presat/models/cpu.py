"""How a verb uses the CPU: its threads, and which library multiplies float32 matrices.

torch multiplies them by MKL, which on AMD processors takes about twice as long as oneDNN does. The only switch is the
one that also allows oneDNN to round to bfloat16; where it would, it is switched back: rounding undoes most of what
small learning rates do (docs/models.md).
"""

from __future__ import annotations

import torch

_FLOAT32 = 1e-3  # a product of 512 x 512 normal numbers is off by 1e-5 in float32, by 1e-1 in bfloat16


def use_cpu(threads: int, onednn: bool) -> None:
    """Set up this process.

    Args:
        threads: CPU threads; 0 leaves torch's choice.
        onednn: multiply float32 matrices by oneDNN where it does so in float32.
    """
    if threads:
        torch.set_num_threads(threads)
    if onednn and not torch.cuda.is_available():  # the same switch lets a GPU round float32 products
        torch.set_float32_matmul_precision("medium")
        if _product_error() > _FLOAT32:
            torch.set_float32_matmul_precision("highest")


def _product_error() -> float:
    """Return how far a product of float32 matrices is from the exact one, at most."""
    matrix = torch.randn(512, 512, generator=torch.Generator().manual_seed(0))
    exact = (matrix.double() @ matrix.double()).float()
    return (matrix @ matrix - exact).abs().max().item()
