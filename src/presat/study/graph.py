"""Runs a small graph of stages on a pool of local processes: independent branches go side by side.

A stage is a picklable call with JSON-able arguments and result. A finished stage leaves a stamp of its result under
`FOLDER/stages/`, keyed by its arguments and by everything it depends on, so an interrupted graph goes on where it was
and a changed setting reruns exactly what it touches. A stamp that is not as it was written counts as not there. One
graph at a time runs in a folder, and its processes end with it, however it ends.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from presat.errors import PresatError, RunError, UnfinishedError
from presat.files import write_atomically
from presat.jsons import read_json
from presat.processes import end_with_parent, ended_by_signals, how_it_ended
from presat.tracking.lock import RunLock

State = Literal["waiting", "running", "done", "kept"]

GRACE_S = 5.0
"""Seconds that processes with a stage nobody will use have to record how it ended, before they are killed."""


@dataclass(frozen=True)
class Stage:
    """One node of the graph.

    Attributes:
        name: unique; also the stem of its stamp and log file.
        call: module-level function, called as `call(results, **arguments)` with the results of `after` by name.
        arguments: JSON-able keyword arguments; they are part of the stage's identity.
        after: names of stages that must be done first.
    """

    name: str
    call: Callable[..., Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    after: tuple[str, ...] = ()


@dataclass
class Progress:
    """What a live view needs: each stage's state and its start and end, in seconds since the epoch."""

    states: dict[str, State]
    started: dict[str, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)


def run_graph(
    stages: Sequence[Stage],
    folder: Path,
    workers: int = 2,
    on_tick: Callable[[Progress], None] = lambda _: None,
    tick_s: float = 0.25,
    environment: Mapping[str, str] | None = None,
    prepare: Callable[[], None] | None = None,
) -> dict[str, Any]:
    """Run every stage after the ones it depends on; return results by name.

    Stages that can start at once start in the order given, so list the longest branch first.

    Args:
        stages: the nodes.
        folder: where stamps and logs go.
        workers: processes.
        on_tick: called with the progress every `tick_s` seconds.
        tick_s: seconds between two looks.
        environment: variables that are set in every worker before it imports anything.
        prepare: called when no other graph can run in the folder any more, before the first look at what is kept.

    Raises:
        RunError: a stage failed or its process died (the message names the stage and its log), another process runs a
            graph in the folder, or it cannot be written to. Finished stages keep their stamps.
    """
    order = _checked(stages)
    keys = _keys(order)
    with alone_in(folder):
        if prepare is not None:
            prepare()
        kept = _read_stamps(folder, keys)
        return _run(order, keys, kept, folder, workers, on_tick, tick_s, environment or {})


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Make a folder, and keep every other driver out of it within the block.

    Raises:
        RunError: it cannot be made, or another one is in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"Cannot make the folder {folder}: {error.strerror}. Choose another.") from error
    lock = RunLock(folder)
    try:
        yield
    finally:
        lock.release()


def _run(
    order: Mapping[str, Stage],
    keys: Mapping[str, str],
    kept: Mapping[str, Any],
    folder: Path,
    workers: int,
    on_tick: Callable[[Progress], None],
    tick_s: float,
    environment: Mapping[str, str],
) -> dict[str, Any]:
    results = dict(kept)
    progress = Progress({name: "kept" if name in kept else "waiting" for name in order})
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin_worker, initargs=(os.getpid(), dict(environment))
    )
    running: dict[Future[Any], str] = {}
    try:
        while len(results) < len(order):
            _start_ready(order, results, running, progress, pool, folder, workers)
            finished, _ = wait(running, timeout=tick_s, return_when=FIRST_COMPLETED)
            for future in finished:
                name = running.pop(future)
                results[name] = _result_of(future, name, folder)
                _write_stamp(_stamp(folder, name), keys[name], results[name])
                progress.states[name], progress.ended[name] = "done", time.time()
            on_tick(progress)
    finally:
        _close(pool, running)
    return results


def _close(pool: ProcessPoolExecutor, running: Mapping[Future[Any], str]) -> None:
    """End the processes; those with a stage that nobody will use are asked to, and killed when they take too long."""
    processes = {process.sentinel: process for process in (pool._processes or {}).values()}
    if running:
        for process in processes.values():
            process.terminate()
    pool.shutdown(wait=not running, cancel_futures=True)
    deadline = time.monotonic() + GRACE_S
    while processes and (left := deadline - time.monotonic()) > 0:
        for sentinel in multiprocessing.connection.wait(list(processes), left):
            del processes[sentinel]  # pyright: ignore[reportArgumentType]
    for process in processes.values():
        process.kill()


