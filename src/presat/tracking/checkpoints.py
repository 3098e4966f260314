"""Checkpoints of a run: `checkpoints/step_N`, complete or not there at all.

TRL writes `checkpoint-N`; once everything is in it, it is renamed to `step_N`. A run killed in between leaves a
`checkpoint-N`, which is never resumed from and is removed by the next run. The newest checkpoints are kept whole; an
older one loses what only resuming needs and stays an ordinary Hugging Face folder, to be evaluated.

A whole checkpoint lists its files with their sizes in `resume_files.json`. Trainers take a part that is missing for one
that never was, and go on with fresh moments or another random state: a run goes on from all of it or not at all.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from presat.errors import RunError
from presat.files import usual_modes, write_atomically
from presat.jsons import read_json
from presat.models.hashes import RESUME_STATE

_COMPLETE = re.compile(r"step_(\d+)")
_PARTIAL = "checkpoint-*"
_WEIGHTS = ("model*.safetensors", "adapter_model*.safetensors")
"""Weights that transformers and PEFT load."""
MANIFEST = RESUME_STATE[0]
MODEL_ALONE = "it holds the model alone"
_PARTS = {
    "trainer_state.json": ("trainer_state.json",),
    "rng_state.pth": ("rng_state*.pth",),
    "optimizer.pt": ("optimizer.pt", "optimizer.bin", "optimizer_*", "global_step*"),
    "scheduler.pt": ("scheduler.pt", "global_step*"),  # DeepSpeed may keep its own with the optimiser
    "model.safetensors": (*_WEIGHTS, "pytorch_model_fsdp*", "global_step*"),
}
"""What a checkpoint without a list of its files needs: by the usual name, the names under which launchers write it."""


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
        RunError: it holds the model alone (whoever deletes the newest ones comes upon such a one), or lacks a file, or
            has one of another size than was saved.
    """
    found = list_checkpoints(folder)
    if not found:
        return None
    fault = resume_fault(found[-1])
    if fault == MODEL_ALONE:
        raise RunError(
            f"{found[-1]} holds the model without the optimiser's state, so the run cannot go on from it. Start "
            "another run with it as `model.name`."
        )
    if fault:
        raise RunError(damage(found[-1], fault))
    return found[-1]


def resume_fault(checkpoint: Path) -> str | None:
    """Say what keeps a run from going on from a checkpoint, by the names and sizes of its files; None for nothing.

    Raises:
        RunError: the list of its files cannot be read.
    """
    lacking = [name for name, patterns in _PARTS.items() if not any(any(checkpoint.glob(p)) for p in patterns)]
    if {"rng_state.pth", "optimizer.pt"} <= set(lacking):
        return MODEL_ALONE
    if not (checkpoint / MANIFEST).is_file():  # of an earlier version
        return f"{lacking[0]} is missing" if lacking else None
    for name, size in read_json(checkpoint / MANIFEST).items():
        file = checkpoint / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size} bytes and was saved with {size}"
    return None


def damage(checkpoint: Path, fault: str) -> str:
    """Return the sentences that refuse to go on from a checkpoint: what is wrong, and what can be done about it."""
    step = checkpoint_step(checkpoint) or 0
    earlier = [path for path in list_checkpoints(checkpoint.parent) if (checkpoint_step(path) or 0) < step]
    if earlier and resume_fault(earlier[-1]) is None:
        advice = f"Restore the file, or delete the folder: the run then goes on from {earlier[-1].name}."
    else:
        advice = "Restore the file, or start another run: there is no earlier checkpoint to go on from."
    return f"The run cannot go on from {checkpoint}: {fault}. {advice}"


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
        written = folder / f"checkpoint-{step}"
        usual_modes(written)
        files = sorted(path for path in written.rglob("*") if path.is_file())
        sizes = {path.relative_to(written).as_posix(): path.stat().st_size for path in files}
        write_atomically(written / MANIFEST, json.dumps(sizes, indent=2))
        written.rename(target)
        for old in list_checkpoints(folder)[:-keep] if keep else []:
            if keep_weights:
                _drop_state(old)
            else:
                _drop(old)
    except OSError as error:
        raise RunError(f"Cannot finish checkpoint {target}: {error.strerror}. Check space and rights.") from error
    return target


def keep_last_model(folder: Path) -> None:
    """Of a finished run's checkpoints keep the last, and of it the model alone.

    Raises:
        RunError: something cannot be removed.
    """
    found = list_checkpoints(folder)
    try:
        for old in found[:-1]:
            _drop(old)
        for last in found[-1:]:
            _drop_state(last)
    except OSError as error:
        raise RunError(f"Cannot remove checkpoints in {folder}: {error.strerror}. Check your rights.") from error


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
    for name in RESUME_STATE:
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
