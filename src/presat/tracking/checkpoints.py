"""Checkpoints of a run: `checkpoints/step_N`, complete or not there at all.

TRL writes `checkpoint-N`; once everything is in it, it is renamed to `step_N`. A run killed in between leaves a
`checkpoint-N`, which is never resumed from and is removed by the next run. The newest checkpoints are kept whole; an
older one loses what only resuming needs and stays an ordinary Hugging Face folder, to be evaluated.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from presat.errors import RunError
from presat.files import usual_modes
from presat.models.hashes import RESUME_STATE

_COMPLETE = re.compile(r"step_(\d+)")
_PARTIAL = "checkpoint-*"
_WEIGHTS = ("model*.safetensors", "adapter_model*.safetensors")
"""Weights that transformers and PEFT load."""


def checkpoint_step(folder: Path) -> int | None:
    """Return the step a checkpoint folder's name states, or None when it is not a checkpoint's name."""
    match = _COMPLETE.fullmatch(folder.name)
    return int(match[1]) if match else None


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the complete checkpoints in `folder`, oldest first."""
    found = [path for path in folder.glob("step_*") if checkpoint_step(path) is not None]
    return sorted(found, key=lambda path: checkpoint_step(path) or 0)


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint, to go on from; None when there is none.

    Raises:
        RunError: it holds the model alone (whoever deletes the newest ones comes upon such a one).
    """
    found = list_checkpoints(folder)
    if found and not any(found[-1].glob(RESUME_STATE[0])):
        raise RunError(
            f"{found[-1]} holds the model without the optimiser's state, so the run cannot go on from it. Start "
            "another run with it as `model.name`."
        )
    return found[-1] if found else None


def complete_checkpoint(folder: Path, step: int, keep: int, keep_weights: bool) -> Path:
    """Give TRL's finished `checkpoint-STEP` its final name, and make room.

    Args:
        folder: the run's checkpoints.
        step: the update after which it was written.
        keep: how many of the newest can be resumed from; 0 leaves all as they are.
        keep_weights: keep the weights of the older ones; otherwise they are deleted.

    Raises:
        RunError: the folder cannot be renamed.
    """
    target = folder / f"step_{step}"
    try:
        _drop(target)
        usual_modes(folder / f"checkpoint-{step}")
        (folder / f"checkpoint-{step}").rename(target)
        for old in list_checkpoints(folder)[:-keep] if keep else []:
            if keep_weights:
                _drop_state(old)
            else:
                _drop(old)
    except OSError as error:
        raise RunError(f"Cannot finish checkpoint {target}: {error.strerror}. Check space and rights.") from error
    return target


def discard_partial(folder: Path) -> None:
    """Remove what a killed run left half-written.

    Raises:
        RunError: it cannot be removed.
    """
    for path in folder.glob(_PARTIAL):
        try:
            shutil.rmtree(path)
        except OSError as error:
            raise RunError(f"Cannot remove the half-written {path}: {error.strerror}. Check your rights.") from error


def _drop_state(checkpoint: Path) -> None:
    """Leave only the model of a checkpoint, where its weights stand beside the state and not in it (FSDP's parts)."""
    if not any(any(checkpoint.glob(name)) for name in _WEIGHTS):
        return
    for name in RESUME_STATE:  # in this order: a kill on the way leaves no checkpoint that passes for a whole one
        for path in checkpoint.glob(name):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _drop(checkpoint: Path) -> None:
    """Delete a checkpoint under a partial one's name, so that a kill leaves no half of it under a whole one's."""
    if checkpoint.exists():
        doomed = checkpoint.with_name(_PARTIAL.replace("*", f"dropped-{checkpoint.name}"))
        checkpoint.rename(doomed)
        shutil.rmtree(doomed)
