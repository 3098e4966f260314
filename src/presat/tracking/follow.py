"""Follows a run that is being written: what is new is read, what was read is kept.

Our `metrics.jsonl` only grows, so new bytes are all there is to read; a resumed run may cut it, which is noticed by its
size or its inode, and it is read again. Other trainers' files are opened anew when their size or time changes, at a
pace that spends at most a tenth of the time on reading.
"""

from __future__ import annotations

import contextlib
import io
import re
import time
from collections.abc import Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from presat.errors import RunError
from presat.jsons import Faults, json_lines
from presat.tracking.open import open_run
from presat.tracking.pace import Pace
from presat.tracking.provenance import PROVENANCE, read_provenance
from presat.tracking.readers.rows import LARGEST, Rows
from presat.tracking.run import Run
from presat.tracking.settings import saved_settings
from presat.tracking.state import ENDED, STATUS, run_state
from presat.tracking.writer import CONFIG, METRICS

PACE = 10.0
"""A file that took s seconds to read is read again after this many times s at the earliest."""
_PLANNED = re.compile(r"(\d+) of (\d+)")


class Follower(Protocol):
    """Gives the newest state of a run."""

    def refresh(self) -> Run:
        """Read what is new."""
        ...

    @property
    def seen(self) -> Hashable:
        """What is the same as long as `refresh` gives the same."""
        ...

    @property
    def seconds_per_step(self) -> float | None:
        """Recent pace; None while it is not known."""
        ...


def follow(path: Path, reading: Mapping[str, Any] | None = None) -> Follower:
    """The way to follow what is at `path`.

    Args:
        path: a run.
        reading: how another trainer's log is read, as further arguments of `open_run`.

    Raises:
        RunError: no run is there (yet).
    """
    if path.name == METRICS:
        path = path.parent
    return OurRun(path) if (path / STATUS).is_file() else OtherRun(path, reading)


class OurRun:
    """A run directory of ours, read by new lines.

    Args:
        path: the run directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows, self._faults = Rows(METRICS), Faults()
        self._config: dict[str, Any] = {}
        self._times: dict[str, int] = {}
        self._pace, self._from_step = Pace(), -1
        self._offset, self._lines, self._inode = 0, 0, -1
        self.seen: Hashable = None

    def refresh(self) -> Run:
        """Read the status, and the lines that were added."""
        state = run_state(self.path)  # first: of a run that has ended every line is there
        self._read_session()
        self._read_lines(state.status in ENDED)
        self._read_config()
        self.seen = (state, self._inode, self._offset, self._faults.torn, *self._times.values())
        return Run(
            self.path,
            "presat",
            self._rows.values,
            self._config,
            status=state.status,
            status_reason=state.reason,
            notes=[*self._faults.notes(METRICS), *self._rows.notes()],
            not_finite=self._rows.not_finite,
        )

    @property
    def seconds_per_step(self) -> float | None:
        """Median over the last steps of this session, by the times in the log."""
        return self._pace.seconds_per_step

    def _read_session(self) -> None:
        """The step that the run was last resumed from: the pause before it is no step."""
        if not self._is_new(PROVENANCE):
            return
        with contextlib.suppress(RunError):  # like the configuration
            resumed = read_provenance(self.path).get("resumed")
            last = resumed[-1] if isinstance(resumed, list) and resumed else None
            step = last.get("from_step") if isinstance(last, Mapping) else None
            if isinstance(step, int) and step != self._from_step:
                self._from_step, self._pace = step, Pace()

    def _read_lines(self, ended: bool) -> None:
        file = self.path / METRICS
        try:
            facts = file.stat()
            if facts.st_ino != self._inode or facts.st_size < self._offset:
                self._rows, self._faults = Rows(METRICS), Faults()
                self._offset, self._lines, self._inode = 0, 0, facts.st_ino
                self._pace = Pace()
            with file.open("rb") as stream:
                stream.seek(self._offset)
                raw = stream.read()
        except FileNotFoundError:
            return
        except OSError as error:
            raise RunError(f"Cannot read {file}: {error.strerror}.") from error
        self._faults.torn = False
        whole = raw if ended else raw[: raw.rfind(b"\n") + 1]  # a line that is being written waits for the next look
        for line in json_lines(io.BytesIO(whole), first=self._lines + 1):
            if line.torn:
                whole = whole[: whole.rfind(b"\n") + 1]
            if line.row is None:
                self._faults.add(line)
            else:
                self._rows.add(line.row, line.number)
                self._note_time(line.row)
        self._offset += len(whole)
        self._lines += whole.count(b"\n")

    def _note_time(self, row: dict[str, Any]) -> None:
        step, at = row.get("step"), row.get("time")
        if isinstance(step, int) and isinstance(at, int | float) and step > self._from_step and abs(at) < LARGEST:
            self._pace.note(step, float(at))

    def _read_config(self) -> None:
        if self._is_new(CONFIG):
            with contextlib.suppress(RunError):  # the configuration only adds detail to the view
                self._config = saved_settings(self.path / CONFIG)

    def _is_new(self, name: str) -> bool:
        """Whether a file of the run has changed since this was last asked."""
        try:
            time_ns = (self.path / name).stat().st_mtime_ns
        except OSError:
            return False
        changed = time_ns != self._times.get(name)
        self._times[name] = time_ns
        return changed


class OtherRun:
    """A run of another trainer, opened anew when its files change.

    Args:
        path: whatever `open_run` reads.
        reading: further arguments of it.

    Raises:
        RunError: no run is there.
    """

    def __init__(self, path: Path, reading: Mapping[str, Any] | None = None) -> None:
        self.path = path
        self._reading = reading or {}
        self._pace, self._newest = Pace(), -1
        self._seen, self.seen = self._fingerprint(), 0
        self._open()

    def _open(self) -> None:
        began = time.monotonic()
        self._run = open_run(self.path, growing=True, **self._reading)
        ended = time.monotonic()
        self._next = ended + PACE * (ended - began)
        steps = self._run.values.get("reward", {})
        if steps and max(steps) > self._newest:
            self._newest = max(steps)
            self._pace.note(self._newest, ended)

    def refresh(self) -> Run:
        """Open the run again if its files have changed and it is time."""
        now = self._fingerprint()
        if now != self._seen and time.monotonic() >= self._next:
            self._seen, self.seen = now, self.seen + 1
            try:
                self._open()
            except RunError as error:  # a file that is just being rewritten; what was read stays until it changes again
                note = f"Shown as last read: {error}"
                return replace(self._run, notes=[note, *self._run.notes])
        return self._run

    @property
    def seconds_per_step(self) -> float | None:
        """Median over the steps that were seen to arrive."""
        return self._pace.seconds_per_step

    def _fingerprint(self) -> tuple[tuple[str, int, int], ...]:
        files = [self.path] if self.path.is_file() else [*self.path.glob("*"), *self.path.glob("*/*")]
        found = []
        for file in files:
            with contextlib.suppress(OSError):  # a checkpoint may be renamed between listing and looking
                facts = file.stat()
                found.append((str(file), facts.st_size, facts.st_mtime_ns))
        return tuple(sorted(found))


def planned_steps(run: Run) -> int | None:
    """How many steps the run was to have, where its configuration or its state says."""
    for name in ("steps", "max_steps"):
        value = run.config.get(name)
        if isinstance(value, int) and value > 0:
            return value
    match = _PLANNED.search(run.status_reason) if run.kind == "trl" else None
    return int(match.group(2)) if match else None
