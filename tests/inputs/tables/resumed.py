"""Checkpoints damaged between a run and its `--resume`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.inputs.case import Case, Kit
from tests.inputs.tables.data import NOISE, trap_torch

EITHER = (0, 1)


def resumed(name: str, damage: Callable[[Path], object], *says: str, codes=(1,), more: str = "") -> Case:
    """A run of two steps that is to go on for a third, with something done to its newest checkpoint."""

    def write(path: Path, kit: Kit) -> None:
        shutil.copytree(kit.trained, path.parent, dirs_exist_ok=True)
        damage(path / "checkpoints" / "step_2")

    words = f"train --config c.yaml --steps 3 --resume {more}"
    return Case("resume", name, words, {"run": write}, codes, says, own=("run",), slow=True)


def put(name: str, content: bytes):
    return lambda folder: (folder / name).write_bytes(content)


def drop(name: str):
    return lambda folder: (folder / name).unlink()


def cut(name: str):
    return lambda folder: (folder / name).write_bytes((raw := (folder / name).read_bytes())[: len(raw) // 2])


STATES = ("optimizer.pt", "scheduler.pt", "rng_state.pth")
CASES = [
    *(resumed(f"{name}-missing", drop(name), name) for name in STATES),
    *(resumed(f"{name}-cut", cut(name), name) for name in STATES),
    *(resumed(f"{name}-empty", put(name, b""), name) for name in STATES),
    *(resumed(f"{name}-noise", put(name, NOISE), name) for name in STATES),
    *(resumed(f"{name}-a-trap", lambda f, name=name: trap_torch(f / name, None), name) for name in STATES),
    resumed("state-garbled", put("trainer_state.json", b"{"), "trainer_state.json"),
    resumed("state-list", put("trainer_state.json", b"[]"), "trainer_state.json"),
    resumed("state-missing", drop("trainer_state.json"), "trainer_state.json"),
    resumed("state-other-kinds", put("trainer_state.json", b'{"global_step": "x"}'), "trainer_state.json"),
    resumed("weights-cut", cut("model.safetensors")),
    resumed("weights-missing", drop("model.safetensors")),
    resumed("config-garbled", put("config.json", b"{")),
    resumed("tokenizer-garbled", put("tokenizer.json", b"{"), codes=EITHER),
    resumed("checkpoint-name", lambda f: (f.parent / "step_x").mkdir(), codes=EITHER),
    resumed("metrics-garbled", lambda f: put("metrics.jsonl", b'{"step": 1}\n{\n{"step": 2}\n')(f.parent.parent),
            codes=(0,)),
    resumed("metrics-noise", lambda f: put("metrics.jsonl", NOISE)(f.parent.parent), codes=EITHER),
    resumed("provenance-garbled", lambda f: put("provenance.json", b"{")(f.parent.parent), "provenance.json"),
    resumed("status-garbled", lambda f: put("status.json", b"{")(f.parent.parent), "status.json"),
    resumed("evaluated-garbled", lambda f: put("evaluated.json", b"{")(f.parent.parent), codes=EITHER),
    resumed("fewer-steps", lambda f: None, "steps", codes=EITHER, more="--steps 1"),
]  # fmt: skip
