"""A step that is repeated many times, recorded once as a CUDA graph and replayed without Python or launches.

What is recorded are kernels and addresses: a step that is to be repeated takes its tokens, its place and its caches
from tensors that stay where they are, and whoever moves one of them, or changes a shape, calls `renew`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch

LOG = logging.getLogger("presat")


def off_cpu(device: torch.device) -> bool:
    """Whether a device works while Python goes on: shapes are kept there, and what it found is looked at seldom."""
    return device.type != "cpu"


def records(device: torch.device) -> bool:
    """Whether work on a device can be recorded."""
    return device.type == "cuda"


class Recorder:
    """Records work on one GPU. All recordings share one stretch of memory, so only the last may be replayed."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._last: torch.cuda.CUDAGraph | None = None

    def warm(self, work: Callable[[], None]) -> None:
        """Do the work where it will be recorded: libraries load their kernels and get their memory at first use."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            work()
        current.wait_stream(self._stream)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Return what repeats the work; it is not done yet.

        Raises:
            RuntimeError: something in it cannot be recorded.
        """
        graph = torch.cuda.CUDAGraph()
        pool = self._last.pool() if self._last is not None else None
        torch.cuda.synchronize(self._device)
        # not torch.cuda.graph: that gives all cached memory back first, which the trainer would ask for again
        with torch.cuda.stream(self._stream):
            graph.capture_begin(pool, capture_error_mode="thread_local")
            try:
                work()
            finally:
                graph.capture_end()
        self._last = graph
        return graph.replay


class Repeated:
    """Work that is done again and again: the first time plainly, then from a recording, where there can be one."""

    def __init__(self) -> None:
        self._recorder: Any = None
        self._replay: Callable[[], None] | None = None
        self._warm = False
        self._refused = False

    def renew(self) -> None:
        """Forget the recording: what comes next is other work, or reads other memory."""
        self._replay, self._warm = None, False

    def __call__(self, work: Callable[[], None], device: torch.device) -> None:
        """Do `work`, which is the same as at the last call unless `renew` was called since."""
        if self._refused or not records(device):
            work()
        elif self._replay is not None:
            self._replay()
        elif not self._warm:
            self._recorder = self._recorder or Recorder(device)
            self._recorder.warm(work)
            self._warm = True
        else:
            self._record(work)

    def _record(self, work: Callable[[], None]) -> None:
        try:
            replay = self._replay = self._recorder.record(work)
        except RuntimeError as error:
            self._refused = True
            LOG.warning("Decoding is not recorded as a CUDA graph and takes longer: %s", error)
            work()
        else:
            replay()
