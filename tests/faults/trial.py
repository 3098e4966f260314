"""One trial: a stage is started, something is done to it, it is started again, and must end as if nothing had been."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.stages import Stage, leftovers
from tests.forked import Done, Forked, Running

LIMIT_S = 180.0
ORPHANS_S = 10.0
"""How long the processes of one that was killed may take to notice."""
MARK = "PRESAT_TRIAL"


@dataclass
class Place:
    """Where trials take place.

    Attributes:
        forked: starts commands.
        model: the model every stage uses.
        fresh: makes a folder.
        undisturbed: for every stage that was asked for, how it ends by itself and how long that takes.
    """

    forked: Forked
    model: Path
    fresh: Callable[[str], Path]
    undisturbed: dict[str, tuple[Any, float]] = field(default_factory=dict)

    def baseline(self, stage: Stage) -> tuple[Any, float]:
        """How a stage ends by itself, and how many seconds that takes."""
        if stage.name not in self.undisturbed:
            folder = self.fresh("undisturbed")
            stage.make(folder, self.model)
            done = self.start(stage, folder).wait(LIMIT_S)
            assert done.code == 0, done.stderr
            self.undisturbed[stage.name] = stage.outcome(folder), done.seconds
        return self.undisturbed[stage.name]

    def start(
        self,
        stage: Stage,
        folder: Path,
        again: bool = False,
        before: Callable[[], object] | None = None,
        environment: dict[str, str] | None = None,
    ) -> Running:
        """Start a stage, for the first time or again."""
        variables = {"PRESAT_CACHE": str(folder / "cache"), MARK: str(folder), **(environment or {})}
        arguments = stage.arguments(again)
        return self.forked.start(arguments, folder, variables, before=before)

    def ends_the_same(self, stage: Stage, folder: Path, seen: Path | None = None, **start: Any) -> list[str]:
        """Run a stage again to its end; return what is not as if nothing had happened."""
        wrong = [f"a process outlived it: {name}" for name in orphans(folder)]
        done = self.start(stage, folder, again=True, **start).wait(LIMIT_S)
        if done.code != 0:
            return [*wrong, f"started again, it ended with {done.code}: {done.stderr[-500:]!r}"]
        expected, _ = self.baseline(stage)
        wrong += differences(expected, stage.outcome(seen or folder))
        return [*wrong, *(f"left half-written: {name}" for name in leftovers(seen or folder))]


def differences(expected: Any, found: Any, where: str = "") -> list[str]:
    """Where two outcomes differ; numbers have to be the same to the last digit."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            line
            for key in [*expected, *(key for key in found if key not in expected)]
            for line in differences(expected.get(key, "nothing"), found.get(key, "nothing"), f"{where}/{key}")
        ]
    same = expected == found or (expected != expected and found != found)
    return [] if same else [f"{where.lstrip('/')}: {str(found)[:60]} instead of {str(expected)[:60]}"]


def descendants(folder: Path) -> dict[int, str]:
    """The processes that a trial's command started, which carry its mark, by number."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            marked = f"{MARK}={folder}\0".encode() in (entry / "environ").read_bytes()
            state = (entry / "stat").read_text().rpartition(") ")[2][0]
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if marked and state != "Z":
            found[int(entry.name)] = words[:120]
    return found


def orphans(folder: Path) -> list[str]:
    """What still runs of a command that is over, once it had time to notice; it is ended."""
    deadline = time.monotonic() + ORPHANS_S
    while (left := descendants(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in left:
        os.kill(pid, 9)
    return list(left.values())


def one_message(done: Done) -> list[str]:
    """What is wrong with how a command said that it failed."""
    wrong = [f"says {word!r}: {done.stderr[-400:]!r}" for word in ("Traceback", "Unexpected") if word in done.stderr]
    if done.stderr.count("presat: ") != 1:
        wrong.append(f"not one message: {done.stderr[-400:]!r}")
    return wrong
