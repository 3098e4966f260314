"""Cells as processes of this machine: a verb each, with a share of the cores and one of the GPUs."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from presat.jsons import parse_json
from presat.processes import ENDS_WITH
from presat.study.alone import GRACE_S
from presat.study.forked import Forked, Starter

_INTERRUPTED = (128 + signal.SIGHUP, 128 + signal.SIGINT, 128 + signal.SIGTERM)


class Ended(NamedTuple):
    """How a process ended.

    Attributes:
        code: its exit code; below 0 the signal that killed it.
        reason: why it did not succeed, in its own words where it had any.
    """

    code: int
    reason: str

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended it, so that it may go on."""
        return self.code < 0 or self.code in _INTERRUPTED


@dataclass
class _Running:
    process: Forked
    slot: int
    log: Path


class LocalWorkers:
    """Runs verbs side by side.

    Args:
        count: how many; None: one for each GPU, without any one for each core.
        environment: variables of every process, found by the libraries that it imports.
    """

    def __init__(self, count: int | None, environment: Mapping[str, str] | None = None) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._gpus = gpus()
        self.count = count or len(self._gpus) or cores
        self.threads = max(1, cores // self.count)
        self._running: dict[str, _Running] = {}
        self._common = {**division(self.threads), **(environment or {})}
        self._starter = Starter(self._common)
        # What reads the driver of a GPU as it is imported could not be forked; and there cells are long.
        self._starter.works &= not self._gpus

    @property
    def free(self) -> int:
        """How many more can start."""
        return self.count - len(self._running)

    def start(self, name: str, verb: str, config: Path, log: Path) -> None:
        """Start a verb with the settings in a file; all that it says goes to the end of `log`.

        Raises:
            OSError: it cannot be started.
        """
        taken = {running.slot for running in self._running.values()}
        slot = next(slot for slot in range(self.count) if slot not in taken)
        words = [*verb.split(), "--config", str(config), "--json"]
        with log.open("ab"), _result(log).open("wb"):  # a disk without room for them is said here
            pass
        alone = functools.partial(_start, words, log, {**self._environment(slot), ENDS_WITH: str(os.getpid())})
        process = Forked(self._starter, name, alone, words, _result(log), log, self._environment(slot))
        self._running[name] = _Running(process, slot, log)

    def ended(self) -> dict[str, Ended]:
        """Return those that have ended since the last look."""
        found = {}
        for name, running in list(self._running.items()):
            code = running.process.poll()
            if code is not None:
                del self._running[name]
                found[name] = Ended(code, reason_of(code, running.log))
        return found

    def close(self) -> dict[str, Ended]:
        """Ask all that still run to end, kill those that take too long, and return how they ended."""
        self._starter.give_up()
        for running in self._running.values():
            running.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_S
        for running in self._running.values():
            try:
                running.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                running.process.send_signal(signal.SIGKILL)
                running.process.wait()
        ended = self.ended()
        self._starter.close()
        return ended

    def _environment(self, slot: int) -> dict[str, str]:
        environment = dict(self._common)
        if self._gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self._gpus[slot % len(self._gpus)]
        return environment


def _start(words: Sequence[str], log: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a verb in a process that begins by itself."""
    with log.open("ab") as said, _result(log).open("wb") as out:
        return subprocess.Popen(  # noqa: S603 (our own verb)
            [sys.executable, "-m", "presat", *words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=said,
            env={**os.environ, **environment},
            process_group=0,  # a terminal's Ctrl-C is for the driver, which decides
        )


def division(threads: int) -> dict[str, str]:
    """Variables that keep a process to its share of the cores."""
    return {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}


def gpus() -> Sequence[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES has them."""
    if (said := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in said.split(",") if name.strip() and name.strip() != "-1"]
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        done = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=30)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return []
    count = sum(line.startswith("GPU ") for line in done.stdout.splitlines()) if done.returncode == 0 else 0
    return [str(number) for number in range(count)]


def _result(log: Path) -> Path:
    """Where the JSON of a verb goes."""
    return log.with_suffix(".out")


def reason_of(code: int, log: Path) -> str:
    """Say why a verb did not succeed, by its exit code, its result and its log; nothing where it did."""
    if code == 0:
        return ""
    if error := answer_of(log).get("error"):
        return str(error)
    if code < 0:
        return f"its process was killed ({signal.Signals(-code).name})"
    lines = [line.strip() for line in _end_of(log).splitlines() if line.strip()]
    return lines[-1] if lines else f"its process ended with exit code {code}"


def answer_of(log: Path) -> Mapping[str, Any]:
    """The JSON object that the verb with this log ended with; empty where it did not come to that."""
    return _answer(_result(log))


def _answer(file: Path) -> Mapping[str, Any]:
    try:
        answer = parse_json(_end_of(file).strip().rpartition("\n")[2])
    except (ValueError, json.JSONDecodeError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _end_of(file: Path, most: int = 20_000) -> str:
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - most))
            return stream.read().decode(errors="replace")
    except OSError:
        return ""
