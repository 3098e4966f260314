"""Reading a checkpoint before a run goes on from it: a damaged one is one sentence, and no trainer ever meets it.

Everything is opened as the trainer will open it, the tensors left on the disk, so that this costs next to nothing.
Optimiser, schedule and random state are pickles of plain data: `weights_only=True` refuses any other, which could run
code. `training_args.bin`, which transformers writes and nobody reads, is none of these and is never opened.

What DeepSpeed and sharded FSDP keep in folders of their own, these libraries unpickle themselves without such a check.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers.trainer_pt_utils import safe_globals

from presat.errors import RunError
from presat.tracking.checkpoints import checkpoint_step, damage


def refuse_damaged(checkpoint: Path) -> None:
    """Refuse to go on from a checkpoint with a file that does not hold what it should.

    Raises:
        RunError: which file, and what to do.
    """
    for file in sorted(path for path in checkpoint.iterdir() if path.is_file()):
        check = next((check for pattern, check in _CHECKS if fnmatch(file.name, pattern)), None)
        if check is None:
            continue
        try:
            sound = check(file)
        except Exception:  # noqa: BLE001  (bytes that are no pickle make torch raise anything)
            sound = False
        if not sound:
            raise RunError(damage(checkpoint, f"{file.name} is damaged"))


def other_processes(checkpoint: Path, processes: int) -> str | None:
    """Say that a checkpoint is of another number of processes, whose random state is not taken over; else None."""
    saved = len(list(checkpoint.glob("rng_state*.pth")))
    if saved == processes:
        return None
    return (
        f"{checkpoint} is of {saved} processes and gone on with by {processes}: random numbers (dropout) begin anew, "
        "and sums differ by rounding. Only with as many processes the run ends as an unbroken one."
    )


def _trainer_state(file: Path) -> bool:
    return json.loads(file.read_text("utf-8"))["global_step"] == checkpoint_step(file.parent)


def _json_object(file: Path) -> bool:
    return isinstance(json.loads(file.read_text("utf-8")), dict)


def _random_state(file: Path) -> bool:
    with safe_globals():  # numpy's arrays
        state = torch.load(file, weights_only=True)
    return {"python", "numpy", "cpu"} <= state.keys()


def _plain_data(file: Path) -> bool:
    return isinstance(torch.load(file, "cpu", weights_only=True, mmap=True), Mapping)


def _weights(file: Path) -> bool:
    with safe_open(file, "pt") as opened:
        return bool(opened.keys())


_CHECKS: list[tuple[str, Callable[[Path], Any]]] = [
    ("trainer_state.json", _trainer_state),
    ("rng_state*.pth", _random_state),
    ("training_args.bin", lambda _: True),
    ("*.pt", _plain_data),
    ("*.bin", _plain_data),
    ("*.safetensors", _weights),
    ("*.json", _json_object),
]
