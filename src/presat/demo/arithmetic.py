"""The same bits on every x86-64 processor with AVX2, so that the demo's outcome does not hang on the machine.

A sum of floats depends on its order, and libraries choose that by the vector units they find; a run of GRPO turns the
last bit into another curve within a few steps. So the demo's workers are told to compute as an AVX2 machine would: MKL
takes the path that all processors share, torch its AVX2 kernels. Everything is in float32, so neither oneDNN nor
bfloat16 units come into it (Muon's iteration included: see `presat.training.supervised.optim`).
"""

from __future__ import annotations

import platform
from pathlib import Path

_SAME = {"MKL_CBWR": "COMPATIBLE", "ATEN_CPU_CAPABILITY": "avx2"}


def same_everywhere(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, str]:
    """Return the environment that makes a process compute so; empty where the processor is of another kind.

    It must be set before torch is imported.
    """
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return {}
    if cpuinfo.is_file() and " avx2 " not in f" {cpuinfo.read_text(encoding='utf-8', errors='replace')} ":
        return {}
    return dict(_SAME)
