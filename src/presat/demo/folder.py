"""Which folder is the demo's, and what in it the demo may remove: what it made, and nothing else.

The demo stamps a folder before it writes anything else there. A folder that holds something and no such stamp is not
the demo's, whatever it is called. Beside the demo's own files a person may keep what they like, `.git` for instance.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from presat.errors import RunError
from presat.files import remove_leftovers, write_atomically
from presat.jsons import read_json

STAMP = "demo.json"
KIND = "presat demo"


def claim(folder: Path, children: Sequence[str]) -> None:
    """Make the folder the demo's, or make sure that it is: nothing is touched in one that is not.

    Args:
        folder: the demo's folder.
        children: names of all that the demo writes there.

    Raises:
        RunError: the folder holds something else, one of the demo's own files is a link to somewhere else, or the
            folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder, STAMP)
        empty = next(folder.iterdir(), None) is None
    except OSError as error:
        raise RunError(
            f"The demo cannot have {folder} as its folder: {error.strerror}. Choose another one with `--out`."
        ) from error
    if not empty and not _is_stamped(folder) and not _is_of_an_earlier_version(folder):
        raise RunError(
            f"{folder} holds files, and `presat demo` did not make that folder, so it neither writes nor removes "
            "anything there. Choose another one with `--out`."
        )
    for name in children:
        if (folder / name).is_symlink():
            raise RunError(
                f"{folder / name} is a link, and the demo writes only below its own folder. Remove the link, or choose "
                "another folder with `--out`."
            )
    write_atomically(folder / STAMP, json.dumps({"kind": KIND, "version": 1}))


def _is_stamped(folder: Path) -> bool:
    return _object(folder / STAMP).get("kind") == KIND


def _is_of_an_earlier_version(folder: Path) -> bool:
    """Whether a demo that left no stamp yet finished its first stage there."""
    result = _object(folder / "stages" / "base.json").get("result")
    return isinstance(result, dict) and "recall" in result


def _object(path: Path) -> dict[str, object]:
    try:
        return read_json(path)
    except RunError:  # damaged, or somebody else's
        return {}
