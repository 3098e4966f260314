"""How processes end: a signal raises, a second one ends at once; none outlives the process it works for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from presat.processes import Terminated, ended_by_signals, exit_code, held_back, how_it_ended

CLEANING_UP = """
import sys, time
from pathlib import Path
from presat.processes import at_the_last, ended_by_signals
class Run:
    def interrupted(self, how):
        Path(sys.argv[1]).write_text(how)
run = Run()
at_the_last(run.interrupted)
with ended_by_signals():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("cleaning up", flush=True)
        time.sleep(60)
"""
WORKING = """
import ctypes, os, subprocess, sys, time
if sys.argv[1] == "no prctl":
    ctypes.CDLL = lambda _: None
from presat.processes import end_with_parent
end_with_parent(os.getppid())
print(os.getpid(), flush=True)
time.sleep(60)
"""


def gone(pid: int, within_s: float = 5.0) -> bool:
    """Whether a process has ended, or ends in time."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(
    ("number", "code", "how"),
    [
        (signal.SIGINT, 130, "interrupted from the keyboard"),
        (signal.SIGTERM, 143, "ended by SIGTERM"),
        (signal.SIGHUP, 129, "ended by SIGHUP"),
    ],
)
def test_a_signal_raises_in_the_main_thread_and_says_what_it_was(number: int, code: int, how: str) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt) as caught, ended_by_signals() as asked:
        signal.raise_signal(number)
    assert (exit_code(caught.value), how_it_ended(caught.value)) == (code, how)
    assert asked.error is caught.value
    assert signal.getsignal(number) == before


def test_a_signal_waits_until_a_record_is_written() -> None:
    done = []

    def record() -> None:
        with held_back():
            signal.raise_signal(signal.SIGTERM)
            done.append("written")
        done.append("not reached")

    with pytest.raises(Terminated), ended_by_signals():
        record()
    assert done == ["written"]


def test_a_second_signal_ends_at_once_after_the_last_words(tmp_path: Path) -> None:
    said = tmp_path / "said"
    process = subprocess.Popen([sys.executable, "-c", CLEANING_UP, str(said)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "cleaning up\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 130
    assert said.read_text() == "interrupted from the keyboard"


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_signals():
            signal.raise_signal(signal.SIGHUP)
            with held_back():
                signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_fork_is_ended_as_it_was_before() -> None:
    with ended_by_signals():
        child = os.fork()
        if child == 0:
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGTERM


@pytest.mark.parametrize("how", ["prctl", "no prctl"])
def test_a_process_does_not_outlive_its_parent(how: str) -> None:
    start = [sys.executable, "-c", "import subprocess, sys; subprocess.run(sys.argv[1:])"]
    command = [*start, sys.executable, "-c", WORKING, how]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    assert gone(child)
