"""Starts verbs in no time: a process that has imported what they need, and forks one for each.

    python -m presat.starter

It reads a line of JSON for everything it is asked (what to start, whom to signal), and writes one for how each process
ended. Each is a fresh one that has done nothing with the libraries yet: no tensor was made here, no GPU was looked at,
and no thread of Python's runs. OpenBLAS and jemalloc start threads when they are imported, and both see to it
themselves that a fork finds them as after an import. What the libraries read from the environment as they are imported,
this process was started with. When nobody is there to ask any more it ends, and with it all that it started.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import sys
import threading
import warnings
from typing import Any

LIBRARIES = (
    "presat.config.usage", "presat.training.grpo.train", "presat.training.supervised.cpt",
    "presat.training.supervised.sft", "presat.evaluation.run", "presat.forecast.run", "presat.report", "datasets",
    "pyarrow.parquet",
)  # fmt: skip
"""What verbs import, but for polars, whose threads would not bear it."""
LOOK_S = 0.05
"""Seconds between two looks whether a process has ended."""


def serve() -> list[str] | None:
    """Answer until nobody asks; return the command line in a process that is to run one, None in this one."""
    asked, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)  # what a library says as it is imported is no answer
    importlib.import_module("presat.cli").before_torch(sys.argv[1:])
    for name in LIBRARIES:
        importlib.import_module(name)
    if threading.active_count() > 1:  # what it holds a lock on would be held for ever in a fork
        return None
    gc.collect()
    gc.freeze()  # for good: a process that went through all this as it ends would copy it, which takes a second
    _answer(answers, {"ready": True})
    running: dict[int, str] = {}
    rest = b""
    while True:
        if select.select([asked], [], [], LOOK_S if running else None)[0]:
            read = os.read(asked, 1 << 16)
            if not read:
                return None
            *lines, rest = (rest + read).split(b"\n")
            for request in map(json.loads, lines):
                if "signal" in request:
                    _signal(running, request)
                    continue
                pid = _fork()
                if pid == 0:
                    os.close(asked)
                    os.close(answers)
                    return _begin(request)
                running[pid] = request["name"]
        for pid in list(running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                _answer(answers, {"name": running.pop(pid), "code": os.waitstatus_to_exitcode(status)})


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which are those named above
        return os.fork()


def _begin(request: dict[str, Any]) -> list[str]:
    """In the fork: be as a process that was started by its command line."""
    os.setpgid(0, 0)  # a terminal's Ctrl-C is for the driver, which decides
    os.environ.update(request["environment"], **{request["ends_with"]: str(os.getppid())})
    for path, flags, number in ((request["out"], os.O_TRUNC, 1), (request["log"], os.O_APPEND, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o666)
        os.dup2(file, number)
        os.close(file)
    main = importlib.import_module("presat.__main__")
    sys.argv = [str(main.__file__), *request["words"]]
    return request["words"]


def _signal(running: dict[int, str], request: dict[str, Any]) -> None:
    for pid, name in running.items():  # none of them was waited for yet, so the number is still its own
        if name == request["name"]:
            os.kill(pid, request["signal"])


def _answer(answers: int, said: dict[str, Any]) -> None:
    os.write(answers, json.dumps(said).encode() + b"\n")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    words = serve()
    if words is not None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        from presat.cli import main

        main(words)
