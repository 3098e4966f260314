"""A CUDA graph on the CPU: what a recording holds are operations and the memory they read and write, and no Python.

Recording runs the work, as a recording of a GPU does not; so what it changed is put back. Reading a number, or copying
to where Python sees it, is refused as it is there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_READS = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default, torch.ops.aten.equal.default}


class Calls(TorchDispatchMode):
    """Notes the operations that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func in _READS:
            raise RuntimeError(f"{func} waits for the device")
        before = [(t, t.clone()) for t in tree_leaves(args) if isinstance(t, torch.Tensor)] if _writes(func) else []
        out = func(*args, **(kwargs or {}))
        self.made.append((func, args, kwargs or {}, out))
        self.undo = [*getattr(self, "undo", []), *before]
        return out


class CpuRecorder:
    """Stands in for `presat.rollouts.graphs.Recorder`."""

    recordings = 0
    replays = 0

    def __init__(self, device: torch.device) -> None:
        del device

    def warm(self, work: Callable[[], None]) -> None:
        work()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        calls = Calls()
        with calls:
            work()
        for changed, before in reversed(calls.undo):
            changed.copy_(before)
        type(self).recordings += 1

        def replay() -> None:
            type(self).replays += 1
            for func, args, kwargs, out in calls.made:
                again = func(*args, **kwargs)
                for old, new in zip(tree_leaves(out), tree_leaves(again), strict=True):
                    if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                        old.copy_(new)

        return replay


def _writes(func: Any) -> bool:
    return func._schema.is_mutable
