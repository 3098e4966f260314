"""What a node of a Ray cluster does for a study: it looks whether it may run cells, and runs one.

Ray carries this module to the node as code (`on_ray.py` says so to it), because presat may not be there: it imports
nothing but Python's own at its top, and returns plain values.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

LOOK_S = 0.2
"""Seconds between two looks at a cell's process: what cancels it is heard in between."""
HELD_S = 120.0
"""Seconds that a cell waits for a run directory. The system frees it once the node that lost the cell has noticed."""


@dataclass(frozen=True)
class Home:
    """Where a study is driven from, and what its nodes must have in common with that.

    Attributes:
        version: presat's there.
        code: the fingerprint of presat's code there.
        cwd: where relative paths of settings start.
        holder: the file in the study's folder that says who drives it.
        said: what stands in that file.
    """

    version: str
    code: str
    cwd: str
    holder: str
    said: str


@dataclass(frozen=True)
class Job:
    """One cell.

    Attributes:
        words: its command line, after `python -m presat`.
        run: its run directory.
        record: the file in there that shows that there is something to resume.
        resumes: whether its verb has the setting `resume`.
        log: where all goes that its verb says.
        environment: variables of its process.
        ends_with: the variable that tells it which process it must not outlive.
        grace_s: seconds to record how it ended, when it is asked to end.
    """

    words: list[str]
    run: str
    record: str
    resumes: bool
    log: str
    ends_with: str
    grace_s: float
    environment: dict[str, str] = field(default_factory=dict)


def fingerprint(package: Path) -> str:
    """Return a hash of a package's code."""
    found = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        found.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return found.hexdigest()


def unfit(home: Home) -> str:
    """Say in a sentence why this node cannot run cells; nothing where it can."""
    node = f"The node {socket.gethostname()} runs no cells of this study:"
    mend = f"Install presat {home.version} there as on the machine that drives the study"
    try:
        presat = importlib.import_module("presat")
    except ImportError:
        return f"{node} its Python ({sys.executable}) has no presat. {mend}."
    if presat.__version__ != home.version:
        return f"{node} it has presat {presat.__version__}, not {home.version}. {mend}."
    if fingerprint(Path(presat.__file__ or "").parent) != home.code:
        return f"{node} its presat {presat.__version__} ({Path(presat.__file__ or '').parent}) has other code. {mend}."
    folder = Path(home.holder).parent
    try:
        seen = Path(home.holder).read_text(encoding="utf-8")
    except OSError:
        seen = ""
    if seen != home.said:
        return f"{node} it does not see {folder}. Choose a folder that all nodes share: `out` in the study's file."
    if not os.access(folder, os.W_OK):
        return f"{node} it may not write to {folder}. Give the user that runs Ray there the right to."
    if not Path(home.cwd).is_dir():
        return f"{node} it has no folder {home.cwd}. Start the study in a folder that all nodes share."
    return ""


def run_cell(home: Home, job: Job) -> tuple[str, str, int]:
    """Run a cell to its end; return the node, why it cannot or nothing, and the exit code of the cell's verb.

    Raises:
        OSError: it cannot be started.
    """
    node = importlib.import_module("ray").get_runtime_context().get_node_id()
    if said := unfit(home):
        return node, said, 0
    _wait_for(Path(job.run))
    words = [sys.executable, "-m", "presat", *job.words]
    if job.resumes and Path(job.run, job.record).is_file():
        words.append("--resume")
    with Path(job.log).open("ab") as log, Path(job.log).with_suffix(".out").open("wb") as out:
        log.write(f"-- on {socket.gethostname()}, {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())
        log.flush()
        environment = {**os.environ, **job.environment, job.ends_with: str(os.getpid())}
        process = subprocess.Popen(  # noqa: S603 (our own verb)
            words, stdin=subprocess.DEVNULL, stdout=out, stderr=log, cwd=home.cwd, env=environment, process_group=0
        )
        with _ended_at_last(process, job.grace_s):
            while process.poll() is None:
                time.sleep(LOOK_S)
        return node, "", process.wait()


@contextlib.contextmanager
def _ended_at_last(process: subprocess.Popen[bytes], grace_s: float) -> Iterator[None]:
    """Ask a process to end when the block is interrupted; kill it when that takes too long."""
    try:
        yield
    except KeyboardInterrupt:  # Ray's word for a cell that is cancelled
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    finally:
        process.kill()


def _wait_for(run: Path) -> None:
    """Wait until nobody writes to a run directory: its cell may have been lost here a moment ago."""
    is_locked = importlib.import_module("presat.tracking.lock").is_locked
    deadline = time.monotonic() + HELD_S
    while is_locked(run) and time.monotonic() < deadline:
        time.sleep(LOOK_S)