def _checked(stages: Sequence[Stage]) -> dict[str, Stage]:
    """Return stages by name; refuse doubles, unknown dependencies and dependencies that come later in the list."""
    order: dict[str, Stage] = {}
    for stage in stages:
        if stage.name in order:
            raise ValueError(f"two stages are named '{stage.name}'")
        missing = [name for name in stage.after if name not in order]
        if missing:
            raise ValueError(f"stage '{stage.name}' comes before what it depends on: {', '.join(missing)}")
        order[stage.name] = stage
    return order


def _keys(order: Mapping[str, Stage]) -> dict[str, str]:
    """Fingerprint each stage by its call, its arguments and the fingerprints it depends on."""
    keys: dict[str, str] = {}
    for name, stage in order.items():
        call = f"{stage.call.__module__}.{stage.call.__qualname__}"
        text = json.dumps([call, dict(stage.arguments), [keys[a] for a in stage.after]], sort_keys=True)
        keys[name] = hashlib.sha256(text.encode()).hexdigest()
    return keys


def _start_ready(
    order: Mapping[str, Stage],
    results: Mapping[str, Any],
    running: dict[Future[Any], str],
    progress: Progress,
    pool: ProcessPoolExecutor,
    folder: Path,
    workers: int,
) -> None:
    for name, stage in order.items():
        if len(running) == workers:
            return
        if progress.states[name] == "waiting" and all(a in results for a in stage.after):
            inputs = {a: results[a] for a in stage.after}
            future = pool.submit(_run_stage, stage, inputs, str(folder / "logs" / f"{name}.log"))
            running[future] = name
            progress.states[name], progress.started[name] = "running", time.time()


def _run_stage(stage: Stage, inputs: dict[str, Any], log: str) -> Any:
    """In the worker: run the stage with everything it prints, and why it failed, in its log file.

    Raises:
        PresatError: it failed. Nothing else is raised: not every exception survives the way to the parent.
    """
    try:
        with ended_by_signals([signal.SIGTERM]), _printing_to(Path(log)):
            return stage.call(inputs, **stage.arguments)
    except KeyboardInterrupt as error:
        raise UnfinishedError(f"its process was {how_it_ended(error)}.") from None
    except PresatError:
        raise
    except OSError as error:
        raise UnfinishedError(f"the system refused: {error}.") from error
    except Exception as error:
        raise RunError(f"unexpected {type(error).__name__}: {error} (a bug in presat).") from error


@contextlib.contextmanager
def _printing_to(log: Path) -> Iterator[None]:
    """Send standard output and error to the end of a file, a traceback of what is raised included."""
    saved = os.dup(1), os.dup(2)
    with log.open("a") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    try:
        yield
    except Exception:
        with contextlib.suppress(OSError):  # the disk may be full, which must not hide what went wrong
            traceback.print_exc()
        raise
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        for number, copy in zip((1, 2), saved, strict=True):
            os.dup2(copy, number)
            os.close(copy)


def _begin_worker(parent: int, environment: dict[str, str]) -> None:
    """One thread a worker: the pool itself uses the cores. Set before torch is imported in the worker."""
    end_with_parent(parent)
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal sends them to all its processes; the parent decides
        signal.signal(number, signal.SIG_IGN)
    os.environ.update(environment)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def _result_of(future: Future[Any], name: str, folder: Path) -> Any:
    log = folder / "logs" / f"{name}.log"
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise UnfinishedError(
            f"The process of stage '{name}' died (out of memory, or killed). Its log is {log}."
        ) from error
    except PresatError as error:
        raise type(error)(f"Stage '{name}' failed: {error} Its log is {log}.") from error


def _stamp(folder: Path, name: str) -> Path:
    return folder / "stages" / f"{name}.json"


def _read_stamps(folder: Path, keys: Mapping[str, str]) -> dict[str, Any]:
    """Return the results of the stages that are finished.

    Raises:
        RunError: stamps or logs could not be written.
    """
    for made in (folder / "stages", folder / "logs"):
        try:
            made.mkdir(exist_ok=True)
        except OSError as error:
            raise RunError(f"Cannot make the folder {made}: {error.strerror}. Make room for it.") from error
    results = {}
    for name, key in keys.items():
        path = _stamp(folder, name)
        if path.is_dir():
            raise RunError(f"{path} is a folder where the record of a stage belongs. Remove it.")
        try:
            stamp = read_json(path)
        except RunError:  # damaged: the stage runs again and writes it anew
            continue
        if "result" in stamp and stamp == _stamped(key, stamp["result"]):
            results[name] = stamp["result"]
    return results


def _write_stamp(path: Path, key: str, result: Any) -> None:
    write_atomically(path, json.dumps(_stamped(key, result)))


def _stamped(key: str, result: Any) -> dict[str, Any]:
    """A stage's stamp: what it belongs to, its result, and a sum that tells whether the result is as it was written."""
    text = json.dumps([key, result])
    return {"key": key, "result": result, "sum": hashlib.sha256(text.encode()).hexdigest()}
