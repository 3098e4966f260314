"""Runs a small graph of stages on a pool of local processes: independent branches go side by side.

A stage is a picklable call with JSON-able arguments and result. A finished stage leaves a stamp of its result under
`FOLDER/stages/`, keyed by its arguments and by everything it depends on, so an interrupted graph goes on where it was
and a changed setting reruns exactly what it touches.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from presat.errors import PresatError, RunError
from presat.files import read_json, write_atomically

State = Literal["waiting", "running", "done", "kept"]


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

    Raises:
        RunError: a stage failed or its process died; the message names the stage and its log. Finished stages keep
            their stamps.
    """
    order = _checked(stages)
    stamps = {name: folder / "stages" / f"{name}.json" for name in order}
    for made in (folder / "stages", folder / "logs"):
        made.mkdir(parents=True, exist_ok=True)
    keys = _keys(order)
    results: dict[str, Any] = {}
    progress = Progress(dict.fromkeys(order, "waiting"))
    for name in order:
        kept = _read_stamp(stamps[name], keys[name])
        if kept is not None:
            results[name], progress.states[name] = kept["result"], "kept"
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        workers, mp_context=context, initializer=_quiet_worker, initargs=(dict(environment or {}),)
    )
    running: dict[Future[Any], str] = {}
    try:
        while len(results) < len(order):
            _start_ready(order, results, running, progress, pool, folder, workers)
            finished, _ = wait(running, timeout=tick_s, return_when=FIRST_COMPLETED)
            for future in finished:
                name = running.pop(future)
                results[name] = _result_of(future, name, folder)
                _write_stamp(stamps[name], keys[name], results[name])
                progress.states[name], progress.ended[name] = "done", time.time()
            on_tick(progress)
    finally:
        for future in running:
            future.cancel()
        if running:  # a failure or an interruption: do not wait for work nobody will use
            for process in list((pool._processes or {}).values()):
                process.terminate()
        pool.shutdown(wait=not running, cancel_futures=True)
    return results


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
    """In the worker: send everything the stage prints to its log file."""
    with Path(log).open("a", encoding="utf-8", buffering=1) as stream:
        saved = os.dup(1), os.dup(2)
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
        try:
            return stage.call(inputs, **stage.arguments)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, number)
                os.close(copy)


def _quiet_worker(environment: dict[str, str]) -> None:
    """One thread a worker: the pool itself uses the cores. Set before torch is imported in the worker."""
    os.environ.update(environment)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def _result_of(future: Future[Any], name: str, folder: Path) -> Any:
    log = folder / "logs" / f"{name}.log"
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise RunError(
            f"The process of stage '{name}' died (out of memory, or killed). Its log is {log}; "
            "run the same command again to go on from the last finished stage."
        ) from error
    except PresatError as error:
        raise type(error)(f"Stage '{name}' failed: {error} Its log is {log}.") from error


def _read_stamp(path: Path, key: str) -> dict[str, Any] | None:
    stamp = read_json(path)
    return stamp if stamp.get("key") == key else None


def _write_stamp(path: Path, key: str, result: Any) -> None:
    write_atomically(path, json.dumps({"key": key, "result": result}))
