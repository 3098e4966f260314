"""Processes forked from one that has imported the libraries (`presat.starter`), in place of some that import them all.

Importing torch, transformers and TRL takes seconds, which is most of a small cell. Where there is no such process (an
operating system whose libraries do not bear a fork, a starter that cannot start) each process begins by itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from presat.processes import ENDS_WITH

LOOK_S = 0.02
COMMAND = (sys.executable, "-m", "presat.starter")


class Starter:
    """The process that forks others; it is started when the first of them is.

    Args:
        environment: variables that its libraries find when they are imported.
        command: its command line.
    """

    def __init__(self, environment: Mapping[str, str], command: Sequence[str] = COMMAND) -> None:
        self._environment, self._command = environment, command
        self._process: subprocess.Popen[bytes] | None = None
        self._codes: dict[str, int] = {}
        self._ready, self._rest, self._given_up = False, b"", False
        self.works = sys.platform == "linux"

    def start(self, name: str, words: Sequence[str], out: Path, log: Path, environment: Mapping[str, str]) -> None:
        """Have a process started that runs `presat WORDS`, its standard output and error in files.

        Raises:
            OSError: the starter cannot be started.
        """
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(  # noqa: S603 (our own code)
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **self._environment},
                process_group=0,
                bufsize=0,
            )
            self._ready, self._rest = False, b""
        self._codes.pop(name, None)
        files = {"out": str(out.absolute()), "log": str(log.absolute())}
        self._ask({"name": name, "words": [*words], "environment": {**environment}, "ends_with": ENDS_WITH, **files})

    def signal(self, name: str, number: int) -> None:
        """Send a signal to a process, if it still runs."""
        self._ask({"name": name, "signal": number})

    def code(self, name: str) -> int | None:
        """The exit code of a process; None while it runs.

        Raises:
            StarterError: the starter ended before it started any.
        """
        over = self._read()
        if name not in self._codes and over:
            if not self._ready and not self._given_up:
                self.works = False
                raise StarterError
            return -signal.SIGKILL  # the system ends all that it forked with it
        return self._codes.get(name)

    def give_up(self) -> None:
        """End it where it has started nothing yet: what it was to start is as killed."""
        self._given_up = True
        if not self._read() and not self._ready and self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """End the starter, and what it started."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
            self._process = None

    def _ask(self, request: Mapping[str, Any]) -> None:
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it is gone, which is seen when it is looked at
                self._process.stdin.write(json.dumps(request).encode() + b"\n")

    def _read(self) -> bool:
        """Take in what it has said; return whether it is gone."""
        if self._process is None or self._process.stdout is None:
            return True
        over = self._process.poll() is not None  # asked first: what it said before its end is still read
        while select.select([self._process.stdout], [], [], 0)[0]:
            said = os.read(self._process.stdout.fileno(), 1 << 16)
            if not said:
                return True
            *lines, self._rest = (self._rest + said).split(b"\n")
            for answer in map(json.loads, lines):
                if answer.get("ready"):
                    self._ready = True
                else:
                    self._codes[answer["name"]] = answer["code"]
        return over


class StarterError(Exception):
    """There is no process to fork from."""


class Forked:
    """A process that a starter forked, or one of its own where that did not work; as `subprocess.Popen` has it.

    Args:
        starter: the starter.
        name: what it is called.
        alone: starts it without one.
        words: its command line, after `presat`.
        out: file of its standard output.
        log: file of its standard error.
        environment: variables of its own.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self,
        starter: Starter,
        name: str,
        alone: Callable[[], subprocess.Popen[bytes]],
        words: Sequence[str],
        out: Path,
        log: Path,
        environment: Mapping[str, str],
    ) -> None:
        self._starter, self._name, self._start_alone = starter, name, alone
        self._alone: subprocess.Popen[bytes] | None = None
        self._code: int | None = None
        if starter.works:
            try:
                starter.start(name, words, out, log, environment)
            except OSError:
                starter.works = False
        if not starter.works:
            self._alone = alone()

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        if self._alone is not None:
            return self._alone.poll()
        if self._code is None:
            try:
                self._code = self._starter.code(self._name)
            except StarterError:
                self._alone = self._start_alone()
        return self._code

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self._alone is not None:
            self._alone.send_signal(number)
        elif self._code is None:
            self._starter.signal(self._name, number)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() >= deadline:
                raise subprocess.TimeoutExpired(self._name, timeout or 0.0)
            time.sleep(LOOK_S)
        return code
