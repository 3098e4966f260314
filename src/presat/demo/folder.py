"""Which folder is the demo's, and what in it the demo may remove: what it made, and nothing else.

The demo stamps a folder before it writes anything else there. A folder that holds something and no such stamp is not
the demo's, whatever it is called. Beside the demo's own files a person may keep what they like, `.git` for instance.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from presat.errors import RunError
from presat.files import remove, remove_leftovers, write_atomically
from presat.jsons import read_json
from presat.study import Folder
from presat.study.alone import alone_in

STAMP = "demo.json"
KIND = "presat demo"
LOCKS = (".lock", ".lock.json")
_OWN = ("runs/", "../runs/")


OF_EARLIER_VERSIONS = ("stages", "init")
"""What only a demo of an earlier version made."""


def claim(folder: Path, made: Sequence[Path], fresh: bool) -> None:
    """Make the folder the demo's, or make sure that it is: nothing is touched in one that is not.

    Args:
        folder: the demo's folder.
        made: all that the demo makes there.
        fresh: whether that is to be removed.

    Raises:
        RunError: the folder holds something else, one of the demo's own files is a link to somewhere else, an earlier
            version made what is there, or the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder, STAMP)
        empty = next((path for path in folder.iterdir() if path.name not in LOCKS), None) is None
    except OSError as error:
        raise RunError(
            f"The demo cannot have {folder} as its folder: {error.strerror}. Choose another one with `--out`."
        ) from error
    if not empty and not _is_stamped(folder) and not _is_of_an_earlier_version(folder):
        raise RunError(
            f"{folder} holds files, and `presat demo` did not make that folder, so it neither writes nor removes "
            "anything there. Choose another one with `--out`."
        )
    for path in made:
        if path.is_symlink() and not str(path.readlink()).startswith(_OWN):
            raise RunError(
                f"{path} is a link, and the demo writes only below its own folder. Remove the link, or choose "
                "another folder with `--out`."
            )
    if not fresh and any((folder / name).exists() for name in OF_EARLIER_VERSIONS):
        raise RunError(
            f"An earlier version made the demo in {folder}. Start it over with `--fresh`, or choose another folder "
            "with `--out`."
        )
    write_atomically(folder / STAMP, json.dumps({"kind": KIND, "version": 2}))


def begin(folder: Path, old: Sequence[Path]) -> None:
    """Remove what an older demo made there, and mark the folder as a study's.

    Raises:
        RunError: another demo runs there, or it cannot be written to.
    """
    with alone_in(folder):
        for path in old:
            remove(path)
        Folder(folder).mark()


def link_stages(folder: Path, stages: Mapping[str, str]) -> None:
    """Let each stage be found by a name that can be typed: `cpt_thinking/rl` is a link to its run directory.

    Raises:
        RunError: something else is called so.
    """
    for name, cell in stages.items():
        link = folder / name
        target = Path(*[".."] * name.count("/"), "runs", cell)
        if link.is_symlink() and link.readlink() != target:
            link.unlink()
        if not link.is_symlink():
            link.parent.mkdir(exist_ok=True)
            try:
                link.symlink_to(target)
            except FileExistsError as error:
                raise RunError(f"{link} is in the way of a link to {target}. Move it elsewhere.") from error


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
