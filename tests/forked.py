"""The command line in a process of its own without the seconds that importing torch takes: a fork server.

    with Forked() as forked:
        done = forked.run(["data", "inspect", "rows.jsonl"], folder)
        assert done.code == 1

Every call gets a fresh process, forked from one that has imported the libraries and done nothing with them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PRELOADED = (
    "presat.cli", "presat.training.grpo.train", "presat.evaluation.run", "presat.report", "presat.tracking", "datasets",
)  # fmt: skip


@dataclass(frozen=True)
class Done:
    """How a command line ended.

    Attributes:
        code: its exit code; None where it ran past its time and was killed; `-N` where signal N ended it.
        stdout: what it printed.
        stderr: likewise.
        seconds: how long it took.
    """

    code: int | None
    stdout: str
    stderr: str
    seconds: float


class Running:
    """A command line that runs: wait for it, or kill it with all that it started."""

    def __init__(self, context, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self._files = [folder / f".{name}-{time.monotonic_ns()}" for name in ("stdout", "stderr")]
        self._began = time.monotonic()
        self.process = context.Process(
            target=_child, args=(list(arguments), str(folder), dict(environment), *map(str, self._files))
        )
        self.process.start()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the process alone, as `kill PID` does."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, timeout_s: float = 60.0) -> Done:
        """Wait for the end; kill it and all that it started once the time is over."""
        self.process.join(timeout_s)
        late = self.process.is_alive()
        if late:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self.process.kill()
            self.process.join()
        texts = [file.read_text(errors="replace") if file.is_file() else "" for file in self._files]
        for file in self._files:
            file.unlink(missing_ok=True)
        return Done(None if late else self.process.exitcode, *texts, time.monotonic() - self._began)


class Forked:
    """The fork server; one a test session is enough."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(PRELOADED))

    def start(self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> Running:
        """Start `presat ARGUMENTS` within `folder`."""
        return Running(self._context, arguments, folder, environment or {})

    def run(
        self,
        arguments: Sequence[str],
        folder: Path,
        timeout_s: float = 60.0,
        environment: Mapping[str, str] | None = None,
    ) -> Done:
        """Run `presat ARGUMENTS` within `folder` to its end."""
        return self.start(arguments, folder, environment).wait(timeout_s)


def _child(arguments: list[str], folder: str, environment: dict[str, str], stdout: str, stderr: str) -> None:
    """In the forked process: become `presat ARGUMENTS` with its output in files."""
    os.setsid()
    os.chdir(folder)
    os.environ.update(environment)
    for number, name in enumerate((stdout, stderr), start=1):
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    for name, number in (("stdout", 1), ("stderr", 2)):
        setattr(sys, name, os.fdopen(number, "w", buffering=1, encoding="utf-8", closefd=False))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from presat.cli import main

    main(arguments)
