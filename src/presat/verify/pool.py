"""Killable worker processes for verification.

Math-Verify and Reasoning Gym can hang on, or be crashed by, what a model writes. Threads cannot be stopped and signals
work in a main thread only, so items go to separate processes: one item at a time each, the clock starting when the
worker says it has begun, and a worker that is late is killed and replaced. Workers are started on first use.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

from presat.errors import VerifierError

TIMEOUT = "timeout"
CRASH = "worker crash"
START_LIMIT_S = 120.0
"""Seconds a worker may take to start and to import what an item needs."""

Item = tuple[str, tuple[Any, ...]]
Verdict = tuple[float | None, str | None, str | None]


@dataclass
class _Worker:
    """One process, the parent's end of its connection, and what it is doing."""

    process: subprocess.Popen[bytes]
    connection: Connection
    item: int | None = None
    deadline: float = 0.0
    begun: bool = False

    def give(self, index: int, item: Item, timeout_s: float) -> None:
        self.connection.send((*item, timeout_s))
        self.item, self.begun, self.deadline = index, False, time.monotonic() + START_LIMIT_S

    def kill(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.wait()


def _start() -> _Worker:
    ours, theirs = Pipe(duplex=True)
    environment = {**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
    try:
        process = subprocess.Popen(  # noqa: S603  (our own module, run by our own interpreter)
            # -P: a file in the working directory that is called like a library must not stand in for it
            [sys.executable, "-P", "-m", "presat.verify.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the parent, which then closes the connection
        )
    except OSError as error:
        raise VerifierError(f"A verification worker could not be started: {error}") from error
    theirs.close()
    return _Worker(process, ours)


def _kill_all(workers: list[_Worker], owner: int) -> None:
    """Kill the workers of the process `owner`; a fork of it only lets go of them."""
    for worker in workers:
        if os.getpid() == owner:
            worker.kill()
        else:
            worker.connection.close()
    workers.clear()


class WorkerPool:
    """Runs items in worker processes and returns their verdicts in order.

    Attributes:
        size: how many processes.
        timeout_s: seconds an item may take from when its worker begins it.
        timeouts: items that took longer, so far.
        crashes: items whose worker died or raised, so far.
    """

    def __init__(self, size: int = 1, timeout_s: float = 5.0) -> None:
        self.size, self.timeout_s = size, timeout_s
        self.timeouts = self.crashes = 0
        self._own()

    def run(self, items: Sequence[Item]) -> list[Verdict]:
        """Return one verdict per item; `(None, None, reason)` for an item that was too slow or crashed its worker.

        Raises:
            VerifierError: workers cannot be started, or a library they need is broken.
        """
        if os.getpid() != self._owner:  # a fork: the workers, and what they say, are its parent's
            self._own()
        verdicts: list[Verdict | None] = [None] * len(items)
        queue = deque(range(len(items)))
        try:
            while queue or any(worker.item is not None for worker in self._workers):
                self._hand_out(items, queue)
                self._collect(verdicts)
        except BaseException:
            self.close()  # what the workers were doing is of no use to the next call
            raise
        return [verdict for verdict in verdicts if verdict is not None]

    def close(self) -> None:
        """Stop the workers; the pool starts new ones when it is used again."""
        _kill_all(self._workers, self._owner)

    def _own(self) -> None:
        """Begin an empty list of workers, which die with this pool in this process."""
        self._owner = os.getpid()
        self._workers: list[_Worker] = []
        weakref.finalize(self, _kill_all, self._workers, self._owner)

    def _hand_out(self, items: Sequence[Item], queue: deque[int]) -> None:
        while queue:
            worker = next((worker for worker in self._workers if worker.item is None), None)
            if worker is None:
                if len(self._workers) >= self.size:
                    return
                worker = _start()
                self._workers.append(worker)
            try:
                worker.give(queue[0], items[queue[0]], self.timeout_s)
            except (BrokenPipeError, ConnectionResetError):  # it died while idle; the item was not at fault
                self._drop(worker)
            else:
                queue.popleft()

    def _collect(self, verdicts: list[Verdict | None]) -> None:
        """Wait for the next reply or deadline and note what it says."""
        busy = {worker.connection: worker for worker in self._workers if worker.item is not None}
        first = min(worker.deadline for worker in busy.values())
        ready = wait(list(busy), timeout=max(0.0, first - time.monotonic()))
        for connection in ready:
            self._read(busy[connection], verdicts)  # pyright: ignore[reportArgumentType]
        for worker in busy.values():
            if worker.item is not None and time.monotonic() > worker.deadline and not worker.connection.poll():
                self._late(worker, verdicts)

    def _read(self, worker: _Worker, verdicts: list[Verdict | None]) -> None:
        assert worker.item is not None  # noqa: S101  (only busy workers are read)
        try:
            kind, *rest = json.loads(worker.connection.recv_bytes())
        except (EOFError, OSError):
            if not worker.begun and worker.process.wait() == 1:
                raise VerifierError(
                    "A verification worker could not start: `python -c 'import presat.verify.worker'` says why."
                ) from None
            self.crashes += 1
            verdicts[worker.item] = (None, None, CRASH)
            self._drop(worker)
            return
        if kind == "begun":
            worker.begun, worker.deadline = True, time.monotonic() + self.timeout_s
            return
        if kind == "broken":
            raise VerifierError(f"Answers cannot be verified. {rest[0]}")
        self.crashes += kind == "crashed"
        verdicts[worker.item] = (rest[0], rest[1], rest[2]) if kind == "done" else (None, None, rest[0])
        worker.item = None

    def _late(self, worker: _Worker, verdicts: list[Verdict | None]) -> None:
        assert worker.item is not None  # noqa: S101  (only busy workers are late)
        if not worker.begun:
            raise VerifierError(
                f"A verification worker did not start within {START_LIMIT_S:.0f} s; is the machine busy?"
            )
        self.timeouts += 1
        verdicts[worker.item] = (None, None, TIMEOUT)
        self._drop(worker)

    def _drop(self, worker: _Worker) -> None:
        worker.item = None
        worker.kill()
        self._workers.remove(worker)
