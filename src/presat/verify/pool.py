"""Killable worker processes for verification.

Math-Verify and Reasoning Gym can hang on, or be crashed by, what a model writes. Threads cannot be stopped and signals
work in a main thread only, so items go to separate processes: one item at a time each, the clock starting when the
worker says it has begun, and a worker that is late is killed and replaced. Workers are started on first use.

A worker may also fail an item for no fault of the item's: the machine stalls, memory runs out, somebody stops or kills
the process. So an item that failed is tried once more, in a fresh worker, before it is given up. A worker that does not
even begin an item has not tried it: the item goes to a fresh worker as if it had never been handed out.

What hangs for real costs `timeout_s` every time it comes, and must not cost twice that. So an answer has one second try
in a call, whatever golds it is compared with; and an answer that was given up has none in later calls, until it is
judged in time. That is all the pool remembers of it: it is tried anew in every call.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import time
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from presat.errors import VerifierError

TIMEOUT = "timeout"
CRASH = "worker crash"
MEMORY = "memory limit"
FAILURES = (TIMEOUT, CRASH, MEMORY)
"""Reasons that say as much about the worker and the machine as about the item: worth another try, and never kept."""

START_LIMIT_S = 120.0
"""Seconds a worker may take to start and to import what an item needs."""

TAKE_LIMIT_S = 3.0
"""Seconds a worker that has worked before may take to say that it has an item. A stopped one never does."""

Item = tuple[str, tuple[Any, ...]]
Verdict = tuple[float | None, str | None, str | None]


@dataclass
class _Worker:
    """One process, the parent's end of its connection, what it is doing, and whether it has ever begun an item."""

    process: subprocess.Popen[bytes]
    connection: Connection
    item: int | None = None
    deadline: float = 0.0
    begun: bool = False
    proven: bool = False

    def give(self, index: int, item: Item, timeout_s: float) -> None:
        self.connection.send((*item, timeout_s))
        self.item, self.begun = index, False
        self.allow(TAKE_LIMIT_S if self.proven else START_LIMIT_S)

    def allow(self, seconds: float) -> None:
        self.deadline = time.monotonic() + seconds

    def kill(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.wait()


def _start() -> _Worker:
    ours, theirs = socket.socketpair()
    # a stopped worker may leave a long item half read, or a long reply half written: that ends in an OSError then
    for option, limit_s in ((socket.SO_SNDTIMEO, START_LIMIT_S), (socket.SO_RCVTIMEO, TAKE_LIMIT_S)):
        ours.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", int(limit_s), 0))
    environment = {**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
    try:
        process = subprocess.Popen(  # noqa: S603  (our own module, run by our own interpreter)
            # -P: a file in the working directory that is called like a library must not stand in for it
            [sys.executable, "-P", "-m", "presat.verify.worker", str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the parent, which then closes the connection
        )
    except OSError as error:
        raise VerifierError(f"A verification worker could not be started: {error}") from error
    theirs.close()
    return _Worker(process, Connection(ours.detach()))


@dataclass
class _Batch:
    """The items of one call: which wait, what was said of the others.

    `fresh` are the places of items for new workers; `retried` are the answers that have had their second try.
    """

    items: Sequence[Item]
    queue: deque[int]
    fresh: set[int] = field(default_factory=set)
    retried: set[int] = field(default_factory=set)
    verdicts: dict[int, Verdict] = field(default_factory=dict)

    def renew(self, index: int) -> None:
        """Put an item in front of the queue, for a fresh worker."""
        self.fresh.add(index)
        self.queue.appendleft(index)


def _answer(item: Item) -> int:
    """What stands for an item's answer, whatever it is compared with: a number, for the text may be long."""
    kind, arguments = item
    return hash((kind, arguments[0 if kind == "extract" else 1]))


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
        timeouts: items given up because they took longer, so far.
        crashes: items given up because they made the worker raise or die, so far.
    """

    def __init__(self, size: int = 1, timeout_s: float = 5.0) -> None:
        self.size, self.timeout_s = size, timeout_s
        self.timeouts = self.crashes = 0
        self._given_up: set[int] = set()
        self._stopped = False
        self._own()

    def run(self, items: Sequence[Item]) -> list[Verdict]:
        """Return one verdict per item; `(None, None, reason)` for an item that was too slow or crashed its worker.

        Raises:
            VerifierError: workers cannot be started, or a library they need is broken.
        """
        if os.getpid() != self._owner:  # a fork: the workers, and what they say, are its parent's
            self._own()
        batch = _Batch(items, deque(range(len(items))))
        try:
            while batch.queue or any(worker.item is not None for worker in self._workers):
                self._hand_out(batch)
                self._collect(batch)
        except BaseException:
            self.close()  # what the workers were doing is of no use to the next call
            raise
        return [batch.verdicts[index] for index in range(len(items))]

    def stop(self) -> None:
        """Have a `run` in another thread end with an error, soon; `close` is what makes the pool fit for use again."""
        self._stopped = True
        for worker in list(self._workers) if os.getpid() == self._owner else ():
            worker.process.kill()

    def close(self) -> None:
        """Stop the workers; the pool starts new ones when it is used again."""
        _kill_all(self._workers, self._owner)
        self._stopped = False

    def _own(self) -> None:
        """Begin an empty list of workers, which die with this pool in this process."""
        self._owner = os.getpid()
        self._workers: list[_Worker] = []
        weakref.finalize(self, _kill_all, self._workers, self._owner)

    def _hand_out(self, batch: _Batch) -> None:
        if self._stopped:
            raise VerifierError("The verifier was closed while it judged.")
        while batch.queue:
            index = batch.queue[0]
            # a worker was dropped for each item that asks for a fresh one, so there is room
            idle = (worker for worker in self._workers if worker.item is None and index not in batch.fresh)
            worker = next(idle, None)
            if worker is None:
                if len(self._workers) >= self.size:
                    return
                worker = _start()
                self._workers.append(worker)
            try:
                worker.give(index, batch.items[index], self.timeout_s)
            except (BrokenPipeError, ConnectionResetError, BlockingIOError):  # dead or stopped; not the item's fault
                self._drop(worker)
            else:
                batch.queue.popleft()

    def _collect(self, batch: _Batch) -> None:
        """Wait for the next reply or deadline and note what it says."""
        busy = {worker.connection: worker for worker in self._workers if worker.item is not None}
        first = min(worker.deadline for worker in busy.values())
        ready = wait(list(busy), timeout=max(0.0, first - time.monotonic()))
        for connection in ready:
            self._read(busy[connection], batch)  # pyright: ignore[reportArgumentType]
        for worker in busy.values():
            if worker.item is not None and time.monotonic() > worker.deadline and not worker.connection.poll():
                self._late(worker, batch)

    def _read(self, worker: _Worker, batch: _Batch) -> None:
        assert worker.item is not None  # noqa: S101  (only busy workers are read)
        try:
            kind, *rest = json.loads(worker.connection.recv_bytes())
        except (EOFError, OSError):
            if not worker.begun and worker.process.wait() == 1:
                raise VerifierError(
                    "A verification worker could not start: `python -c 'import presat.verify.worker'` says why."
                ) from None
            self._failed(worker, batch, CRASH)
            return
        if kind == "taken":
            worker.allow(START_LIMIT_S)
        elif kind == "begun":
            worker.begun = worker.proven = True
            worker.allow(self.timeout_s)
        elif kind == "broken":
            raise VerifierError(f"Answers cannot be verified. {rest[0]}")
        elif kind == "crashed" and rest[0] in FAILURES:
            self._failed(worker, batch, rest[0])
        else:
            self._given_up.discard(_answer(batch.items[worker.item]))
            self.crashes += kind == "crashed"
            batch.verdicts[worker.item] = (rest[0], rest[1], rest[2]) if kind == "done" else (None, None, rest[0])
            worker.item = None

    def _late(self, worker: _Worker, batch: _Batch) -> None:
        assert worker.item is not None  # noqa: S101  (only busy workers are late)
        if worker.begun:
            self._failed(worker, batch, TIMEOUT)
        elif worker.proven:  # it was stopped while it had nothing to do
            batch.renew(worker.item)
            self._drop(worker)
        else:
            raise VerifierError(
                f"A verification worker did not start within {START_LIMIT_S:.0f} s; is the machine busy?"
            )

    def _failed(self, worker: _Worker, batch: _Batch, reason: str) -> None:
        """Try the item of a worker that failed once more, or give it up; the worker is of no more use."""
        assert worker.item is not None  # noqa: S101  (only busy workers fail)
        answer = _answer(batch.items[worker.item])
        if answer in batch.retried or answer in self._given_up:
            self._given_up.add(answer)
            self.timeouts += reason == TIMEOUT
            self.crashes += reason != TIMEOUT
            batch.verdicts[worker.item] = (None, None, reason)
        else:
            batch.retried.add(answer)
            batch.renew(worker.item)
        self._drop(worker)

    def _drop(self, worker: _Worker) -> None:
        worker.item = None
        worker.kill()
        self._workers.remove(worker)
