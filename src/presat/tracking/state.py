"""Whether a run is going on, how it ended, and whether it was decided to stop it: one answer for every reader.

`status.json` says what its writer last knew. A writer that is killed leaves `running` behind; that nobody holds the
directory's lock tells it from one that runs. A decision to stop early is kept beside the status until the run goes on
after all, so that a killed or resumed run comes to the same end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from pydantic import BaseModel, ConfigDict

from presat.jsons import read_json
from presat.text import printable
from presat.tracking.lock import is_locked

STATUS = "status.json"

Status = Literal["running", "finished", "stopped", "failed", "interrupted"]
UNKNOWN = "unknown"
"""What readers say of a run whose trainer leaves no status."""
ENDED: frozenset[str] = frozenset(get_args(Status)) - {"running"}
PLAIN = frozenset(("finished", UNKNOWN))
"""Statuses that need no word in a report."""


class RunState(NamedTuple):
    """How it stands with a run.

    Attributes:
        status: one of `Status`, or `UNKNOWN`.
        reason: why it ended, where recorded.
    """

    status: str
    reason: str


def run_state(run: Path, held: bool = False) -> RunState:
    """Return how it stands with a run directory of ours.

    Args:
        run: the directory.
        held: the caller holds its lock, so that no other process runs it.

    Raises:
        RunError: `status.json` is damaged.
    """
    data, before = read_json(run / STATUS, _StatusFile), None
    while data.status == "running" and (held or is_locked(run) is False):
        if held or data == before:  # else it may have ended, or be gone on with, between the two looks
            return RunState("interrupted", "the process that ran it is gone")
        data, before = read_json(run / STATUS, _StatusFile), data
    return RunState(printable(data.status), printable(data.reason))


@dataclass(frozen=True, slots=True)
class Stop:
    """A decision to end a run early.

    Attributes:
        step: the last step it is to have.
        reason: why, as a sentence.
        settings: the settings that decided, JSON-able; under others it does not hold.
    """

    step: int
    reason: str
    settings: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The decision as plain data."""
        return asdict(self)


def stop_of(run: Path) -> Stop | None:
    """Return the decision that is kept in a run directory; None when there is none.

    Raises:
        RunError: `status.json` is damaged.
    """
    found = read_json(run / STATUS, _StatusFile).stop
    return None if found is None else Stop(found.step, found.reason, found.settings)


class _StopPart(BaseModel):
    step: int
    reason: str
    settings: dict[str, Any]


class _StatusFile(BaseModel):
    """What is read of `status.json`; two are equal where all else is equal too."""

    model_config = ConfigDict(extra="allow")

    status: str = UNKNOWN
    reason: str = ""
    stop: _StopPart | None = None
