"""The process that runs Math-Verify and Reasoning Gym on one item at a time, to be killed when it takes too long.

Started as `python -m presat.verify.worker FD PARENT` with one end of a socket pair and the parent's process number. It
imports neither torch nor the main program. For each item it reports that it has taken it, then, with everything
imported, that it has begun (the parent's clock starts there), then the verdict; what an item raises makes that item
missing, what breaks every item of its kind is reported as `broken`.
Replies are JSON: a process that has read hostile text sends nothing that could run in the parent.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from multiprocessing.connection import Connection
from typing import Any

from presat.errors import VerifierError
from presat.processes import end_with_parent
from presat.verify.pool import MEMORY

MEMORY_BYTES = 4 * 2**30
"""Address space of a worker; an answer that needs more is missing."""

Verdict = tuple[float | None, str | None, str | None]


def _math(gold: str, answer: str, mode: str) -> Verdict:
    from presat.verify.math import compare

    return compare(gold, answer, mode)


def _extract(text: str) -> Verdict:
    from presat.verify.math import extract

    return extract(text)


def _reasoning_gym(gold: str | None, answer: str, metadata: dict[str, Any], mode: str) -> Verdict:
    from presat.verify.reasoning_gym import judge

    return judge(gold, answer, metadata, mode)


@cache
def _prepare(kind: str) -> None:
    """Import what a kind of item needs and try it, so that the clock counts neither and a broken library is noticed."""
    if kind == "reasoning_gym":
        from presat.verify.reasoning_gym import scorer

        scorer("quantum_lock")
        return
    from presat.verify.quick import quicken

    quicken()
    if (verdict := _math("1", "x=1", "stated"))[0] != 1.0:
        raise RuntimeError(f"Math-Verify finds that 1 is not 1: {verdict}")


HANDLERS: dict[str, Callable[..., Verdict]] = {"math": _math, "extract": _extract, "reasoning_gym": _reasoning_gym}


def _limit(memory: bool, seconds: float | None = None) -> None:
    """Bound the process in the kernel too: memory once, and CPU time for each item, in case the parent is gone."""
    with suppress(ImportError, ValueError, OSError):  # not every system has these limits; the parent's kill remains
        import resource

        if memory:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        if seconds is not None:
            usage = resource.getrusage(resource.RUSAGE_SELF)
            hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
            resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime + seconds) + 5, hard))


def serve(connection: Connection) -> None:
    """Answer items `(kind, arguments, timeout_s)` until the parent closes the connection."""

    def reply(*message: Any) -> None:
        connection.send_bytes(json.dumps(message).encode())

    while True:
        try:
            kind, arguments, timeout_s = connection.recv()
        except EOFError:
            return
        reply("taken")
        try:
            _prepare(kind)
        except Exception as error:  # noqa: BLE001  (the parent raises it as a VerifierError)
            reply("broken", f"{type(error).__name__}: {error}")
            return
        _limit(memory=False, seconds=timeout_s)
        reply("begun")
        try:
            verdict = HANDLERS[kind](*arguments)
        except VerifierError as error:
            reply("broken", str(error))
        except MemoryError:
            reply("crashed", MEMORY)
        except Exception as error:  # noqa: BLE001  (reported to the parent as a missing score with this reason)
            reply("crashed", f"{type(error).__name__} in the verifier")
        else:
            reply("done", *verdict)


def main() -> None:
    """Entry point: serve the socket in the first argument, as long as the process in the second lives."""
    end_with_parent(int(sys.argv[2]))
    connection = Connection(int(sys.argv[1]))
    quiet = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # nothing a library prints may reach the parent's terminal
        os.dup2(quiet, stream)
    _limit(memory=True)
    with suppress(BrokenPipeError, ConnectionResetError):
        serve(connection)


if __name__ == "__main__":
    main()
