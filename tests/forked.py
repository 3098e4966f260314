"""The command line in a process of its own without the seconds that importing torch takes: a fork server.

    done = Forked().run(["data", "inspect", "rows.jsonl"], folder)
    assert done.code == 1

Every call gets a fresh process, forked from one that has imported the libraries and done nothing with them.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
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


@dataclass(frozen=True)
class Start:
    """What the child is given.

    Attributes:
        arguments: the command line after `presat`.
        folder: where it runs.
        environment: variables set before anything else.
        typed: what stands on its standard input.
        before: called in the child before the command line; it may also be all there is to do, and never return.
    """

    arguments: Sequence[str]
    folder: str
    environment: Mapping[str, str]
    typed: str = ""
    before: Callable[[], object] | None = None


class Running:
    """A command line that runs: wait for it, or kill it with all that it started."""

    def __init__(self, context, start: Start) -> None:
        self._streams = Path(tempfile.mkdtemp(prefix="forked-"))
        (self._streams / "stdin").write_text(start.typed)
        self._began = time.monotonic()
        self.process = context.Process(target=_child, args=(start, str(self._streams)))
        self.process.start()

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the process alone, as `kill PID` does."""
        if self.process.is_alive():  # else the number may be another's by now
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
        files = [self._streams / name for name in ("stdout", "stderr")]
        texts = [file.read_bytes().decode("utf-8", "replace") if file.is_file() else "" for file in files]
        shutil.rmtree(self._streams)
        return Done(None if late else self.process.exitcode, *texts, time.monotonic() - self._began)


class Forked:
    """The fork server; one a test session is enough."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(PRELOADED))

    def start(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        typed: str = "",
        before: Callable[[], object] | None = None,
    ) -> Running:
        """Start `presat ARGUMENTS` within `folder`, after `before` where that is given (it has to be picklable)."""
        return Running(self._context, Start(list(arguments), str(folder), dict(environment or {}), typed, before))

    def run(
        self,
        arguments: Sequence[str],
        folder: Path,
        timeout_s: float = 60.0,
        environment: Mapping[str, str] | None = None,
        typed: str = "",
        before: Callable[[], object] | None = None,
    ) -> Done:
        """Run `presat ARGUMENTS` within `folder` to its end."""
        return self.start(arguments, folder, environment, typed, before).wait(timeout_s)


def _child(start: Start, streams: str) -> None:
    """In the forked process: become `presat ARGUMENTS` with its streams in files."""
    os.setsid()
    os.chdir(start.folder)
    os.environ.update(start.environment)
    time.tzset()
    os.dup2(os.open(f"{streams}/stdin", os.O_RDONLY), 0)
    sys.stdin = os.fdopen(0, closefd=False)
    for name, number in (("stdout", 1), ("stderr", 2)):
        os.dup2(os.open(f"{streams}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        errors = "strict" if number == 1 else "backslashreplace"
        stream = os.fdopen(number, "w", buffering=1, encoding="utf-8", errors=errors, closefd=False)
        setattr(sys, name, stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if start.before is not None:
        start.before()
    from presat.cli import main

    main(list(start.arguments))
