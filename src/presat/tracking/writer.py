"""Writes a run directory: its one writer, from the first line to the final status.

    with RunWriter(path, config, command="train") as run:
        run.append(1, {"reward": 0.25})

Leaving the block records how the run ended. A run that is killed outright leaves the status `running` and no lock,
which readers report as `interrupted`. The layout is in docs/run-directory.md.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, SupportsFloat

from presat.config.yamls import dump_yaml
from presat.errors import RunError, UnfinishedError
from presat.files import remove, remove_leftovers, write_atomically
from presat.jsons import keep_lines, mend_last_line
from presat.processes import at_the_last, held_back, how_it_ended
from presat.text import brief, masked
from presat.tracking.evaluated import EVALUATED, METRICS, forget_after
from presat.tracking.judgements import JUDGEMENTS
from presat.tracking.lock import RunLock
from presat.tracking.provenance import PROVENANCE, collect, read_provenance
from presat.tracking.questions import QUESTIONS
from presat.tracking.responses import rollout_files
from presat.tracking.settings import Changes, changes, saved_settings, worth_saying
from presat.tracking.state import STATUS, Status, Stop, run_state, stop_of

CONFIG = "config.yaml"
OURS = (
    CONFIG, PROVENANCE, METRICS, STATUS, EVALUATED, QUESTIONS, "rollouts", "checkpoints", "sft_examples",
    "tensorboard", JUDGEMENTS, "report.html",
)  # fmt: skip
SYNC_S = 1.0
LOG = logging.getLogger("presat")
TORN = "The last line of %s was torn (the run was killed while writing it) and is cut off."
UNREAD = "%d lines of %s cannot be read. They stay as they are; whatever they logged is not known."


class Dumpable(Protocol):
    """A pydantic model, as far as this module needs one."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        ...


