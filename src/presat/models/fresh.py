"""Lab models without any training, by name: what a study of the lab begins with.

`lab/new` is the demo's model before pre-training, `lab/new-w96-s1` one 96 wide with the weights of seed 1. The first
use makes the folder in the cache, as for the packaged models; its weights follow from the name alone.
"""

from __future__ import annotations

import re
from pathlib import Path

from filelock import FileLock

from presat.errors import ModelError
from presat.files import atomically
from presat.models.lab import make_lab_model
from presat.models.packaged import cache_folder

NEW = "lab/new"
_NAME = re.compile(rf"{NEW}(?:-w(\d{{1,4}}))?(?:-s(\d{{1,10}}))?")
_WIDTH, _HEAD, _WIDEST = 64, 32, 1024
_FORMAT = 1  # of the cache folder's name: raise it when the lab's model changes


def is_new(name: str) -> bool:
    """Whether a model's name is one of a lab model that is made when it is first used."""
    return name.startswith(NEW)


def new_folder(name: str) -> Path:
    """Return the folder of a new lab model, made on the first use.

    Args:
        name: `lab/new`, with `-wWIDTH` and `-sSEED` where these are others than 64 and 0.

    Raises:
        ModelError: the name is not of that form, or the cache cannot be written to.
    """
    found = _NAME.fullmatch(name)
    width, seed = (int(found[1] or _WIDTH), int(found[2] or 0)) if found else (0, 0)
    if not _HEAD <= width <= _WIDEST or width % _HEAD:
        raise ModelError(
            f"There is no lab model '{name}': a new one is called `{NEW}`, `{NEW}-wWIDTH`, `{NEW}-sSEED` or "
            f"`{NEW}-wWIDTH-sSEED`, its width a multiple of {_HEAD} up to {_WIDEST}."
        )
    folder = cache_folder() / "models" / f"lab-new-w{width}-s{seed}-v{_FORMAT}"
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(folder.name + ".lock")):
            if not folder.is_dir():
                with atomically(folder) as draft:
                    make_lab_model(draft, seed, width)
    except OSError as error:
        raise ModelError(
            f"Cannot write to {folder.parent}: {error.strerror}. Make room, or set PRESAT_CACHE to another folder."
        ) from error
    return folder
