"""A study's folder: what lies where, and what is recorded of each cell.

study.yaml          the study as it was last run
study.json          the mark of the folder; its points and cells, for whoever reads them
cells/NAME.json     what is known of a cell: its state, times, and what it read and made by content
configs/NAME.yaml   the settings its verb was started with
logs/NAME.log       what its verb said
runs/NAME           its run directory
data/NAME.parquet   the file it wrote
hashes.json         hashes of files and models, kept while these stay as they are
"""

from __future__ import annotations

import contextlib
import glob
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from presat.errors import RunError
from presat.files import write_atomically
from presat.jsons import read_json

KIND = "presat study"
State = Literal["running", "done", "failed", "interrupted"]


class Record(BaseModel):
    """What is known of a cell that was started.

    Attributes:
        key: its key.
        state: how it stands, or stood when the study's driver was killed.
        reason: why it failed or was interrupted.
        started: when it was last started, in seconds since the epoch.
        seconds: how long it has run, earlier attempts included.
        inputs: by the name of a cell it needs, the content of what it took from it.
        output: the content of what it made.
        dropped: whether checkpoints were dropped.
    """

    model_config = ConfigDict(extra="forbid")

    key: str
    state: State
    reason: str = ""
    started: float = 0.0
    seconds: float = 0.0
    inputs: dict[str, str] = Field(default_factory=dict)
    output: str = ""
    dropped: bool = False


class CellPart(BaseModel):
    """What `study.json` says of a cell.

    Attributes:
        stage: which.
        key: its key.
        after: names of the cells it needs.
        path: its run directory, or the file it writes, within the study's folder.
        work: the tokens it handles, roughly.
        steps: its steps, where known beforehand.
    """

    stage: str
    key: str
    after: list[str]
    path: str
    work: float
    steps: int | None = None


class PointPart(BaseModel):
    """What `study.json` says of a point: its values by axis, its cells by stage."""

    axes: dict[str, str]
    cells: dict[str, str]


class StudyFile(BaseModel):
    """`study.json`."""

    kind: str = ""
    version: int = 1
    study: str = ""
    workers: int = 1
    axes: dict[str, list[str]] = Field(default_factory=dict)
    cells: dict[str, CellPart] = Field(default_factory=dict)
    points: list[PointPart] = Field(default_factory=list)


class Folder:
    """The folder of one study.

    Args:
        path: where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def study(self) -> Path:
        """The study as it was last run."""
        return self.path / "study.yaml"

    @property
    def hashes(self) -> Path:
        """Where hashes are kept."""
        return self.path / "hashes.json"

    def run(self, name: str) -> Path:
        """A cell's run directory."""
        return self.path / "runs" / name

    def data(self, name: str) -> Path:
        """The file that a cell writes."""
        return self.path / "data" / f"{name}.parquet"

    def log(self, name: str) -> Path:
        """What a cell's verb said."""
        return self.path / "logs" / f"{name}.log"

    def config(self, name: str) -> Path:
        """The settings a cell's verb is started with."""
        return self.path / "configs" / f"{name}.yaml"

    def name_of(self, stage: str, key: str) -> str | None:
        """What the cell with this key was called when it was first run; None where it never was."""
        found = sorted(self.path.glob(f"configs/{glob.escape(stage)}-*{glob.escape(key)}.yaml"))
        return found[0].stem if found else None

    def refuse_foreign(self) -> None:
        """Refuse a folder with files that no study made.

        Raises:
            RunError: it is one, or cannot be read.
        """
        if not self.path.is_dir() or self._is_ours():
            return
        try:
            there = next((item.name for item in self.path.iterdir() if not item.name.startswith(".")), None)
        except OSError as error:
            raise RunError(f"Cannot read {self.path}: {error.strerror}.") from error
        if there is not None:
            raise RunError(
                f"{self.path} holds files ({there}), and no study made that folder, so nothing is written there. "
                "Choose another one: `out` in the study's file."
            )

    def _is_ours(self) -> bool:
        """Whether a study made the folder, which shows without `study.json` too."""
        known = self.study.is_file() and (self.path / "cells").is_dir()
        return known or self.read().kind == KIND

    def claim(self) -> None:
        """Make the folder the study's own; its lock must be held.

        Raises:
            RunError: as `refuse_foreign`, or it cannot be written to.
        """
        self.refuse_foreign()
        self.mark()
        for name in ("cells", "configs", "logs", "runs", "data"):
            try:
                (self.path / name).mkdir(exist_ok=True)
            except OSError as error:
                raise RunError(f"Cannot make the folder {self.path / name}: {error.strerror}.") from error

    def mark(self) -> None:
        """Mark the folder as a study's; that comes first, so that a kill leaves no folder without it.

        Raises:
            RunError: it cannot be written to.
        """
        with contextlib.suppress(RunError):  # damaged: it follows from the study, and is written anew
            if self.read().kind == KIND:
                return
        self.write(StudyFile(kind=KIND))

    def read(self) -> StudyFile:
        """What `study.json` says; that of no study where there is none.

        Raises:
            RunError: it is damaged.
        """
        return read_json(self.path / "study.json", StudyFile)

    def write(self, file: StudyFile) -> None:
        """Write `study.json`.

        Raises:
            RunError: it cannot be written.
        """
        write_atomically(self.path / "study.json", file.model_dump_json(indent=1))

    def record(self, name: str) -> Record | None:
        """What is known of a cell; None where nothing is, or nothing that can be read.

        A cell without a record runs again, by its verb's own means of going on.
        """
        try:
            found = read_json(self._record(name), dict[str, Any])
            return Record.model_validate(found) if found else None
        except (RunError, ValueError):
            return None

    def note(self, name: str, record: Record) -> None:
        """Record a cell.

        Raises:
            RunError: it cannot be written.
        """
        write_atomically(self._record(name), json.dumps(record.model_dump(), indent=1))

    def _record(self, name: str) -> Path:
        return self.path / "cells" / f"{name}.json"