class RunWriter:
    """The one writer of a run directory.

    Args:
        path: the run directory; made when absent.
        config: the resolved configuration (a pydantic model or a mapping), saved so that it can be run again.
        command: the verb that runs (`train`, `sft`, ...).
        resume: go on with the run that is there. Its log is mended; call `truncate_after` with the checkpoint's step.
        overwrite: delete the run that is there (its own files only) and start afresh.

    Attributes:
        path: the run directory.
        changed: settings of a resumed run that are others than they were.

    Raises:
        RunError: the directory is busy, cannot be written, holds a run and neither `resume` nor `overwrite` is set, or
            holds a run of another command, or a `config.yaml` that is no run's.
    """

    def __init__(
        self,
        path: Path | str,
        config: Dumpable | Mapping[str, Any],
        command: str,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.path = Path(path)
        settings = dict(config) if isinstance(config, Mapping) else config.model_dump(mode="json")
        if "resume" in settings:
            settings["resume"] = False  # the saved configuration starts the run, it does not go on with one
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"Cannot make the run directory {self.path}: {error.strerror}. Choose one you may write to."
            ) from error
        _refuse_foreign(self.path)
        self.changed: Changes = {}
        defaults = {} if isinstance(config, Mapping) else type(config)().model_dump(mode="json")
        self._lock = RunLock(self.path)
        try:
            self._prepare(settings, defaults, command, resume, overwrite)
            self._file = (self.path / METRICS).open("ab")
        except OSError as error:
            self._lock.release()
            raise RunError(f"Cannot write to {self.path}: {error}. Check the disk and your rights there.") from error
        except BaseException:
            self._lock.release()
            raise
        self._synced = time.monotonic()
        self._closed = False

    def _prepare(
        self, settings: dict[str, Any], defaults: dict[str, Any], command: str, resume: bool, overwrite: bool
    ) -> None:
        earlier = read_provenance(self.path)
        if not earlier and not _holds_run(self.path) and (self.path / CONFIG).exists():
            raise RunError(
                f"{self.path} has a {CONFIG} that belongs to no run ({PROVENANCE} is not beside it), and a run would "
                "write its own there. Choose another run directory, or move the file."
            )
        if _holds_run(self.path) and not resume:
            if not overwrite:
                raise RunError(
                    f"{self.path} already holds a run ({run_state(self.path, held=True).status}). "
                    "Go on with it (`--resume`), choose another run directory, or delete this one."
                )
            earlier = {}
            for name in OURS:
                remove(self.path / name)
        elif not resume:
            earlier = {}
        elif earlier.get("command", command) != command:
            raise RunError(
                f"{self.path} holds a run of `{earlier['command']}`, which `{command}` cannot go on with. "
                "Choose another run directory."
            )
        for folder in (self.path, *self.path.glob("rollouts/*")):
            remove_leftovers(folder)
        if mend_last_line(self.path / METRICS):
            LOG.warning(TORN, self.path / METRICS)
        provenance = {"started": _now(), **collect(settings, command)}
        self._before = (saved_settings(self.path / CONFIG), earlier) if earlier else None
        self._again: dict[str, Any] = {}
        if self._before:
            self.changed = worth_saying(changes(self._before[0], settings), defaults)
            self._again = {**provenance, "changed_settings": self.changed}
            before = earlier.get("resumed")
            provenance = {**earlier, "resumed": [*(before if isinstance(before, list) else []), self._again]}
        self._provenance = provenance
        self._started = provenance["started"]
        self._stop = stop_of(self.path) if earlier else None
        self._write_provenance()  # before the configuration, which is nobody's without
        write_atomically(self.path / CONFIG, dump_yaml(settings))
        self._write_status("running", "")

    def append(self, step: int, metrics: Mapping[str, SupportsFloat | None]) -> None:
        """Add one line to metrics.jsonl. A value that is None or not finite is written as null and read as NaN.

        Raises:
            UnfinishedError: the line cannot be written (a full disk, for instance).
            RunError: the writer is closed.
        """
        if self._closed:
            raise RunError(f"The run in {self.path} is closed; nothing more can be logged to it.")
        row: dict[str, Any] = {"step": int(step), "time": round(time.time(), 3)}
        row.update({name: _number(value) for name, value in metrics.items()})
        try:
            self._file.write(json.dumps(row, allow_nan=False).encode() + b"\n")
            self._file.flush()
            if time.monotonic() - self._synced > SYNC_S:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()
        except OSError as error:
            raise UnfinishedError(f"Cannot write {self.path / METRICS}: {error.strerror}. Free some space.") from error

    def note_provenance(self, **facts: Any) -> None:
        """Add JSON-able facts to provenance.json, for instance `data={...: hash_problems(...)}`."""
        self._provenance.update(facts)
        self._write_provenance()

    def truncate_after(self, step: int) -> None:
        """Forget everything logged after `step`: metric lines and saved responses, of training and of evaluations.

        A resumed run calls this with the step of the checkpoint it starts from, so that nothing is logged twice. A
        decision to stop at a later step is forgotten with it: the run comes to it once more. Lines that cannot be read
        stay where they stand before others that stay, and are said.

        Raises:
            RunError: the log or a file of responses cannot be changed.
        """
        if self._stop is not None and self._stop.step > step:
            self.note_stop(None)
        if self._again:
            self._again["from_step"] = max(step, 0)
            self._write_provenance()
        self._file.close()
        try:
            unread = keep_lines(self.path / METRICS, lambda row: not _later(row, step))
            self._file = (self.path / METRICS).open("ab")
            for split in ("train", "eval"):
                for saved_at, file in rollout_files(self.path, split):
                    if saved_at > step:
                        file.unlink()
        except OSError as error:
            raise RunError(f"Cannot cut the log of {self.path} at step {step}: {error}. Check your rights.") from error
        if unread:
            LOG.warning(UNREAD, unread, self.path / METRICS)
        forget_after(self.path, step)

    def note_stop(self, stop: Stop | None) -> None:
        """Keep a decision to stop the run early, before anything is done about it; None: it goes on after all."""
        if stop != self._stop:
            self._stop = stop
            self._write_status("running", "")

    def nothing_to_do(self) -> None:
        """Put configuration and provenance back as they were: the resumed run had no step left to train."""
        if self._before:
            config, self._provenance = self._before
            write_atomically(self.path / CONFIG, dump_yaml(config))
            self._write_provenance()

    def finish(self, status: Status = "finished", reason: str = "") -> None:
        """Record how the run ended, and let go of the directory. Calling it again changes nothing."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(OSError):  # a line that could not be written was reported when it was appended
            self._file.close()
        try:
            self._write_status(status, masked(reason))
        finally:
            self._lock.release()

    def __enter__(self) -> Self:
        at_the_last(self._interrupted)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with held_back():
            if error is None:
                self.finish()
            elif isinstance(error, KeyboardInterrupt):
                self._interrupted(how_it_ended(error))
            else:
                self.finish("failed", f"{type(error).__name__}: {error}")

    def _interrupted(self, how: str) -> None:
        self.finish("interrupted", how)

    def _write_provenance(self) -> None:
        write_atomically(self.path / PROVENANCE, json.dumps(self._provenance, indent=2, default=str))

    def _write_status(self, status: Status, reason: str) -> None:
        data: dict[str, Any] = {"status": status, "reason": reason}
        data |= {"started": self._started, "updated": _now(), "pid": os.getpid()}
        if self._stop is not None:
            data["stop"] = self._stop.to_json()
        write_atomically(self.path / STATUS, json.dumps(data, indent=2))


def _refuse_foreign(path: Path) -> None:
    """Refuse a folder that holds anything but a run: a model, a person's own files, the root of the disk.

    Raises:
        RunError: it does.
    """
    if (path / PROVENANCE).exists() or (path / CONFIG).exists() or _holds_run(path):  # those are looked at one by one
        return
    names = sorted(item.name for item in path.iterdir())
    others = [name for name in names if name not in OURS and not name.startswith(".")]
    if others:
        raise RunError(
            f"{path} holds {brief(others[0])} and no run, and a run would be mixed in. Choose another run directory: a "
            "new or an empty one."
        )


def _holds_run(path: Path) -> bool:
    """Whether there is something to lose: a logged step or a checkpoint."""
    metrics = path / METRICS
    return (metrics.is_file() and metrics.stat().st_size > 0) or any((path / "checkpoints").glob("*"))


def _later(row: Mapping[str, Any], step: int) -> bool:
    """Whether a logged line is of a later step; one without a step that is a number is of none."""
    at = row.get("step")
    return isinstance(at, int | float) and at > step


def _number(value: SupportsFloat | None) -> float | int | None:
    if value is None:
        return None
    if isinstance(value, int):
        return int(value)
    number = float(value)
    return number if math.isfinite(number) else None


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
