"""The `presat` command in bfloat16 mixed precision, for CPUs that multiply bfloat16 faster than float32.

    python examples/smollm2/quick.py train --config smollm2-train

Weights and optimiser stay float32: where the weights themselves are bfloat16, a change of 1e-5, about what AdamW makes
in a step at that learning rate, leaves 98% of this model's weights as they are.
"""

from __future__ import annotations

import ctypes
import os
import sys

import torch

from presat.cli import main

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's malloc.h

if __name__ == "__main__":
    torch.set_float32_matmul_precision("medium")  # sampling: float32 matrices multiplied as bfloat16
    os.environ.setdefault("ACCELERATE_MIXED_PRECISION", "bf16")  # training: autocast
    if sys.platform == "linux":  # keep freed memory: asking the kernel for it again took a fifth of the time
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    main()
