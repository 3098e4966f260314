"""How processes of ours end: when a signal asks them to, and no later than the process that started them.

SIGTERM and a closed terminal (SIGHUP) end the program as Ctrl-C does: an exception in the main thread, so that whatever
is open records how it ended and lets go. A second signal does not wait for that. A process that another one started for
its own work is killed by the system when that one is gone, however it went.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

ENDING: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if os.name == "posix" else []))
"""Signals that ask a program to end."""
ENDS_WITH = "PRESAT_ENDS_WITH"
"""Environment variable by which a process that starts the command line says that it must not outlive it: its id."""
LOOK_S = 1.0
"""Seconds between two looks whether the parent is still there."""

_PR_SET_PDEATHSIG = 1
_last_words: list[weakref.WeakMethod[Callable[[str], None]]] = []


class Terminated(KeyboardInterrupt):
    """A signal asked the program to end. What Ctrl-C ends is ended by it alike."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def how_it_ended(error: KeyboardInterrupt) -> str:
    """Say what interrupted, for a run's record."""
    if isinstance(error, Terminated):
        return f"ended by {signal.Signals(error.number).name}"
    return "interrupted from the keyboard"


def exit_code(error: KeyboardInterrupt) -> int:
    """The exit code of a program that was interrupted: 128 and the signal's number, as shells have it."""
    return 128 + (error.number if isinstance(error, Terminated) else signal.SIGINT)


@dataclass
class Asked:
    """What asked first for the end; None: nothing did."""

    error: KeyboardInterrupt | None = None


@contextlib.contextmanager
def ended_by_signals(numbers: Sequence[int] = ENDING) -> Iterator[Asked]:
    """Within the block the first of these signals raises `KeyboardInterrupt`; a second one ends the process at once.

    Before that end, what `at_the_last` was told is said. Signals that are ignored (`nohup`) stay so, and a fork of this
    process keeps the handlers that were there before. Does nothing outside the main thread, which alone gets signals.
    """
    asked = Asked()
    before, owner = _handlers(numbers), os.getpid()

    def obey(number: int, _: object) -> None:
        if os.getpid() != owner:
            signal.signal(number, before[number])
            signal.raise_signal(number)
        elif asked.error is not None:
            _end_at_once(number)
        else:
            asked.error = KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)
            raise asked.error

    try:
        for number in before:
            signal.signal(number, obey)
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Let a signal that asks for the end wait until the block is done: what it writes is written whole."""
    before, noted = _handlers(ENDING), list[int]()
    try:
        for number in before:
            signal.signal(number, lambda number, _: noted.append(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in noted:
            signal.raise_signal(number)


def at_the_last(say: Callable[[str], None]) -> None:
    """Have a method called with how the process ended, should it end before its object could record that itself."""
    _last_words[:] = [known for known in _last_words if known() is not None]
    _last_words.append(weakref.WeakMethod(say))


def say_last_words(how: str) -> None:
    """Call what `at_the_last` was told."""
    for known in _last_words:
        if say := known():
            with contextlib.suppress(Exception):  # there is no later moment, and the others have theirs to say
                say(how)


def end_with_parent_if_told() -> None:
    """Have this process end with the one that started it, where that one said so by `ENDS_WITH`; its own do not."""
    parent = os.environ.pop(ENDS_WITH, "")
    if parent.isdecimal():
        end_with_parent(int(parent))


def end_with_parent(parent: int) -> None:
    """Have this process killed once the process `parent`, which started it, is gone.

    Linux does it whatever this process is busy with, as soon as the parent's thread that started it has ended. A thread
    does it elsewhere, and where the parent was gone already.
    """
    with contextlib.suppress(OSError, AttributeError):  # not a Linux
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    threading.Thread(target=_outlive_not, args=(parent,), name="parent", daemon=True).start()


def _outlive_not(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _handlers(numbers: Sequence[int]) -> dict[int, Callable[..., object] | int]:
    """Return the handlers of those signals that are not ignored; none outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    found = {number: signal.getsignal(number) for number in numbers}
    # None is the handler of a library in C, which could not be put back
    return {number: handler for number, handler in found.items() if handler not in (None, signal.SIG_IGN)}


def _end_at_once(number: int) -> NoReturn:
    say_last_words(how_it_ended(KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)))
    if os.isatty(2):
        os.write(2, b"\x1b[?25h\n")  # a progress line hides the cursor
    os._exit(128 + number)
