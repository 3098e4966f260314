"""Files of JSON lines that remember: one object a key, appended, never changed.

Several processes may append to one; each line is written whole under a lock. What a kill left of a last line is cut
off by the next writer, and said.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from presat.errors import RunError
from presat.jsons import mend_last_line, read_lines

LOG = logging.getLogger("presat")
KEY = "key"


class KeyedLines:
    """One such file.

    Attributes:
        path: the file; it and its folder are made when something is added.
        rows: what is known, by key.
    """

    def __init__(self, path: Path) -> None:
        """Read what is there.

        Raises:
            RunError: it cannot be read, or it is somebody else's: none of its lines has a key.
        """
        self.path = path
        self.rows: dict[str, dict[str, Any]] = {}
        if path.exists():
            found, notes = read_lines(path)
            self.rows = {row[KEY]: row for row in found if isinstance(row.get(KEY), str)}
            if (found or notes) and not self.rows and path.stat().st_size and path.read_bytes().count(b"\n"):
                raise RunError(f"{path} is not a file that presat made, so it is left as it is: name another place.")
            for note in notes:
                LOG.warning("%s", note)

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append objects that have a `key`; they are on the disk when this returns.

        Raises:
            RunError: they cannot be written.
        """
        added = {str(row[KEY]): dict(row) for row in rows}
        if not added:
            return
        text = "".join(json.dumps(row) + "\n" for row in added.values())
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.path.with_name(f".{self.path.name}.lock")):
                if not _ends_whole(self.path):
                    mend_last_line(self.path)
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise RunError(f"Cannot write {self.path}: {error.strerror}. Check the disk and your rights.") from error
        self.rows.update(added)


def _ends_whole(path: Path) -> bool:
    """Whether a file is empty, or not there, or its last line has an end."""
    if not path.exists() or not path.stat().st_size:
        return True
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
